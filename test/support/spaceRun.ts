/**
 * The story of a full disk: a disk of limited size is written until nothing fits, deletes and reads go on, room comes back (the disk grows, or what was deleted is compacted), and writes
 * resume in the same open. Recorded, so that the crash sweep can stop it at each operation.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { defaultKeyspace } from "../../src/domain/keys/kinds.ts"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, WriteOperation } from "../../src/services/Database.ts"
import { type EngineSettings, openSimulated } from "./openEngine.ts"
import { Oracle, type OracleOperation } from "./Oracle.ts"
import type { Promised, RecordedRun } from "./recordedRun.ts"
import { simulatedClock, withSimulatedClock } from "./simulatedClock.ts"
import { valueOf } from "./workload.ts"

export interface SpaceRun extends RecordedRun {
  /** Outcomes of writes by tag, "Acknowledged" among them. */
  readonly outcomes: ReadonlyMap<string, number>
  /** What went wrong although nothing crashed. */
  readonly complaints: ReadonlyArray<string>
  /** How often a write was struck, space was seen to be low, was not any more, and a burst of writes only ended once the disk had grown. */
  readonly struck: number
  readonly low: number
  readonly healed: number
  readonly heldUntilGrown: number
  /** Deletes that were acknowledged while space was low. */
  readonly deletedWhileLow: number
}

export interface SpaceShape {
  readonly seed: number
  /** What the disk may hold beyond what an open takes. */
  readonly capacityBytes: number
  readonly reserveBytes: number
  /** How room comes back. */
  readonly relief: "grow" | "delete"
  /** Closes while space is low, and as it is. */
  readonly closeLow?: boolean
  /** In place of a disk that is full: each so-manieth write to such a file says that it is, after so many bytes of it. */
  readonly strikes?: { readonly path: RegExp; readonly every: number; readonly afterBytes: number }
  /** Turns of the scheduler until a call that has not ended counts as waiting for room. What is held is tried again and again meanwhile. */
  readonly patienceTurns?: number
  readonly settings?: EngineSettings
}

const encoder = new TextEncoder()
const keys = 60
/** Turns of the scheduler in which a database that has room becomes healthy. */
const turnsMax = 1000

const oracleOf = (operation: WriteOperation): OracleOperation => {
  switch (operation.type) {
    case "put":
      return { type: "put", keyspace: defaultKeyspace, key: encoder.encode(operation.key as string), value: operation.value as Uint8Array }
    case "delete":
      return { type: "delete", keyspace: defaultKeyspace, key: encoder.encode(operation.key as string) }
    case "deleteRange":
      if (!("gte" in operation)) throw new Error("a prefix is not drawn")
      return {
        type: "deleteRange",
        keyspace: defaultKeyspace,
        gte: encoder.encode(operation.gte as string),
        lt: encoder.encode(operation.lt as string)
      }
    default:
      throw new Error(`${operation.type} is not drawn`)
  }
}

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "Acknowledged"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : `Defect: ${Cause.pretty(exit.cause)}`
}

