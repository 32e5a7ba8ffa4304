/**
 * Runs a workload once through the engine over a recording disk, and notes what was promised when: the material of the crash sweep, which then stops the recorded run at every
 * operation without running it again.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { compareBytes } from "../../src/domain/keys/compareBytes.ts"
import { encodeId, keyspaceRowKey, nextIdKey } from "../../src/domain/keys/catalogRows.ts"
import { defaultKeyspace, firstNamedKeyspace, systemKeyspace } from "../../src/domain/keys/kinds.ts"
import type { DiskTrace, SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, DatabaseStats, Snapshot } from "../../src/services/Database.ts"
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
}

export interface RecordedRun {
  readonly trace: DiskTrace
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
      if (keyspace !== systemKeyspace) continue
      const id = new DataView(value.buffer, value.byteOffset).getUint32(0)
      if (compareBytes(key, nextIdKey) === 0) this.next = id
      else this.ids.set(new TextDecoder().decode(key.subarray(1)), id)
    }
  }
}

const operationFor = (names: Names, operation: WorkloadOperation): OracleOperation => {
  const keyspace = operation.keyspace === undefined ? defaultKeyspace : names.ids.get(operation.keyspace)!
  switch (operation.type) {
    case "put":
      return { type: "put", keyspace, key: encoder.encode(operation.key), value: valueOf(operation.valueSeed, operation.valueBytes) }
    case "delete":
      return { type: "delete", keyspace, key: encoder.encode(operation.key) }
    case "deleteRange":
      return { type: "deleteRange", keyspace, gte: encoder.encode(operation.gte), lt: encoder.encode(operation.lt) }
  }
}

interface HeldSnapshot {
  readonly snapshot: Snapshot
  readonly sequence: number
  readonly release: Effect.Effect<void>
}

const sameEntries = (found: ReadonlyArray<{ readonly key: Uint8Array; readonly value: Uint8Array }>, expected: ReadonlyArray<OracleEntry>): boolean =>
  found.length === expected.length &&
  found.every(({ key, value }, i) => compareBytes(key, expected[i]!.key) === 0 && compareBytes(value, expected[i]!.value) === 0)

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
      const counts: RunCounts = {
        transactions: 0,
        groups: 0,
        flushes: 0,
        compactions: 0,
        rangeDeletes: 0,
        keyspaceDrops: 0,
        reopens: 0,
        snapshotReads: 0
      }
      const names = new Names(oracle)
      let acknowledged = oracle.last
      const promise = (sequence: number, durability: Durability, by: string) => {
        if (sequence > acknowledged) acknowledged = sequence
        promises.push({ events: trace.events.length, sequence, durability, by })
      }
      const held: Array<HeldSnapshot> = []
      const behind: Array<Fiber.Fiber<void, unknown>> = []

      const checkReads = (reads: Pick<DatabaseShape, "scan">, sequence: number, what: string) =>
        Effect.gen(function* () {
          const found = yield* Stream.runCollect(reads.scan())
          const expected = oracle.stateAt(sequence).filter(({ keyspace }) => keyspace === defaultKeyspace)
          if (!sameEntries([...found], expected)) {
            return yield* Effect.die(new Error(`${what} at ${sequence} shows ${found.length} entries, not the ${expected.length} of the oracle`))
          }
        })

      const take = (step: WorkloadStep, db: DatabaseShape): Effect.Effect<void, unknown> =>
        Effect.gen(function* () {
          switch (step.step) {
            case "write":
              yield* Effect.forEach(
                step.transactions,
                ({ durability, operations }) =>
                  Effect.gen(function* () {
                    const written = operations.map((operation) => operationFor(names, operation))
                    const result = yield* db.write(
                      operations.map((operation) =>
                        operation.type === "put"
                          ? {
                              type: "put" as const,
                              keyspace: operation.keyspace,
                              key: operation.key,
                              value: valueOf(operation.valueSeed, operation.valueBytes)
                            }
                          : operation
                      ),
                      { durability }
                    )
                    if (result.durability === "memory") return yield* Effect.die(new Error("a simulated disk is durable"))
                    if (durability === "sync" && result.durability !== "sync")
                      return yield* Effect.die(new Error("a sync write was answered as buffered"))
                    oracle.commit(result.sequence, written)
                    promise(result.sequence, result.durability, "write")
                    counts.transactions++
                    counts.rangeDeletes += operations.filter(({ type }) => type === "deleteRange").length
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
            case "create": {
              yield* db.keyspace(step.keyspace)
              const id = names.next++
              names.ids.set(step.keyspace, id)
              const { visibleSequence } = yield* db.stats
              oracle.commit(visibleSequence, [
                { type: "put", keyspace: systemKeyspace, key: keyspaceRowKey(encoder.encode(step.keyspace)), value: encodeId(id) },
                { type: "put", keyspace: systemKeyspace, key: nextIdKey, value: encodeId(id + 1) }
              ])
              promise(visibleSequence, "sync", "create")
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
              held.push({ snapshot, sequence: snapshot.sequence, release: Scope.close(scope, Exit.void) })
              return
            }
            case "release": {
              const oldest = held.shift()
              if (oldest === undefined) return
              yield* checkReads(oldest.snapshot, oldest.sequence, "a snapshot held over other work")
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
      }
      return { trace, oracle, promises, counts }
    })
  )
