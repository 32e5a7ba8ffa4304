/** A script over the whole API, run on the engine and on the model side by side: every answer must be the same. A script is plain data, to be pasted where it once failed. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { DatabaseShape, Entry, ScanRange, Snapshot } from "../../src/services/Database.ts"
import type { Disk } from "../../src/services/Disk.ts"
import type { Transaction, TransactionHandle } from "../../src/services/Transaction.ts"
import { FoldedChanges } from "./foldedChanges.ts"
import { type EngineSettings, openOn } from "./openEngine.ts"
import {
  applied,
  type Applied,
  type Commit,
  entriesAt,
  type ModelKey,
  ModelTransaction,
  numberText,
  pointOf,
  type State,
  toldOfPut,
  valueAt,
  type Write
} from "./wholeApiModel.ts"
import { allKeys, everything, fillKeys, operationOf, side, wholeKeys, type WholeScript, type WholeStep, type WholeWrite } from "./wholeApiScript.ts"

const segmentBytes = 65_536
const settings: EngineSettings = { retention: { history: "unlimited", log: "unlimited" }, snapshotLease: "30 days", walSegmentBytes: segmentBytes }

class Mismatch extends Error {}
class Refused extends Data.TaggedError("Refused") {}

const textOf = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString("latin1"))
const hexOf = (text: string): string => Buffer.from(text, "latin1").toString("hex")
const shown = (text: string): string => (text.length > 60 ? `${text.slice(0, 40)}… (${text.length})` : text)

const same = (what: string, found: string | undefined, expected: string | undefined): void => {
  if (found !== expected) throw new Mismatch(`${what}: found ${shown(String(found))}, expected ${shown(String(expected))}`)
}
const sameEntries = (what: string, found: ReadonlyArray<readonly [string, string]>, expected: ReadonlyArray<readonly [string, string]>): void => {
  same(`${what}, keys`, found.map(([key]) => key).join(" "), expected.map(([key]) => key).join(" "))
  found.forEach(([key, value], i) => same(`${what}, ${key}`, value, expected[i]![1]))
}

interface ScansOf<E> {
  readonly scan: (range?: ScanRange) => Stream.Stream<Entry, E>
}

const entriesOf = <E>(reads: ScansOf<E>, space: string, range?: ScanRange) =>
  Effect.map(Stream.runCollect(reads.scan(range)), (entries) =>
    Array.from(entries, ({ key, value }) => [`${space}${textOf(key)}`, textOf(value)!] as const)
  )

/** Both keyspaces. */
const contentsOf = <E, F, G>(reads: ScansOf<E> & { readonly keyspace: (name: string) => Effect.Effect<ScansOf<F>, G> }) =>
  Effect.gen(function* () {
    return [...(yield* entriesOf(reads, "0")), ...(yield* entriesOf(yield* reads.keyspace(side), "1"))]
  })

interface OpenHandle {
  readonly tx: TransactionHandle
  readonly model: ModelTransaction
}

class WholeRun {
  readonly commits: Array<Commit> = []
  readonly #handles = new Map<number, OpenHandle>()
  readonly #snapshots: Array<{ readonly snapshot: Snapshot; readonly state: State; readonly timeMs: number; readonly scope: Scope.Closeable }> = []
  readonly #count: (what: string) => void
  #timeMs = 1_700_000_000_000
  #values = 0

  constructor(count: (what: string) => void) {
    this.#count = count
  }

  get timeMs(): number {
    return this.#timeMs
  }

  get state(): State {
    return this.commits.at(-1)?.state ?? new Map()
  }

