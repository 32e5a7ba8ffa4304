/**
 * Transactions of many fibers over few keys, with pauses between their steps, recorded as their callers see them. Each keyspace has lists (text of numbers, grown by reading and
 * writing back) and groups of registers (a number and some ballast, or nothing), which are also scanned and deleted by range.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { drawInt, type Prng, seededPrng } from "../../src/layers/disk/Prng.ts"
import type { DatabaseShape, ScanRange, WriteOperation } from "../../src/services/Database.ts"
import type { IsolationLevel, Transaction, TransactionSpace } from "../../src/services/Transaction.ts"
import { HistoryRecorder, type OpenRecord } from "./history/History.ts"
import { Turnstile } from "./Turnstile.ts"

export interface RandomShape {
  readonly seed: number
  /** All of them begin at once. */
  readonly fibers: number
  /** Transactions of a fiber, one after the other. */
  readonly each: number
  readonly levels: ReadonlyArray<IsolationLevel>
}

const spaces: ReadonlyArray<string | undefined> = [undefined, "orders", "users"]
const groups = ["a", "b", "c", "d"]
const registersPerGroup = 6
const listsPerSpace = 14

/** Of the history: keys of different keyspaces do not meet. */
const keyIn = (space: string | undefined, key: string): string => `${space ?? "-"}/${key}`
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const parseList = (value: string | undefined): ReadonlyArray<number> => (value === undefined || value === "" ? [] : value.split(" ").map(Number))
const parseRegister = (bytes: Uint8Array): number => Number(text(bytes.subarray(0, bytes.indexOf(32))))

const tagOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : undefined
}

/** Ends that a run with conflicts may have; everything else is a fault. */
const expectedEnds = new Set(["TransactionConflict"])

class Run {
  readonly recorder = new HistoryRecorder()
  readonly prng: Prng
  readonly turnstile: Turnstile
  readonly #db: DatabaseShape
  readonly #levels: ReadonlyArray<IsolationLevel>
  #lastNumber = 0

  constructor(db: DatabaseShape, shape: RandomShape) {
    this.#db = db
    this.#levels = shape.levels
    this.prng = seededPrng(shape.seed)
    this.turnstile = new Turnstile(this.prng)
  }

  draw<A>(from: ReadonlyArray<A>): A {
    return from[drawInt(this.prng, from.length)]!
  }

