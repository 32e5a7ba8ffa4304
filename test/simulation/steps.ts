/** What each step of a script does to a database, and what is noted of its answers. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DatabaseShape, Reads, Snapshot } from "../../src/services/Database.ts"
import type { Transaction } from "../../src/services/Transaction.ts"
import { differs, type History } from "./History.ts"
import { simulatedSpaces, type SimulatedStep, type SimulatedWrite } from "./script.ts"
import { operationsOf, type State } from "./writes.ts"

/** The database that fibers of a life share, and what they may be told. */
export interface LifeContext {
  readonly db: DatabaseShape
  readonly history: History
  /** False once the power is gone: nobody hears what is answered from then on. */
  readonly isAlive: () => boolean
  /** Adds an answer to the trace. */
  readonly note: (text: string) => void
  /** Whether this error may be an answer now; says what is wrong otherwise. */
  readonly judgeError: (tag: string, during: string, cause: Cause.Cause<unknown>) => void
  /** Where a checkpoint may be made. */
  readonly checkpointPath: (id: string) => string
  readonly onCheckpoint: (path: string, sequence: number) => void
  readonly keepsByCursor: boolean
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")

/** The tag of what an effect failed with; undefined where it was interrupted or died. */
export const failedWith = (cause: Cause.Cause<unknown>): string | undefined => {
  const found = Cause.findErrorOption(cause)
  if (Option.isNone(found)) return undefined
  const error: unknown = found.value
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
}

/** Runs it; its failure is judged as the answer of `during`, and is the end of it. */
export const judged = <A, E, R>(life: LifeContext, during: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A | undefined, never, R> =>
  Effect.matchCauseEffect(effect, {
    onSuccess: (value) => Effect.succeed<A | undefined>(value),
    onFailure: (cause) => {
      if (!life.isAlive()) return Effect.never
      const tag = failedWith(cause)
      if (tag !== undefined) {
        life.note(`${during} ${tag}`)
        life.history.ledger.count("outcomes", tag)
        life.judgeError(tag, during, cause)
        return Effect.succeed(undefined)
      }
      if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
      life.history.violate(`${during} died: ${Cause.pretty(cause)}`)
      return Effect.succeed(undefined)
    }
  })

const outcomeUnknown = new Set(["CommitOutcomeUnknown", "LockLost"])

/** Notes the end of the attempt `id`. */
const answered = (
  life: LifeContext,
  id: string,
  exit: Exit.Exit<{ readonly sequence: number; readonly durability: "sync" | "buffered" | "memory" }, unknown>
): void => {
  const { history } = life
  if (!life.isAlive()) return
  if (Exit.isSuccess(exit)) {
    life.note(`${id} ${exit.value.sequence} ${exit.value.durability}`)
    history.acknowledged(id, exit.value.sequence, exit.value.durability)
    history.ledger.count("outcomes", `acknowledged, ${exit.value.durability}`)
    return
  }
  const tag = failedWith(exit.cause)
  if (tag === undefined) {
    if (Cause.hasInterruptsOnly(exit.cause)) history.ledger.count("outcomes", "interrupted")
    return history.unknown(id)
  }
  if (outcomeUnknown.has(tag)) history.unknown(id)
  else history.refused(id)
}

export type Dump = ReadonlyMap<string, ReadonlyArray<readonly [string, string]> | undefined>

const dumpOf = (reads: Reads): Effect.Effect<ReadonlyArray<readonly [string, string]>, unknown> =>
  Effect.map(Stream.runCollect(reads.scan()), (entries) => [...entries].map(({ key, value }) => [latin1(key), latin1(value)] as const))

/** Everything a snapshot shows; undefined for a keyspace that is not there. */
export const dumpSnapshot = (snapshot: Snapshot): Effect.Effect<Dump, unknown> =>
  Effect.gen(function* () {
    const found = new Map<string, ReadonlyArray<readonly [string, string]> | undefined>([["default", yield* dumpOf(snapshot)]])
    for (const name of simulatedSpaces) {
      const space = yield* Effect.option(snapshot.keyspace(name))
      found.set(name, Option.isNone(space) ? undefined : yield* dumpOf(space.value))
    }
    return found
  })

/** What is wrong with a dump that was taken between these two moments. */
export const dumpDiffers =
  (dump: Dump, fromMs: number, toMs: number) =>
  (state: State): string | undefined => {
    for (const [name, found] of dump) {
      const expected = state.get(name)
      // Of a keyspace that was made later a snapshot shows nothing.
      if (expected === undefined && (found === undefined || found.length === 0)) continue
      if (found === undefined || expected === undefined) return `the keyspace ${name} is ${found === undefined ? "missing" : "there"}`
      const fault = differs(found, expected, fromMs, toMs)
      if (fault !== undefined) return `in ${name}, ${fault}`
    }
    return undefined
  }

interface Held {
  readonly snapshot: Snapshot
  readonly dump: Dump
  readonly release: Effect.Effect<void>
}

const visible = (db: DatabaseShape): Effect.Effect<number> => Effect.map(db.stats, ({ visibleSequence }) => visibleSequence)

/** Runs the steps of one fiber, `name`, one after the other; in the end nothing is held any more. */
export const runFiber = (
  life: LifeContext,
  name: string,
  steps: ReadonlyArray<SimulatedStep>,
  onStep: (what: string | undefined) => void
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const held: Array<Held> = []
    for (const [index, step] of steps.entries()) {
      const id = `${name}.${index}`
      onStep(`${id} ${step.do}`)
      yield* runStep(life, id, step, held)
      onStep(undefined)
      yield* Effect.yieldNow
    }
    onStep(`${name} release`)
    while (held.length > 0) yield* runStep(life, `${name}.end`, { do: "release" }, held)
    onStep(undefined)
  })

/** Takes a snapshot of everything and lets the oracle judge it. */
export const observeAll = (life: LifeContext, what: string, hold?: (held: Held) => void): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, history } = life
    const scope = yield* Scope.make()
    const lo = history.lastAcknowledged
    const taken = yield* judged(
      life,
      what,
      Effect.gen(function* () {
        const fromMs = yield* Clock.currentTimeMillis
        const snapshot = yield* Scope.provide(db.snapshot, scope)
        const toMs = yield* Clock.currentTimeMillis
        const dump = yield* dumpSnapshot(snapshot)
        return { snapshot, dump, fromMs, toMs }
      })
    )
    const release = Scope.close(scope, Exit.void)
    if (taken === undefined) return yield* release
    const { dump, fromMs, snapshot, toMs } = taken
    if (snapshot.sequence < lo) history.violate(`${what} is of ${snapshot.sequence}, and ${lo} had been acknowledged before`)
    history.observe({ what: `${what} (${snapshot.sequence})`, lo: snapshot.sequence, hi: snapshot.sequence, check: dumpDiffers(dump, fromMs, toMs) })
    life.note(`${what} ${snapshot.sequence} ${[...dump.values()].map((found) => found?.length)}`)
    if (hold === undefined) yield* release
    else hold({ snapshot, dump, release })
  })

