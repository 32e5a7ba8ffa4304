/**
 * Runs a workload once through the engine over a recording disk, and notes what was promised when: the material of the crash sweep, which then stops the recorded run at every
 * operation without running it again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { compareBytes } from "../../src/domain/keys/compareBytes.ts"
import { encodeId, keyspaceRowKey, nameInRowKey, nextIdKey } from "../../src/domain/keys/catalogRows.ts"
import { cursorRowKey, cursorRowsFrom } from "../../src/domain/keys/cursorRows.ts"
import { defaultKeyspace, firstNamedKeyspace, systemKeyspace } from "../../src/domain/keys/kinds.ts"
import type { DiskTrace, SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, DatabaseStats, Snapshot, WriteOperation, WriteResult } from "../../src/services/Database.ts"
import { loggedCommits } from "./loggedCommits.ts"
import { type EngineSettings, openSimulated } from "./openEngine.ts"
import { Oracle, type OracleEntry, type OracleOperation } from "./Oracle.ts"
import { withSimulatedClock } from "./simulatedClock.ts"
import { type Durability, valueOf, type WorkloadOperation, type WorkloadStep } from "./workload.ts"

/** A promise: once `events` had happened, everything up to `sequence` was acknowledged with `durability`. */
export interface Promised {
  readonly events: number
  readonly sequence: number
  readonly durability: Durability
  /** What made it. */
  readonly by: string
}

export interface RunCounts {
  transactions: number
  groups: number
  flushes: number
  compactions: number
  rangeDeletes: number
  keyspaceDrops: number
  reopens: number
  snapshotReads: number
  atomics: number
  expiringPuts: number
  /** Values that the engine has expired by a commit of its own. */
  expired: number
  /** Interactive transactions that committed, and how often one had to be done again. */
  interactive: number
  conflicts: number
  cursorMoves: number
}

/** A checkpoint that was made: begun when `from` events had happened, answered after `until`. */
export interface RecordedCheckpoint {
  readonly path: string
  readonly sequence: number
  readonly from: number
  readonly until: number
}

export interface RecordedRun {
  readonly trace: DiskTrace
  readonly checkpoints: ReadonlyArray<RecordedCheckpoint>
  readonly oracle: Oracle
  readonly promises: ReadonlyArray<Promised>
  readonly counts: RunCounts
}

const encoder = new TextEncoder()

/** Ids as the engine gives them: one after the other, never again. */
class Names {
  readonly ids: Map<string, number>
  next: number

  constructor(oracle: Oracle) {
    this.ids = new Map()
    this.next = firstNamedKeyspace
    for (const { key, keyspace, value } of oracle.stateAt(oracle.last)) {
      if (keyspace !== systemKeyspace || (nameInRowKey(key) === undefined && compareBytes(key, nextIdKey) !== 0)) continue
      const id = new DataView(value.buffer, value.byteOffset).getUint32(0)
      if (compareBytes(key, nextIdKey) === 0) this.next = id
      else this.ids.set(new TextDecoder().decode(key.subarray(1)), id)
    }
  }
}

const int64 = (n: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigInt64(0, n, true)
  return bytes
}
const readInt64 = (bytes: Uint8Array): bigint => new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true)

/** What the atomic operations promise, once more. */
const updateOf = (
  operation: Extract<WorkloadOperation, { readonly type: "add" | "max" | "append" | "setOnce" | "versionstampedValue" }>,
  index: number
) => {
  switch (operation.type) {
    case "add":
      return (before: Uint8Array | undefined) => int64((before === undefined ? 0n : readInt64(before)) + BigInt(operation.by))
    case "max":
      return (before: Uint8Array | undefined) =>
        before !== undefined && readInt64(before) > BigInt(operation.by) ? before : int64(BigInt(operation.by))
    case "append":
      return (before: Uint8Array | undefined) => Buffer.concat([before ?? new Uint8Array(0), encoder.encode(operation.text)])
    case "setOnce":
      return (before: Uint8Array | undefined) => before ?? encoder.encode(operation.text)
    case "versionstampedValue":
      return (_before: Uint8Array | undefined, sequence: number) => {
        const stamp = Buffer.alloc(10)
        stamp.writeBigUInt64BE(BigInt(sequence), 0)
        stamp.writeUInt16BE(index, 8)
        return Buffer.concat([encoder.encode(operation.text), stamp])
      }
  }
}