  #register(): string {
    return `r/${this.draw(groups)}/${drawInt(this.prng, registersPerGroup)}`
  }

  /** A number nobody has written before, with ballast: often short, sometimes long enough to be kept apart from its key. */
  #value(number: number): string {
    return `${number} ${"#".repeat(this.prng() < 0.1 ? 1500 : drawInt(this.prng, 400))}`
  }

  /** Bounds within a group, or the whole of it. */
  #range(): { readonly gte: string; readonly lt: string } {
    const group = this.draw(groups)
    const from = drawInt(this.prng, registersPerGroup)
    return this.prng() < 0.4
      ? { gte: `r/${group}/`, lt: `r/${group}0` }
      : { gte: `r/${group}/${from}`, lt: `r/${group}/${from + 1 + drawInt(this.prng, 3)}` }
  }

  readList(space: string | undefined, tx: TransactionSpace, record: OpenRecord, key: string) {
    return Effect.map(this.#isUnsafe() ? Effect.sync(() => tx.unsafe.getText(key)) : tx.getText(key), (value) => {
      const elements = parseList(value)
      record.add({ kind: "readList", key: keyIn(space, key), elements })
      return elements
    })
  }

  appendToList(space: string | undefined, tx: TransactionSpace, record: OpenRecord, key: string) {
    return Effect.gen({ self: this }, function* () {
      const elements = yield* this.readList(space, tx, record, key)
      yield* this.turnstile.pause
      const element = ++this.#lastNumber
      const value = [...elements, element].join(" ")
      if (this.#isUnsafe()) tx.unsafe.put(key, value)
      else yield* tx.put(key, value)
      record.add({ kind: "append", key: keyIn(space, key), element })
    })
  }

  #readRegister(space: string | undefined, tx: TransactionSpace, record: OpenRecord) {
    const key = this.#register()
    const drawn = this.prng()
    const got =
      drawn < 0.2
        ? Effect.sync(() => tx.unsafe.get(key))
        : drawn < 0.4
          ? Effect.map(tx.getMany([this.#register(), key]), ([, second]) => second)
          : tx.get(key)
    return Effect.map(got, (value) =>
      record.add({ kind: "read", key: keyIn(space, key), value: value === undefined ? undefined : parseRegister(value) })
    )
  }

  scan(space: string | undefined, tx: Pick<TransactionSpace, "scan" | "unsafe">, record: OpenRecord, range = this.#range()) {
    const reverse = this.prng() < 0.3
    const limit = this.prng() < 0.3 ? 1 + drawInt(this.prng, 3) : undefined
    const bounds: ScanRange = { ...range, reverse, limit }
    const read = this.#isUnsafe()
      ? Effect.sync(() => [...tx.unsafe.entries(bounds)])
      : Effect.map(Stream.runCollect(tx.scan(bounds)), (entries) => [...entries].map(({ key, value }) => [key, value] as const))
    return Effect.map(read, (entries) => {
      const found = new Map(entries.map(([key, value]) => [keyIn(space, text(key)), parseRegister(value)] as const))
      // Where the limit ended it, only what was passed is known.
      const last = limit !== undefined && found.size === limit ? [...found.keys()].at(-1) : undefined
      record.add({
        kind: "scan",
        from: last !== undefined && reverse ? last : keyIn(space, range.gte),
        to: last !== undefined && !reverse ? `${last}\0` : keyIn(space, range.lt),
        found
      })
    })
  }

  #writeRegister(space: string | undefined, tx: TransactionSpace, record: OpenRecord) {
    const key = this.#register()
    const isDelete = this.prng() < 0.25
    const number = ++this.#lastNumber
    record.add({ kind: "write", key: keyIn(space, key), value: isDelete ? undefined : number })
    return isDelete ? tx.delete(key) : tx.put(key, this.#value(number))
  }

  #deleteRange(space: string | undefined, tx: TransactionSpace, record: OpenRecord) {
    const { gte, lt } = this.#range()
    record.add({ kind: "deleteRange", from: keyIn(space, gte), to: keyIn(space, lt) })
    return lt.endsWith("0") && gte.endsWith("/") ? tx.deleteRange({ prefix: gte }) : tx.deleteRange({ gte, lt })
  }

  /** The synchronous twins now and then. */
  #isUnsafe(): boolean {
    return this.prng() < 0.2
  }

  /** Some steps, with pauses between them; some are taken back again. */
  steps(tx: Transaction, record: OpenRecord, listsOnly: boolean): Effect.Effect<void, unknown> {
    return Effect.gen({ self: this }, function* () {
      const count = 1 + drawInt(this.prng, 5)
      for (let i = 0; i < count; i++) {
        if (this.prng() < 0.06) {
          const name = `s${++this.#lastNumber}`
          yield* tx.savepoint(name)
          yield* record.without(Effect.andThen(this.steps(tx, record, listsOnly), tx.rollbackTo(name)))
        }
        const space = this.draw(spaces)
        const inside = space === undefined ? tx : yield* tx.keyspace(space)
        const drawn = this.prng()
        const list = `l${drawInt(this.prng, listsPerSpace)}`
        if (drawn < 0.25) yield* this.appendToList(space, inside, record, list)
        else if (drawn < 0.35) yield* this.readList(space, inside, record, list)
        else if (drawn < 0.55) yield* this.#readRegister(space, inside, record)
        else if (drawn < 0.72) yield* this.scan(space, inside, record)
        else if (listsOnly) yield* this.readList(space, inside, record, list)
        else if (drawn < 0.96) yield* this.#writeRegister(space, inside, record)
        else yield* this.#deleteRange(space, inside, record)
        yield* this.turnstile.pause
      }
    })
  }

  /** A transaction whose end is in our hands: committed, rolled back, or interrupted on its way. */
  handle = Effect.suspend(() => {
    const level = this.draw(this.#levels)
    const interrupted = this.prng() < 0.03
    const record = this.recorder.begin(level)
    return Effect.scoped(
      Effect.gen({ self: this }, function* () {
        const tx = yield* this.#db.begin({ isolation: level, durability: this.prng() < 0.1 ? "sync" : "buffered" })
        record.readAt(tx.sequence)
        yield* this.turnstile.pause
        yield* this.steps(tx, record, interrupted)
        if (this.prng() < 0.04) {
          yield* tx.rollback
          return record.end("fail", { error: "rolledBack" })
        }
        if (interrupted) {
          const fiber = yield* Effect.forkChild(tx.commit, { startImmediately: this.prng() < 0.5 })
          for (let turns = drawInt(this.prng, 4); turns > 0; turns--) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          // Whether it was in time nobody can know: what is seen later decides.
          return record.end("unknown")
        }
        const exit = yield* Effect.exit(tx.commit)
        // A commit that wrote nothing has no place of its own in the commit order.
        if (Exit.isSuccess(exit)) return record.end("ok", { sequence: record.wrote() ? exit.value.sequence : undefined })
        const error = tagOf(exit)
        if (error === undefined || !expectedEnds.has(error)) return yield* Effect.failCause(exit.cause)
        return record.end("fail", { error })
      })
    )
  })

  /** By `db.transaction`, each attempt a transaction of the history. It grows lists, whose order needs no sequences. */
  retried = Effect.suspend(() => {
    const level = this.draw(this.#levels)
    let last: OpenRecord | undefined
    return Effect.map(
      Effect.exit(
        this.#db.transaction(
          (tx) =>
            Effect.suspend(() => {
              last?.end("fail", { error: "TransactionConflict" })
              const record = this.recorder.begin(level)
              last = record
              record.readAt(tx.sequence)
              return this.steps(tx, record, true)
            }),
          { isolation: level, durability: "buffered" }
        )
      ),
      (exit) => {
        const error = tagOf(exit)
        if (Exit.isFailure(exit) && (error === undefined || !expectedEnds.has(error))) throw Cause.squash(exit.cause)
        last?.end(error === undefined ? "ok" : "fail", { error })
      }
    )
  })

  /** Without a transaction: written blindly, and read in one scan. */
  plain = Effect.suspend(() => {
    const space = this.draw(spaces)
    const record = this.recorder.begin("serializable")
    const operations = Array.from({ length: 1 + drawInt(this.prng, 3) }, (): WriteOperation => {
      const number = ++this.#lastNumber
      const key = this.#register()
      record.add({ kind: "write", key: keyIn(space, key), value: number })
      return { type: "put", key, value: this.#value(number), keyspace: space }
    })
    return Effect.map(this.#db.write(operations, { durability: "buffered" }), ({ sequence }) => record.end("ok", { sequence }))
  })

  /** Everything there is at the end, read at once. */
  readAll = Effect.suspend(() => {
    const record = this.recorder.begin("serializable")
    return Effect.scoped(
      Effect.gen({ self: this }, function* () {
        const tx = yield* this.#db.begin()
        record.readAt(tx.sequence)
        for (const space of spaces) {
          const inside = space === undefined ? tx : yield* tx.keyspace(space)
          for (let list = 0; list < listsPerSpace; list++) yield* this.readList(space, inside, record, `l${list}`)
          for (const group of groups) yield* this.scan(space, inside, record, { gte: `r/${group}/`, lt: `r/${group}0` })
        }
        yield* tx.commit
        record.end("ok")
      })
    )
  })
}

export const recordHistory = (db: DatabaseShape, shape: RandomShape): Effect.Effect<HistoryRecorder, unknown> =>
  Effect.gen(function* () {
    for (const space of spaces) if (space !== undefined) yield* db.keyspace(space)
    const run = new Run(db, shape)
    const fiber = Effect.gen(function* () {
      for (let i = 0; i < shape.each; i++) {
        const drawn = run.prng()
        yield* drawn < 0.8 ? run.handle : drawn < 0.93 ? run.retried : run.plain
        yield* run.turnstile.pause
      }
    })
    yield* run.turnstile.run(
      Array.from({ length: shape.fibers }, () => fiber),
      0.08
    )
    yield* run.readAll
    return run.recorder
  })