/** The same, but for keyspaces that were dropped or made since. */
const stillShows = (before: Dump, now: Dump): boolean =>
  [...before].every(([name, entries]) => {
    const found = now.get(name)
    return found === undefined || (entries === undefined ? found.length === 0 : JSON.stringify(found) === JSON.stringify(entries))
  })

const countWrites = ({ ledger }: History, writes: ReadonlyArray<SimulatedWrite>): void => {
  for (const write of writes) {
    const kind = Object.keys(write).find((key) => key !== "space")!
    ledger.count("writes", kind === "from" ? "range delete" : "put" in write && write.ttlMs !== undefined ? "put, expiring" : kind)
  }
}

const runStep = (life: LifeContext, id: string, step: SimulatedStep, held: Array<Held>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, history } = life
    const { ledger } = history
    const during = `${id} (${step.do})`
    switch (step.do) {
      case "write": {
        countWrites(history, step.writes)
        history.begin(id, step.writes)
        const write = db.write(operationsOf(id, step.writes), { annotation: id, durability: step.sync === true ? "sync" : "buffered" })
        yield* judged(
          life,
          during,
          Effect.onExit(write, (exit) => Effect.sync(() => answered(life, id, exit)))
        )
        ledger.count("steps", step.sync === true ? "write, sync" : "write")
        return
      }
      case "transaction": {
        countWrites(history, step.writes)
        yield* transact(life, id, step, during)
        ledger.count("steps", step.through === true ? "transaction, through" : "transaction")
        if (step.lock !== undefined) ledger.count("steps", "transaction, lock")
        return
      }
      case "create":
        yield* judged(life, during, db.keyspace(step.space))
        break
      case "drop":
        yield* judged(life, during, db.dropKeyspace(step.space))
        break
      case "get": {
        const { key, space } = step
        if (space === undefined) {
          const lo = history.lastAcknowledged
          const found = yield* judged(
            life,
            during,
            Effect.map(db.get(key), (value) => ({ value: value === undefined ? undefined : latin1(value) }))
          )
          if (found === undefined) break
          history.observe({ what: during, lo, hi: yield* visible(db), check: hasValues([[key, found.value]]) })
          break
        }
        yield* judged(
          life,
          during,
          Effect.scoped(
            Effect.gen(function* () {
              const snapshot = yield* db.snapshot
              const value = yield* (yield* snapshot.keyspace(space)).get(key)
              const { sequence } = snapshot
              history.observe({ what: during, lo: sequence, hi: sequence, check: hasValues([[key, value && latin1(value)]], space) })
            })
          )
        )
        break
      }
      case "scan": {
        const lo = history.lastAcknowledged
        const fromMs = yield* Clock.currentTimeMillis
        const found = yield* judged(life, during, Stream.runCollect(db.scan({ reverse: true })))
        if (found === undefined) break
        const toMs = yield* Clock.currentTimeMillis
        const entries = [...found].map(({ key, value }) => [latin1(key), latin1(value)] as const).reverse()
        history.observe({ what: during, lo, hi: yield* visible(db), check: (state) => differs(entries, state.get("default")!, fromMs, toMs) })
        break
      }
      case "hold":
        yield* observeAll(life, during, (taken) => held.push(taken))
        break
      case "release": {
        const oldest = held.shift()
        if (oldest === undefined) return
        const again = yield* judged(life, during, dumpSnapshot(oldest.snapshot))
        if (again !== undefined) {
          if (!stillShows(oldest.dump, again)) history.violate(`${during}: the snapshot of ${oldest.snapshot.sequence} has changed while it was held`)
          ledger.count("observations", "held snapshots read again")
        }
        yield* oldest.release
        break
      }
      case "flush": {
        const before = history.lastAcknowledged
        const done = yield* judged(life, during, Effect.as(db.flush, true))
        if (done === true) history.require(before)
        break
      }
      case "compact":
        yield* judged(life, during, db.compact())
        break
      case "checkpoint": {
        const made = yield* judged(life, during, db.checkpoint(life.checkpointPath(id)))
        if (made === undefined) break
        history.require(made.sequence)
        life.onCheckpoint(made.path, made.sequence)
        break
      }
      case "cursor":
        yield* judged(
          life,
          during,
          Effect.gen(function* () {
            const name = life.keepsByCursor ? "oracle" : "reader"
            const { next } = yield* db.createCursor(name, life.keepsByCursor ? 1 : undefined)
            yield* db.advanceCursor(name, Math.max(next, Math.min(history.next, (yield* visible(db)) + 1)))
            ledger.count("feed", "durable cursor")
          })
        )
        break
      case "verify":
        yield* judged(life, during, db.verify)
        break
      case "follow": {
        let last = 0
        yield* judged(
          life,
          during,
          Stream.runForEach(db.changes({ from: history.next, live: false }), ({ sequence }) =>
            Effect.sync(() => {
              if (sequence <= last) history.violate(`${during}: ${sequence} comes after ${last}`)
              last = sequence
            })
          )
        )
        break
      }
      case "history":
        yield* judged(life, during, Stream.runDrain(db.history("k01")))
        break
      case "wait":
        yield* Effect.sleep(step.ms)
        break
      case "interrupt": {
        const fiber = yield* Effect.forkChild(runStep(life, `${id}i`, step.step, held))
        for (let i = 0; i < step.after; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
    }
    ledger.count("steps", step.do)
  })

