/** A random life of a database that keeps its history, and a model of every moment of it. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { drawInt, type Prng, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, KeyspaceOptions, Operations, Reads, WriteOperation } from "../../src/services/Database.ts"
import type { PastSnapshot, Version } from "../../src/services/History.ts"
import { directory, type EngineSettings, openSimulated } from "./openEngine.ts"

/** Of a keyspace: what is in it, by key. */
export type Contents = ReadonlyMap<string, string>

/** By name; the default keyspace is "". */
export type State = ReadonlyMap<string, Contents>

export interface Moment {
  readonly sequence: number
  /** In which it was committed. */
  readonly second: number
  readonly state: State
}

const utf8 = new TextDecoder()
export const keys = Array.from({ length: 24 }, (_, i) => `key-${String(i).padStart(2, "0")}`)
export const names: ReadonlyArray<string> = ["apples", "pears", "plums"]

const sorted = (contents: Contents): ReadonlyArray<string> => [...contents].map(([key, value]) => `${key}=${value}`).sort()

export const contentsOf = (reads: Reads) =>
  Effect.map(Stream.runCollect(reads.scan()), (entries) =>
    Array.from(entries, ({ key, value }) => `${utf8.decode(key)}=${utf8.decode(value).replace(/\.+$/, "")}`)
  )

/** `sequence type value` of each version. */
export const versionTexts = (versions: Iterable<Version>): ReadonlyArray<string> =>
  Array.from(versions, ({ sequence, type, value }) => `${sequence} ${type}${value === undefined ? "" : ` ${utf8.decode(value).replace(/\.+$/, "")}`}`)

export class HistoryRun {
  readonly moments: Array<Moment> = [{ sequence: 0, second: -Infinity, state: new Map([["", new Map()]]) }]
  /** By name, a life of a keyspace (it may be dropped and made again), and key: what `history` must show. */
  readonly versions = new Map<string, Map<string, Array<string>>>()
  readonly held: Array<{ readonly snapshot: PastSnapshot; readonly expected: State }> = []
  disk = new SimulatedDisk()
  readonly draw: Prng
  readonly settings: EngineSettings
  db!: DatabaseShape
  #scope: Scope.Closeable | undefined
  #value = 0

  constructor(seed: number, settings: EngineSettings) {
    this.draw = seededPrng(seed)
    this.settings = settings
    this.versions.set("", new Map())
    this.disk.makeDirectory(directory)
    this.disk.syncDirectory("/")
  }

  get state(): State {
    return this.moments[this.moments.length - 1]!.state
  }

  /** What there was after commit `sequence`. */
  stateAt(sequence: number): State {
    let found = this.moments[0]!
    for (const moment of this.moments) if (moment.sequence <= sequence) found = moment
    return found.state
  }

  get lastSequence(): number {
    return this.moments[this.moments.length - 1]!.sequence
  }