const operationFor = (names: Names, operation: WorkloadOperation, index: number, nowMs: number): OracleOperation => {
  const keyspace = operation.keyspace === undefined ? defaultKeyspace : names.ids.get(operation.keyspace)!
  switch (operation.type) {
    case "put":
      return {
        type: "put",
        keyspace,
        key: encoder.encode(operation.key),
        value: valueOf(operation.valueSeed, operation.valueBytes),
        expiresAt: operation.ttlMs === undefined ? 0 : nowMs + operation.ttlMs
      }
    case "delete":
      return { type: "delete", keyspace, key: encoder.encode(operation.key) }
    case "deleteRange":
      return { type: "deleteRange", keyspace, gte: encoder.encode(operation.gte), lt: encoder.encode(operation.lt) }
    default:
      return { type: "update", keyspace, key: encoder.encode(operation.key), update: updateOf(operation, index) }
  }
}

/** The same for the engine. */
export const writeFor = (operation: WorkloadOperation, nowMs: number): WriteOperation => {
  const { keyspace } = operation
  switch (operation.type) {
    case "put":
      return {
        type: "put",
        keyspace,
        key: operation.key,
        value: valueOf(operation.valueSeed, operation.valueBytes),
        expiresAt: operation.ttlMs === undefined ? undefined : nowMs + operation.ttlMs
      }
    case "delete":
    case "deleteRange":
      return operation
    case "add":
    case "max":
      return { type: operation.type, keyspace, key: operation.key, value: operation.by }
    default:
      return { type: operation.type, keyspace, key: operation.key, value: operation.text }
  }
}

const isAtomic = ({ type }: WorkloadOperation): boolean => type !== "put" && type !== "delete" && type !== "deleteRange"

/** The engine's own commits, from the log: what expires, and where cursors stand. */
const learnFromLog = (trace: DiskTrace, oracle: Oracle): number => {
  let expired = 0
  for (const { operations, sequence } of loggedCommits(trace).values()) {
    if (oracle.has(sequence)) continue
    const own = operations.flatMap((operation): ReadonlyArray<OracleOperation> => {
      if (operation.type === "expire") return [operation]
      return operation.keyspace === systemKeyspace && operation.type !== "rangeDelete" && operation.key[0] === cursorRowsFrom[0] ? [operation] : []
    })
    expired += own.filter(({ type }) => type === "expire").length
    oracle.commit(sequence, own)
  }
  return expired
}

/** The last commit that wrote this row of the system keyspace. */
const commitOfRow = (trace: DiskTrace, row: Uint8Array): number => {
  let last = 0
  for (const { operations, sequence } of loggedCommits(trace).values()) {
    if (
      sequence > last &&
      operations.some((operation) => operation.type === "put" && operation.keyspace === systemKeyspace && compareBytes(operation.key, row) === 0)
    )
      last = sequence
  }
  return last
}

interface HeldSnapshot {
  readonly snapshot: Snapshot
  readonly sequence: number
  /** When it was taken. */
  readonly nowMs: number
  readonly release: Effect.Effect<void>
}

/** Clocks are read in between: what expires as close to the moment as this may be there or not. */
const slackMs = 20

const sameEntries = (
  found: ReadonlyArray<{ readonly key: Uint8Array; readonly value: Uint8Array }>,
  expected: ReadonlyArray<OracleEntry>,
  nowMs: number
): boolean => {
  let at = 0
  for (const { expiresAt = 0, key, value } of expected) {
    const next = found[at]
    const isThere = next !== undefined && compareBytes(next.key, key) === 0
    if (isThere) {
      if (compareBytes(next.value, value) !== 0 || (expiresAt !== 0 && expiresAt < nowMs - slackMs)) return false
      at++
    } else if (expiresAt === 0 || expiresAt > nowMs + slackMs) return false
  }
  return at === found.length
}