const hasValues =
  (wanted: ReadonlyArray<readonly [string, string | undefined]>, space = "default") =>
  (state: State): string | undefined => {
    for (const [key, value] of wanted) {
      const found = state.get(space)?.get(key)?.value
      if (found !== value) return `${space}/${key} was read as ${JSON.stringify(value?.slice(0, 40))}, and is ${JSON.stringify(found?.slice(0, 40))}`
    }
    return undefined
  }

/** Reads keys, and ranges (`from..to`), and says of a state whether it shows the same. */
const readWithin = (tx: Transaction, wanted: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const checks: Array<(state: State) => string | undefined> = []
    for (const name of wanted) {
      const [from = "", to] = name.split("..")
      if (to === undefined) {
        const value = yield* tx.get(name)
        checks.push(hasValues([[name, value && latin1(value)]]))
      } else {
        const found = [...(yield* Stream.runCollect(tx.scan({ gte: from, lt: to })))].map(({ key, value }) => `${latin1(key)}=${latin1(value)}`)
        checks.push((state) => {
          const there = [...state.get("default")!].flatMap(([key, { value }]) => (key >= from && key < to ? [`${key}=${value}`] : []))
          return there.sort().join() === found.join()
            ? undefined
            : `[${from}, ${to}) was read with ${found.length} entries, and has ${there.length}, or others`
        })
      }
      yield* Effect.yieldNow
    }
    return (state: State) => checks.map((check) => check(state)).find((fault) => fault !== undefined)
  })