  open() {
    return Effect.gen({ self: this }, function* () {
      this.#scope = yield* Scope.make()
      this.db = yield* Scope.provide(openSimulated(this.disk, this.settings), this.#scope)
    })
  }

  close() {
    return Effect.suspend(() => {
      this.held.length = 0
      return this.#scope === undefined ? Effect.void : Scope.close(this.#scope, Exit.void)
    })
  }

  space(name: string): Effect.Effect<Operations, unknown> {
    return name === "" ? Effect.succeed(this.db) : this.db.keyspace(name)
  }

  /** The last sequence before the first commit in or after the second; sequences that a crash lost count. */
  sequenceBefore(second: number): number {
    const next = this.moments.find((moment) => moment.second >= second)
    return next === undefined ? this.lastSequence : next.sequence - 1
  }

  note(sequence: number, change: (draft: Map<string, Map<string, string>>) => void) {
    return Effect.clockWith((clock) =>
      Effect.sync(() => {
        const draft = new Map(Array.from(this.state, ([name, contents]) => [name, new Map(contents)]))
        change(draft)
        this.moments.push({ sequence, second: Math.floor(clock.currentTimeMillisUnsafe() / 1000), state: draft })
      })
    )
  }

  create(name: string, options?: KeyspaceOptions) {
    return Effect.gen({ self: this }, function* () {
      const isNew = !this.state.has(name)
      yield* this.db.keyspace(name, options)
      const { visibleSequence } = yield* this.db.stats
      if (!isNew) return
      yield* this.note(visibleSequence, (draft) => draft.set(name, new Map()))
      this.versions.set(name, new Map())
    })
  }

  drop(name: string) {
    return Effect.gen({ self: this }, function* () {
      const { sequence } = yield* this.db.dropKeyspace(name)
      yield* this.note(sequence, (draft) => draft.delete(name))
      this.versions.delete(name)
    })
  }

  /** A batch of puts, deletes and range deletes in one keyspace. */
  write(name: string, count = 1 + drawInt(this.draw, 4)) {
    return Effect.gen({ self: this }, function* () {
      const operations: Array<WriteOperation> = []
      const after = new Map(this.state.get(name)!)
      const told = new Map<string, string>()
      for (let i = 0; i < count; i++) {
        const key = keys[drawInt(this.draw, keys.length)]!
        const kind = drawInt(this.draw, 10)
        if (kind < 6) {
          const value = `v${++this.#value}`
          // Some values are large enough to be kept apart.
          operations.push({ type: "put", key, value: kind === 0 ? value.padEnd(1500, ".") : value })
          after.set(key, value)
          told.set(key, `put ${value}`)
        } else if (kind < 9) {
          operations.push({ type: "delete", key })
          after.delete(key)
          told.set(key, "delete")
        } else {
          const from = drawInt(this.draw, keys.length - 1)
          const to = Math.min(keys.length - 1, from + 1 + drawInt(this.draw, 6))
          operations.push({ type: "deleteRange", gte: keys[from]!, lt: keys[to]! })
          for (const covered of keys.slice(from, to)) {
            after.delete(covered)
            told.set(covered, "delete")
          }
        }
      }
      const space = yield* this.space(name)
      const { sequence } = yield* space.write(operations)
      yield* this.note(sequence, (draft) => draft.set(name, after))
      const versions = this.versions.get(name)!
      for (const [key, what] of told) versions.set(key, [...(versions.get(key) ?? []), `${sequence} ${what}`])
    })
  }

  /** Whether a snapshot of the past shows what there was: the default keyspace, and all that had a name. */
  mismatch(snapshot: PastSnapshot, expected: State) {
    return Effect.gen(function* () {
      const found = yield* contentsOf(snapshot)
      const wanted = sorted(expected.get("")!).join()
      if (found.join() !== wanted) return `default at ${snapshot.sequence}: ${found.join()} instead of ${wanted}`
      for (const name of names) {
        const reads = yield* Effect.result(snapshot.keyspace(name))
        const there = expected.get(name)
        if (reads._tag === "Failure") {
          if (reads.failure._tag === "KeyspaceNotFound" && there === undefined) continue
          return `${name} at ${snapshot.sequence}: ${reads.failure._tag}`
        }
        if (there === undefined) return `${name} at ${snapshot.sequence} is there and was not`
        const inside = yield* contentsOf(reads.success)
        if (inside.join() !== sorted(there).join()) return `${name} at ${snapshot.sequence}: ${inside.join()} instead of ${sorted(there).join()}`
      }
      return undefined
    })
  }

  /** The first difference between every moment from `from` on and the model. */
  checkMoments(from = 0) {
    return Effect.gen({ self: this }, function* () {
      for (let sequence = from; sequence <= this.lastSequence; sequence++) {
        const wrong = yield* Effect.scoped(Effect.flatMap(this.db.at(sequence), (snapshot) => this.mismatch(snapshot, this.stateAt(sequence))))
        if (wrong !== undefined) return wrong
      }
      return undefined
    })
  }

  checkHeld() {
    return Effect.gen({ self: this }, function* () {
      for (const { expected, snapshot } of this.held) {
        const wrong = yield* this.mismatch(snapshot, expected)
        if (wrong !== undefined) return `held: ${wrong}`
      }
      return undefined
    })
  }

  /** The first difference between `history` of every key and the model. */
  checkVersions() {
    return Effect.gen({ self: this }, function* () {
      for (const [name, byKey] of this.versions) {
        const space = yield* this.space(name)
        for (const key of keys) {
          const expected = byKey.get(key) ?? []
          const found = versionTexts(yield* Stream.runCollect(space.history(key)))
          if (found.join() !== expected.join()) return `${name} ${key}: ${found.join()} instead of ${expected.join()}`
          const back = versionTexts(yield* Stream.runCollect(space.history(key, { reverse: true, limit: 3 })))
          if (back.join() !== expected.slice(-3).reverse().join()) return `${name} ${key} backwards: ${back.join()}`
        }
      }
      return undefined
    })
  }

  hold() {
    return Effect.gen({ self: this }, function* () {
      const sequence = drawInt(this.draw, this.lastSequence + 1)
      const past = yield* Effect.result(Scope.provide(this.db.at(sequence), this.#scope!))
      if (past._tag === "Success") this.held.push({ snapshot: past.success, expected: this.stateAt(sequence) })
      else if (past.failure._tag !== "HistoryGone") return yield* past.failure
    })
  }

  reopen() {
    return Effect.andThen(
      this.close(),
      Effect.suspend(() => this.open())
    )
  }

  /** As after a power cut: what was acknowledged is there, and the sequences that were reserved are lost. */
  crash() {
    return Effect.gen({ self: this }, function* () {
      const next = this.disk.crash(this.draw, { mode: "random" })
      yield* Effect.exit(this.close())
      this.disk = next
      yield* this.open()
    })
  }

  step() {
    return Effect.gen({ self: this }, function* () {
      const live = [...this.state.keys()]
      const what = drawInt(this.draw, 100)
      if (what < 70) yield* this.write(live[drawInt(this.draw, live.length)]!)
      else if (what < 76) yield* this.create(names[drawInt(this.draw, names.length)]!)
      else if (what < 80) {
        const name = live[drawInt(this.draw, live.length)]!
        if (name !== "") yield* this.drop(name)
      } else if (what < 88) yield* this.db.flush
      else if (what < 93) yield* this.db.compact()
      else if (what < 97) yield* this.hold()
      else if (what < 99) yield* this.reopen()
      else yield* this.crash()
    })
  }
}