export const spaceRun = (shape: SpaceShape): Effect.Effect<SpaceRun> =>
  withSimulatedClock(
    Effect.gen(function* () {
      const { capacityBytes, closeLow = false, patienceTurns = 1000, relief, reserveBytes, seed, settings = {}, strikes } = shape
      const prng = seededPrng(seed)
      const disk = new SimulatedDisk({ record: true })
      const trace = disk.trace!
      const oracle = new Oracle()
      const promises: Array<Promised> = []
      const outcomes = new Map<string, number>()
      const complaints: Array<string> = []
      const counts = { struck: 0, low: 0, healed: 0, heldUntilGrown: 0, deletedWhileLow: 0 }
      let acknowledged = 0
      let valueSeed = seed * 100_000
      let isLow = false
      const keyOf = (number: number) => `k${String(number).padStart(3, "0")}`

      const drawWrite = (frees: boolean): ReadonlyArray<WriteOperation> => {
        const one = (): WriteOperation => {
          if (frees || prng() < 0.12) {
            if (prng() < 0.7) return { type: "delete", key: keyOf(drawInt(prng, keys)) }
            const from = drawInt(prng, keys)
            return { type: "deleteRange", gte: keyOf(from), lt: keyOf(from + 1 + drawInt(prng, 8)) }
          }
          return { type: "put", key: keyOf(drawInt(prng, keys)), value: valueOf(++valueSeed, drawInt(prng, prng() < 0.3 ? 3000 : 400)) }
        }
        return Array.from({ length: prng() < 0.6 ? 1 : 1 + drawInt(prng, 5) }, one)
      }

      const write = (db: DatabaseShape, operations: ReadonlyArray<WriteOperation>) =>
        Effect.suspend(() => {
          const durability = prng() < 0.4 ? "sync" : "buffered"
          return Effect.map(Effect.exit(db.write(operations, { durability })), (exit) => {
            const outcome = outcomeOf(exit)
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
            if (!["Acknowledged", "DiskFull", "WriteStalled"].includes(outcome)) complaints.push(`a write ended with ${outcome}`)
            if (Exit.isFailure(exit)) return
            oracle.commit(exit.value.sequence, operations.map(oracleOf))
            acknowledged = Math.max(acknowledged, exit.value.sequence)
            if (exit.value.durability !== "memory")
              promises.push({ events: trace.events.length, sequence: exit.value.sequence, durability: exit.value.durability, by: "write" })
            if (isLow && operations.every(({ type }) => type !== "put")) counts.deletedWhileLow++
          })
        })

      /** Runs it, and where it waits for room lets the disk grow until it ends. */
      const seenThrough = (run: Effect.Effect<unknown>) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(run, { startImmediately: true })
          for (let turn = 0; fiber.pollUnsafe() === undefined; turn++) {
            if (turn === patienceTurns) {
              counts.heldUntilGrown++
              disk.capacityBytes! += 65_536
              turn = 0
              if (disk.capacityBytes! > 1 << 26) return yield* Effect.die(new Error(`seed ${seed}: a call does not end, however large the disk is`))
            }
            yield* Effect.yieldNow
          }
          yield* Fiber.join(fiber)
        })

      const burst = (db: DatabaseShape, size: number, frees = false) =>
        seenThrough(
          Effect.forEach(
            Array.from({ length: size }, () => drawWrite(frees)),
            (operations) => write(db, operations),
            { concurrency: "unbounded" }
          )
        )

      const maintain = (run: Effect.Effect<unknown, unknown>) =>
        seenThrough(
          Effect.map(Effect.exit(run), (exit) => {
            const outcome = outcomeOf(exit)
            if (!["Acknowledged", "DiskFull"].includes(outcome)) complaints.push(`maintenance ended with ${outcome}`)
          })
        )

      const checkReads = (db: DatabaseShape, what: string) =>
        Effect.gen(function* () {
          const found = yield* Effect.exit(Stream.runCollect(db.scan()))
          const { visibleSequence } = yield* db.stats
          if (Exit.isFailure(found)) return void complaints.push(`${what}: a scan ended with ${outcomeOf(found)}`)
          const expected = oracle.stateAt(acknowledged)
          if (found.value.length !== expected.length || visibleSequence < acknowledged)
            complaints.push(`${what}: ${found.value.length} entries at ${visibleSequence}, not the ${expected.length} of ${acknowledged}`)
        })

      const state = (db: DatabaseShape) =>
        Effect.map(db.health, ({ reasons, state }) => {
          const before = isLow
          isLow = state === "degraded" && reasons.some((reason) => reason.includes("no space is left"))
          if (isLow && !before) counts.low++
          if (!isLow && before) counts.healed++
          return state
        })

      const untilHealthy = (db: DatabaseShape) =>
        Effect.gen(function* () {
          for (let turn = 0; turn < turnsMax; turn++) {
            if ((yield* state(db)) === "healthy") return true
            yield* Effect.yieldNow
          }
          return false
        })

      const story = Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openSimulated(disk, { ...settings, reserveBytes })
          yield* untilHealthy(db)
          for (let i = 0; i < 200; i++) yield* Effect.yieldNow
          disk.capacityBytes = [...disk.files().values()].reduce((sum, bytes) => sum + bytes.length, 0) + capacityBytes
          let matches = 0
          if (strikes !== undefined)
            disk.onOperation = ({ kind, path }) => {
              if (kind !== "writev" || !strikes.path.test(path) || ++matches % strikes.every !== 0) return "ok"
              counts.struck++
              return { fail: "ENOSPC", afterBytes: strikes.afterBytes }
            }
          for (let round = 0; round < 2; round++) {
            for (let i = 0; i < (strikes === undefined ? 400 : 20) && !isLow; i++) {
              yield* burst(db, 1 + drawInt(prng, 6))
              if (prng() < (strikes === undefined ? 0.03 : 0.3)) yield* maintain(prng() < 0.7 ? db.flush : db.compact())
              yield* state(db)
            }
            yield* checkReads(db, "when the disk is full")
            if (closeLow) return
            for (let i = 0; i < 6; i++) {
              yield* burst(db, 1 + drawInt(prng, 3), prng() < 0.5)
              yield* state(db)
            }
            yield* checkReads(db, "while the disk is full")
            if (relief === "delete") {
              yield* seenThrough(write(db, [{ type: "deleteRange", gte: keyOf(0), lt: keyOf(keys - 6) }]))
              yield* maintain(db.compact())
            }
            if (relief === "grow" || !(yield* untilHealthy(db))) disk.capacityBytes! += capacityBytes
            if (!(yield* untilHealthy(db))) complaints.push(`still ${JSON.stringify(yield* db.health)} although there is room`)
            const before = outcomes.get("Acknowledged") ?? 0
            yield* burst(db, 1)
            if ((outcomes.get("Acknowledged") ?? 0) !== before + 1 && !isLow) complaints.push("a write after the relief was not taken")
            yield* checkReads(db, "after the relief")
          }
        })
      )
      const ended = yield* Effect.exit(story)
      if (Exit.isFailure(ended)) complaints.push(`the story ended with ${Cause.pretty(ended.cause)}`)
      promises.push({ events: trace.events.length, sequence: acknowledged, durability: "sync", by: "close" })
      const none = {
        transactions: 0,
        groups: 0,
        flushes: 0,
        compactions: 0,
        rangeDeletes: 0,
        keyspaceDrops: 0,
        reopens: 1,
        snapshotReads: 0,
        atomics: 0,
        expiringPuts: 0,
        expired: 0,
        interactive: 0,
        conflicts: 0,
        cursorMoves: 0
      }
      return { trace, checkpoints: [], oracle, promises, counts: none, outcomes, complaints, ...counts }
    }),
    simulatedClock(undefined, undefined, 60_000)
  )