  #value(key: ModelKey, bytes: number): string {
    const number = ++this.#values
    return key[1] === "n" ? numberText(BigInt(number % 50)) : `v${number}.`.padEnd(bytes, "·")
  }

  #concrete(writes: ReadonlyArray<WholeWrite>, inTransaction: boolean): ReadonlyArray<Write> {
    return writes.flatMap((write): ReadonlyArray<Write> => {
      if ("put" in write) {
        const ttl = write.ttl === undefined ? undefined : write.ttl * 1000
        return [{ type: "put", key: write.put, value: this.#value(write.put, write.bytes), ttl }]
      }
      if ("delete" in write) return [{ type: "delete", key: write.delete }]
      if ("from" in write) {
        const to = `${write.from[0]}${write.to.slice(1)}`
        return write.from < to ? [{ type: "deleteRange", key: write.from, to }] : []
      }
      if ("add" in write) return [{ type: "add", key: write.add, amount: BigInt(write.amount) }]
      if ("max" in write) return [{ type: "max", key: write.max, amount: BigInt(write.amount) }]
      if ("append" in write) return [{ type: "append", key: write.append, value: this.#value(write.append, 5) }]
      if ("xor" in write) return [{ type: "xor", key: write.xor, value: this.#value(write.xor, 5) }]
      if ("setOnce" in write) return [{ type: "setOnce", key: write.setOnce, value: this.#value(write.setOnce, 5) }]
      const key = write.compareAndSet
      const value = this.#value(key, 5)
      if (inTransaction) return [{ type: "setOnce", key, value }]
      const expected = write.right ? valueAt(this.state, key, this.#timeMs) : "something else"
      return [{ type: "compareAndSet", key, expected, value: write.deletes ? undefined : value }]
    })
  }

  #committed(sequence: number, change: Applied): void {
    const last = this.commits.at(-1)?.sequence ?? 0
    // A `setOnce` that finds a value writes nothing, and needs no place in the order.
    if (change.touched.length === 0) return
    if (sequence <= last) throw new Mismatch(`sequence ${sequence} after ${last}`)
    this.commits.push({ sequence, timeMs: this.#timeMs, state: change.state, touched: change.touched, told: change.told })
  }

  #write(db: DatabaseShape, what: string, writes: ReadonlyArray<Write>) {
    return Effect.gen({ self: this }, function* () {
      if (writes.length === 0) return
      const expected = applied(this.state, writes, this.#timeMs, allKeys)
      const result = yield* Effect.result(db.write(writes.map(operationOf)))
      if (Result.isFailure(result)) {
        if (result.failure._tag !== "AtomicOperationFailed") return yield* result.failure
        this.#count("a failed atomic operation")
        return expected === undefined ? undefined : same(what, "AtomicOperationFailed", "a commit")
      }
      if (expected === undefined) return same(what, "a commit", "AtomicOperationFailed")
      same(`${what}, results`, (result.success.results ?? []).map(textOf).join("|"), expected.results.join("|"))
      this.#committed(result.success.sequence, expected)
    })
  }

  #spaceOf(tx: Transaction, key: ModelKey) {
    return key.startsWith("1") ? tx.keyspace(side) : Effect.succeed(tx)
  }

  #begin(isolation: "serializable" | "snapshot"): ModelTransaction {
    return new ModelTransaction(isolation, this.state, this.#timeMs, this.commits.length, allKeys)
  }

  #commit(what: string, { model, tx }: OpenHandle) {
    return Effect.gen({ self: this }, function* () {
      const verdict = model.verdict(this.commits, this.state, this.#timeMs)
      const result = yield* Effect.result(tx.commit)
      if (Result.isFailure(result)) {
        if (result.failure._tag !== "TransactionConflict") return yield* result.failure
        this.#count("a conflict")
        return verdict === "free" ? same(what, "TransactionConflict", "a commit") : undefined
      }
      if (verdict === "conflict") return same(what, "a commit", "TransactionConflict")
      if (model.writes.length === 0) return
      this.#count("a commit beside others")
      this.#committed(result.success.sequence, applied(this.state, model.writes, this.#timeMs, allKeys)!)
    })
  }

  /** What happens in an open transaction. */
  #inTransaction(what: string, handle: OpenHandle, step: Extract<WholeStep, { readonly tx: number }>) {
    return Effect.gen({ self: this }, function* () {
      const { model, tx } = handle
      switch (step.op) {
        case "txWrite": {
          const writes = this.#concrete(step.writes, true)
          yield* tx.write(writes.map(operationOf))
          model.writes = [...model.writes, ...writes]
          return
        }
        case "txGet": {
          const space = yield* this.#spaceOf(tx, step.key)
          const found = yield* (step.peek ? space.peek : space).get(step.key.slice(1))
          same(what, textOf(found), valueAt(model.view(), step.key, model.timeMs))
          if (!step.peek) model.read(pointOf(step.key))
          return
        }
        case "txScan": {
          const range = { from: step.from, to: `${step.from[0]}${step.to.slice(1)}` }
          if (range.from > range.to) return
          const space = yield* this.#spaceOf(tx, step.from)
          const found = yield* entriesOf(space, range.from[0]!, { gte: range.from.slice(1), lt: range.to.slice(1), limit: step.limit })
          const expected = entriesAt(model.view(), model.timeMs, range).slice(0, step.limit)
          sameEntries(what, found, expected)
          // With a limit that was reached, as far as the last entry.
          model.read(expected.length === step.limit ? { from: range.from, to: `${expected.at(-1)![0]}\0` } : range)
          return
        }
        case "savepoint":
          yield* tx.savepoint(step.name)
          return model.savepoint(step.name)
        case "rollbackTo": {
          const result = yield* Effect.result(tx.rollbackTo(step.name))
          return same(what, result._tag, model.rollbackTo(step.name) ? "Success" : "Failure")
        }
        case "commit":
          this.#handles.delete(step.tx)
          return yield* this.#commit(what, handle)
        case "rollback":
          this.#handles.delete(step.tx)
          return yield* tx.rollback
        case "begin":
          return
      }
    })
  }

  take(db: DatabaseShape, step: WholeStep, what: string): Effect.Effect<void, unknown, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      if ("tx" in step && step.op !== "begin") {
        const handle = this.#handles.get(step.tx)
        if (handle === undefined) return
        this.#count(step.op)
        return yield* this.#inTransaction(what, handle, step)
      }
      this.#count(step.op)
      switch (step.op) {
        case "write":
          return yield* this.#write(db, what, this.#concrete(step.writes, false))
        case "fill": {
          const keys = fillKeys.filter((key) => key.startsWith(String(step.space)))
          return yield* this.#write(
            db,
            what,
            this.#concrete(
              keys.map((put) => ({ put, bytes: step.bytes })),
              false
            )
          )
        }
        case "transaction": {
          const model = this.#begin("serializable")
          const writes = this.#concrete(step.writes, true)
          const ended = yield* Effect.result(
            db.transaction((tx) =>
              Effect.gen({ self: this }, function* () {
                const space = yield* this.#spaceOf(tx, step.reads)
                same(what, textOf(yield* space.get(step.reads.slice(1))), valueAt(model.state, step.reads, model.timeMs))
                yield* tx.write(writes.map(operationOf))
                if (step.fails) return yield* new Refused()
              })
            )
          )
          if (Result.isFailure(ended) && !(ended.failure instanceof Refused)) return yield* Effect.fail(ended.failure)
          same(what, ended._tag, step.fails ? "Failure" : "Success")
          if (step.fails || writes.length === 0) return
          this.#committed(yield* this.#sequenceOf(db), applied(this.state, writes, this.#timeMs, allKeys)!)
          return
        }
        case "begin": {
          const isolation = step.snapshot ? "snapshot" : "serializable"
          const older = this.#handles.get(step.tx)
          if (older !== undefined) yield* older.tx.rollback
          const tx = yield* db.begin({ isolation, timeout: "30 days" })
          this.#handles.set(step.tx, { tx, model: this.#begin(isolation) })
          return
        }
        case "get": {
          const space = step.key.startsWith("1") ? yield* db.keyspace(side) : db
          return same(what, textOf(yield* space.get(step.key.slice(1))), valueAt(this.state, step.key, this.#timeMs))
        }
        case "scan": {
          const range = { from: step.from, to: `${step.from[0]}${step.to.slice(1)}` }
          if (range.from > range.to) return
          const space = range.from.startsWith("1") ? yield* db.keyspace(side) : db
          const found = yield* entriesOf(space, range.from[0]!, { gte: range.from.slice(1), lt: range.to.slice(1), reverse: step.reverse })
          const expected = [...entriesAt(this.state, this.#timeMs, range)]
          return sameEntries(what, found, step.reverse ? expected.reverse() : expected)
        }
        case "wait":
          this.#timeMs += step.seconds * 1000
          return yield* TestClock.adjust(step.seconds * 1000)
        case "at": {
          const commit = this.commits.at(-1 - step.back)
          return commit === undefined ? undefined : yield* this.#checkMoment(db, what, commit)
        }
        case "history":
          return yield* this.#checkHistory(db, what, step.key)
        case "changes":
          return yield* this.#checkChanges(db, what)
        case "snapshot": {
          const scope = yield* Scope.make()
          this.#snapshots.push({ snapshot: yield* Scope.provide(db.snapshot, scope), state: this.state, timeMs: this.#timeMs, scope })
          return
        }
        case "readSnapshots":
          return yield* this.#checkSnapshots(what)
        case "release": {
          const oldest = this.#snapshots.shift()
          return oldest === undefined ? undefined : yield* Scope.close(oldest.scope, Exit.void)
        }
        case "flush":
          return yield* db.flush
        case "compact":
          return yield* db.compact()
        default:
          return
      }
    })
  }

  /** Of the commit that has just been made: the newest in the feed that is not the engine's own. */
  #sequenceOf(db: DatabaseShape) {
    return Effect.gen({ self: this }, function* () {
      const from = (this.commits.at(-1)?.sequence ?? 0) + 1
      const changes = yield* Stream.runCollect(db.changes({ from, live: false }))
      const own = changes.filter(({ operations }) => operations.some(({ type }) => type !== "expire" && type !== "createKeyspace"))
      return own.at(-1)?.sequence ?? 0
    })
  }

  #checkMoment(db: DatabaseShape, what: string, { sequence, state, timeMs }: Commit) {
    return Effect.scoped(
      Effect.gen(function* () {
        sameEntries(`${what}, sequence ${sequence}`, yield* contentsOf(yield* db.at(sequence)), entriesAt(state, timeMs, everything))
      })
    )
  }

  #checkHistory(db: DatabaseShape, what: string, key: ModelKey) {
    return Effect.gen({ self: this }, function* () {
      const space = key.startsWith("1") ? yield* db.keyspace(side) : db
      const found: Array<string> = []
      let until = Infinity
      for (const { expiresAt, sequence, type, value } of yield* Stream.runCollect(space.history(key.slice(1)))) {
        // When the engine gets to an expired value is its own affair.
        if (type !== "expire") found.push(`${sequence} ${type === "put" ? toldOfPut(textOf(value)!, expiresAt ?? Infinity) : type}`)
        else if (until > this.#timeMs) throw new Mismatch(`${what}: expire at ${sequence} of what stays until ${until}`)
        until = type === "put" ? (expiresAt ?? Infinity) : Infinity
      }
      const expected = this.commits.flatMap(({ sequence, told }) => (told.has(key) ? [`${sequence} ${told.get(key)}`] : []))
      same(what, found.join("\n"), expected.join("\n"))
    })
  }

  #checkChanges(db: DatabaseShape, what: string) {
    return Effect.gen({ self: this }, function* () {
      const folded = new FoldedChanges()
      yield* Stream.runForEach(db.changes({ from: 1, live: false }), (change) => Effect.sync(() => folded.apply(change)))
      const entries = entriesAt(this.state, this.#timeMs, everything)
      const lines = entries.map(([key, value]) => `${key.startsWith("1") ? side : "default"} ${hexOf(key.slice(1))}=${hexOf(value)}`)
      same(what, folded.dump(this.#timeMs), ["default:", `${side}:`, ...lines].sort().join("\n"))
    })
  }

  #checkSnapshots(what: string) {
    return Effect.forEach(this.#snapshots, ({ snapshot, state, timeMs }) =>
      Effect.map(contentsOf(snapshot), (found) => sameEntries(`${what}, snapshot ${snapshot.sequence}`, found, entriesAt(state, timeMs, everything)))
    )
  }

  checkAll(db: DatabaseShape, what: string) {
    return Effect.gen({ self: this }, function* () {
      sameEntries(what, yield* contentsOf(db), entriesAt(this.state, this.#timeMs, everything))
      yield* this.#checkSnapshots(what)
      yield* this.#checkChanges(db, `${what}, changes`)
      for (const key of wholeKeys) yield* this.#checkHistory(db, `${what}, history of ${key}`, key)
      const every = Math.ceil(this.commits.length / 6)
      for (let i = 0; i < this.commits.length; i += every) yield* this.#checkMoment(db, `${what}, commit ${i}`, this.commits[i]!)
    })
  }

  /** What goes with the engine. */
  closing(db: DatabaseShape) {
    return Effect.gen({ self: this }, function* () {
      const { commits, compactions, flushes } = yield* db.stats
      if (flushes.count > 0) this.#count("a flush done")
      if (compactions.count > 0) this.#count("a compaction done")
      if (commits.logBytes > segmentBytes) this.#count("a rotation")
      this.#handles.clear()
      for (const { scope } of this.#snapshots.splice(0)) yield* Scope.close(scope, Exit.void)
    })
  }
}

/** Fails with the first difference. `count` is told what happened. The disk outlives the engine: `reopen` closes and opens again on it. */
export const runWhole = (
  script: WholeScript,
  disk: Layer.Layer<Disk>,
  count: (what: string) => void = () => undefined
): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const run = new WholeRun(count)
    yield* TestClock.setTime(run.timeMs)
    let at = 0
    do {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openOn(disk, "/db", settings)
          yield* db.keyspace(side)
          for (; at < script.length; at++) {
            const step = script[at]!
            if (step.op === "reopen") break
            yield* run.take(db, step, `step ${at}, ${JSON.stringify(step)}`)
          }
          yield* run.checkAll(db, `before closing, at step ${at}`)
          yield* run.closing(db)
        })
      )
      if (at < script.length) count("reopen")
    } while (++at <= script.length)
  }).pipe(Effect.provide(TestClock.layer()))