/** Runs the steps on a disk that records. `history` is what the disk holds already. Fails where the engine answers wrongly even without a crash. */
export const recordRun = (input: {
  readonly disk: SimulatedDisk
  readonly steps: ReadonlyArray<WorkloadStep>
  readonly history?: Oracle | undefined
  readonly settings?: EngineSettings | undefined
}): Effect.Effect<RecordedRun, unknown> =>
  withSimulatedClock(
    Effect.gen(function* () {
      const { disk, settings = {}, steps } = input
      const trace = disk.trace!
      const oracle = (input.history ?? new Oracle()).through(Number.MAX_SAFE_INTEGER)
      const promises: Array<Promised> = []
      const checkpoints: Array<RecordedCheckpoint> = []
      const counts: RunCounts = {
        transactions: 0,
        groups: 0,
        flushes: 0,
        compactions: 0,
        rangeDeletes: 0,
        keyspaceDrops: 0,
        reopens: 0,
        snapshotReads: 0,
        atomics: 0,
        expiringPuts: 0,
        expired: 0,
        interactive: 0,
        conflicts: 0,
        cursorMoves: 0
      }
      const names = new Names(oracle)
      let acknowledged = oracle.last
      const promise = (sequence: number, durability: Durability, by: string) => {
        if (sequence > acknowledged) acknowledged = sequence
        promises.push({ events: trace.events.length, sequence, durability, by })
      }
      const held: Array<HeldSnapshot> = []
      const behind: Array<Fiber.Fiber<void, unknown>> = []

      const checkReads = (reads: Pick<DatabaseShape, "scan">, sequence: number, what: string, momentMs?: number) =>
        Effect.gen(function* () {
          const nowMs = momentMs ?? (yield* Clock.currentTimeMillis)
          const found = yield* Stream.runCollect(reads.scan())
          const expected = oracle.stateAt(sequence).filter(({ keyspace }) => keyspace === defaultKeyspace)
          if (!sameEntries([...found], expected, nowMs)) {
            return yield* Effect.die(new Error(`${what} at ${sequence} shows ${found.length} entries, not the ${expected.length} of the oracle`))
          }
        })

      /** Reads, lets the others go on, and writes: where one of them wrote what was read, it is all done again. */
      const interactively = (
        db: DatabaseShape,
        asked: ReadonlyArray<WriteOperation>,
        reads: ReadonlyArray<string>,
        durability: Durability
      ): Effect.Effect<WriteResult, unknown> =>
        Effect.scoped(
          Effect.gen(function* () {
            const tx = yield* db.begin({ durability })
            for (const key of reads) yield* tx.get(key)
            yield* Effect.yieldNow
            yield* tx.write(asked)
            return yield* tx.commit
          })
        ).pipe(
          Effect.tap(() => Effect.sync(() => counts.interactive++)),
          Effect.catchIf(
            (error) => error._tag === "TransactionConflict",
            () => {
              counts.conflicts++
              return interactively(db, asked, reads, durability)
            }
          )
        )

      const take = (step: WorkloadStep, db: DatabaseShape): Effect.Effect<void, unknown> =>
        Effect.gen(function* () {
          switch (step.step) {
            case "write":
              yield* Effect.forEach(
                step.transactions,
                ({ durability, operations, reads }) =>
                  Effect.gen(function* () {
                    const nowMs = yield* Clock.currentTimeMillis
                    const written = operations.map((operation, index) => operationFor(names, operation, index, nowMs))
                    const asked = operations.map((operation) => writeFor(operation, nowMs))
                    const result = yield* reads === undefined ? db.write(asked, { durability }) : interactively(db, asked, reads, durability)
                    if (result.durability === "memory") return yield* Effect.die(new Error("a simulated disk is durable"))
                    if (durability === "sync" && result.durability !== "sync")
                      return yield* Effect.die(new Error("a sync write was answered as buffered"))
                    oracle.commit(result.sequence, written)
                    promise(result.sequence, result.durability, "write")
                    counts.transactions++
                    counts.rangeDeletes += operations.filter(({ type }) => type === "deleteRange").length
                    counts.atomics += operations.filter(isAtomic).length
                    counts.expiringPuts += operations.filter((operation) => operation.type === "put" && operation.ttlMs !== undefined).length
                  }),
                { concurrency: "unbounded" }
              )
              return
            case "flush":
              yield* db.flush
              promise(acknowledged, "sync", "flush")
              return
            case "compact":
              yield* db.compact()
              return
            case "flushBehind": {
              const through = acknowledged
              behind.push(
                yield* Effect.forkDetach(
                  Effect.tap(db.flush, () => Effect.sync(() => promise(through, "sync", "flush behind"))),
                  { startImmediately: true }
                )
              )
              return
            }
            case "compactBehind":
              behind.push(yield* Effect.forkDetach(db.compact(), { startImmediately: true }))
              return
            case "checkpoint": {
              const from = trace.events.length
              const made = Effect.tap(db.checkpoint(step.path), ({ path, sequence }) =>
                Effect.sync(() => {
                  promise(sequence, "sync", "checkpoint")
                  checkpoints.push({ path, sequence, from, until: trace.events.length })
                })
              )
              behind.push(yield* Effect.forkDetach(Effect.asVoid(made), { startImmediately: true }))
              return
            }
            case "cursor": {
              const row = cursorRowKey(encoder.encode(step.name))
              const known = (yield* db.cursors).some(({ name }) => name === step.name)
              if (known) yield* db.advanceCursor(step.name, (yield* db.stats).visibleSequence + 1)
              else yield* db.createCursor(step.name)
              const sequence = commitOfRow(trace, row)
              if (sequence > 0) promise(sequence, "sync", "cursor")
              counts.cursorMoves++
              return
            }
            case "create": {
              yield* db.keyspace(step.keyspace)
              const id = names.next++
              names.ids.set(step.keyspace, id)
              const row = keyspaceRowKey(encoder.encode(step.keyspace))
              const sequence = commitOfRow(trace, row)
              oracle.commit(sequence, [
                { type: "put", keyspace: systemKeyspace, key: row, value: encodeId(id) },
                { type: "put", keyspace: systemKeyspace, key: nextIdKey, value: encodeId(id + 1) }
              ])
              promise(sequence, "sync", "create")
              return
            }
            case "drop": {
              const result = yield* db.dropKeyspace(step.keyspace)
              names.ids.delete(step.keyspace)
              oracle.commit(result.sequence, [{ type: "delete", keyspace: systemKeyspace, key: keyspaceRowKey(encoder.encode(step.keyspace)) }])
              promise(result.sequence, result.durability === "sync" ? "sync" : "buffered", "drop")
              counts.keyspaceDrops++
              return
            }
            case "snapshot": {
              const scope = yield* Scope.make()
              const snapshot = yield* Scope.provide(db.snapshot, scope)
              held.push({ snapshot, sequence: snapshot.sequence, nowMs: yield* Clock.currentTimeMillis, release: Scope.close(scope, Exit.void) })
              return
            }
            case "release": {
              const oldest = held.shift()
              if (oldest === undefined) return
              yield* checkReads(oldest.snapshot, oldest.sequence, "a snapshot held over other work", oldest.nowMs)
              counts.snapshotReads++
              yield* oldest.release
              return
            }
            case "reopen":
              return
          }
        })

      let at = 0
      while (at < steps.length) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openSimulated(disk, settings)
            yield* checkReads(db, acknowledged, "the database after opening")
            for (; at < steps.length; at++) {
              const step = steps[at]!
              if (step.step === "reopen") {
                at++
                break
              }
              yield* take(step, db)
            }
            for (const fiber of behind.splice(0)) yield* Fiber.join(fiber)
            for (const { release } of held.splice(0)) yield* release
            yield* checkReads(db, acknowledged, "the database before closing")
            const stats: DatabaseStats = yield* db.stats
            counts.flushes += stats.flushes.count
            counts.compactions += stats.compactions.count
            counts.groups += stats.commits.groups
          })
        )
        // A clean close syncs what was buffered.
        promise(acknowledged, "sync", "close")
        counts.reopens++
        counts.expired += learnFromLog(trace, oracle)
      }
      return { trace, checkpoints, oracle, promises, counts }
    })
  )