const transact = (life: LifeContext, id: string, step: Extract<SimulatedStep, { readonly do: "transaction" }>, during: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { db, history } = life
    const options = { annotation: id, durability: step.sync === true ? ("sync" as const) : ("buffered" as const) }
    const operations = operationsOf(id, step.writes)
    const locks = step.lock === undefined ? [] : [step.lock]
    history.begin(id, step.writes)
    if (step.through === true) {
      const run = db.transaction(
        (tx) =>
          Effect.gen(function* () {
            if (locks.length > 0) yield* tx.lock(locks)
            const check = yield* readWithin(tx, step.reads)
            history.observe({ what: during, lo: tx.sequence, hi: tx.sequence, check })
            yield* tx.write(operations)
          }),
        options
      )
      const done = run.pipe(
        Effect.onExit((exit) => Effect.sync(() => (Exit.isFailure(exit) ? answered(life, id, Exit.failCause(exit.cause)) : undefined))),
        Effect.andThen(visible(db)),
        Effect.tap((through) => Effect.sync(() => history.acknowledgedWithin(id, through, options.durability)))
      )
      yield* judged(life, during, done)
      return
    }
    const run = Effect.scoped(
      Effect.gen(function* () {
        const tx = yield* db.begin(options)
        if (locks.length > 0) yield* tx.lock(locks)
        const check = yield* readWithin(tx, step.reads)
        history.observe({ what: during, lo: tx.sequence, hi: tx.sequence, check })
        yield* tx.write(operations)
        yield* Effect.yieldNow
        const result = yield* tx.commit
        // Serializable: what was read is what there was when it took its place.
        history.observe({ what: `${during}, when it was committed`, lo: result.sequence - 1, hi: result.sequence - 1, check })
        return result
      })
    )
    yield* judged(
      life,
      during,
      Effect.onExit(run, (exit) => Effect.sync(() => answered(life, id, exit)))
    )
  })
