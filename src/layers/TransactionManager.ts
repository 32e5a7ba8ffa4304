import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { Batch } from "../domain/batch/Batch.ts"
import { normalise } from "../domain/batch/normalise.ts"
import {
  BatchTooLarge,
  InvalidBatch,
  InvalidKey,
  InvalidKeyspaceName,
  InvalidOptions,
  InvalidRange,
  InvalidValue,
  KeyspaceDropped,
  KeyspaceNotFound,
  WriteStalled,
  type WriteError
} from "../domain/errors.ts"
import { describeType } from "../domain/keys/describeType.ts"
import { Kind } from "../domain/keys/kinds.ts"
import { entryBytes, type Memtable } from "../domain/memtable/Memtable.ts"
import { Catalog } from "../services/Catalog.ts"
import type { Durability, WriteOptions, WriteResult } from "../services/Database.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { Memtables } from "../services/Memtables.ts"
import { Tables } from "../services/Tables.ts"
import { TransactionManager } from "../services/TransactionManager.ts"
import { ValueCache } from "../services/ValueCache.ts"
import { type CommitReply, Wal } from "../services/Wal.ts"
import { SnapshotLeases } from "./SnapshotLeases.ts"

/** Bytes encoded but not written above which newcomers wait for the group ahead: what bounds the memory of a burst. */
const pendingBytesMax = 16 << 20

/** What may be thrown while a batch is checked; everything else is a broken rule of ours. */
const isRefusal = (e: unknown): e is WriteError =>
  e instanceof InvalidKey ||
  e instanceof InvalidValue ||
  e instanceof InvalidRange ||
  e instanceof InvalidBatch ||
  e instanceof BatchTooLarge ||
  e instanceof KeyspaceNotFound ||
  e instanceof KeyspaceDropped ||
  e instanceof InvalidKeyspaceName ||
  e instanceof InvalidOptions

/** Why a write has to wait, as the beginning of the names of the conditions that say that it waits in vain. */
type Pressure = "flush" | "compaction"

/** The options of one write, which nobody has checked yet. Throws `InvalidOptions`. */
const durabilityOf = (given: WriteOptions | undefined, fallback: Durability): Durability => {
  if (given === undefined) return fallback
  if (typeof given !== "object" || given === null)
    throw new InvalidOptions({ problems: [`the options of a write must be an object such as { durability: "sync" }, found ${describeType(given)}`] })
  for (const name in given) {
    if (name !== "durability") throw new InvalidOptions({ problems: [`${JSON.stringify(name)} is not an option of a write; there is durability`] })
  }
  const durability: unknown = given.durability
  if (durability === undefined) return fallback
  if (durability === "sync" || durability === "buffered") return durability
  throw new InvalidOptions({
    problems: [
      `durability must be "sync" or "buffered", found ${typeof durability === "string" ? JSON.stringify(durability.slice(0, 40)) : describeType(durability)}`
    ]
  })
}

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const manifest = yield* Manifest
  const memtables = yield* Memtables
  const tables = yield* Tables
  const catalog = yield* Catalog
  const valueCache = yield* ValueCache
  const wal = yield* Wal

  const batch = new Batch({ seed: manifest.state().hashSeed, valueBytesMax: options.valueBytesMax, batchBytesMax: options.batchBytesMax })
  const stalls = { slowed: 0, stopped: 0, waiting: 0, totalMs: 0 }
  let waiting: Array<() => void> = []
  /** Counts the signals: one that comes between a look and the wait that follows is not missed. */
  let roomSignals = 0
  let userBytes = 0

  const roomChanged = () => {
    roomSignals++
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => health.onChange(roomChanged)),
    (stop) => Effect.sync(stop)
  )
  const someOpen = Latch.makeUnsafe(false)
  const releaseListeners: Array<() => void> = []
  const leases = new SnapshotLeases(
    clock.monotonicMs,
    options.snapshotLeaseMs,
    () => {
      for (const listener of releaseListeners) listener()
    },
    { openMax: options.maxTransactions, closed: health.closed, onFirst: () => someOpen.openUnsafe() }
  )
  // The reaper: abandoned snapshots (a dropped iterator, a stuck fiber) must not pin versions for ever. It sleeps only while some are open: an idle database has no timer.
  const reapWhileOpen = Effect.gen(function* () {
    yield* someOpen.await
    someOpen.closeUnsafe()
    while (leases.size > 0) {
      yield* Effect.sleep(Math.max(1, Math.min(options.snapshotLeaseMs, 5000)))
      leases.reap()
    }
  })
  yield* Effect.forkScoped(Effect.forever(reapWhileOpen))

  /** The next signal after the one with this number. */
  const roomAfter = (seen: number) =>
    Effect.callback<void>((resume) => {
      if (roomSignals !== seen) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      waiting.push(wake)
      return Effect.sync(() => {
        waiting = waiting.filter((other) => other !== wake)
      })
    })

  /**
   * Waits for the flusher or the compactor, and looks again: a signal, not a delay. Ends with an error when what it waits for has stopped; what else is wrong with the
   * database does not concern it. Called in the very step in which there was no room.
   */
  const stopped = <A>(
    pressure: Pressure,
    sinceMs: number | undefined,
    again: (sinceMs: number) => Effect.Effect<A, WriteError>
  ): Effect.Effect<A, WriteError> => {
    const nowMs = clock.monotonicMs()
    const since = sinceMs ?? nowMs
    const hopeless = health.conditionOf(pressure)
    if (hopeless !== undefined) return Effect.fail(new WriteStalled({ detail: hopeless, waitedMs: nowMs - since }))
    const seen = roomSignals
    if (sinceMs === undefined) stalls.stopped++
    return Effect.andThen(
      Effect.acquireUseRelease(
        Effect.sync(() => stalls.waiting++),
        () => roomAfter(seen),
        () =>
          Effect.sync(() => {
            stalls.waiting--
            stalls.totalMs += clock.monotonicMs() - nowMs
          })
      ),
      Effect.suspend(() => again(since))
    )
  }

  const fill = (keyspace: number, operations: unknown) =>
    normalise(batch, operations, (name) => {
      if (name === undefined) return keyspace
      const id = catalog.idOf(name)
      if (id === undefined) throw new KeyspaceNotFound({ name: String(name) })
      return id
    })

  /** Everything that can fail comes before the sequence; from there to the end of this turn nothing may. */
  const commit = (
    durability: Durability,
    sequenced: ((sequence: number) => () => void) | undefined
  ): Effect.Effect<WriteResult, WriteError> | undefined => {
    const { count } = batch
    if (count === 0) return Effect.succeed({ sequence: wal.visibleSequence(), durability: disk.durable ? durability : "memory" })
    const { keyBytes, keyEnds, keyStarts, keyspaces, kinds, valueBytes, valueEnds, valueStarts } = batch
    let bytes = 0
    for (let i = 0; i < count; i++) bytes += entryBytes(keyEnds[i]! - keyStarts[i]!, valueEnds[i]! - valueStarts[i]!, false)
    const memtable = memtables.makeRoom(bytes, count)
    // As many memtables as may be held are full.
    if (memtable === undefined) return undefined
    const builder = wal.builder()
    builder.beginTransaction(clock.nowMs())
    try {
      for (let i = 0; i < count; i++) {
        switch (kinds[i]) {
          case Kind.put:
            builder.putRange(keyspaces[i]!, keyBytes, keyStarts[i]!, keyEnds[i]!, valueBytes[i]!, valueStarts[i]!, valueEnds[i]!)
            break
          case Kind.delete:
            builder.delete(keyspaces[i]!, keyBytes.subarray(keyStarts[i]!, keyEnds[i]!))
            break
          default:
            builder.rangeDelete(keyspaces[i]!, keyBytes.subarray(keyStarts[i]!, keyEnds[i]!), valueBytes[i]!.subarray(valueStarts[i]!, valueEnds[i]!))
        }
      }
    } catch (cause) {
      builder.abortTransaction()
      if (cause instanceof RangeError) return Effect.fail(new BatchTooLarge({ bytes: batch.bytes, bytesMax: options.batchBytesMax }))
      throw cause
    }
    builder.endTransaction()
    const sequence = wal.nextSequence()
    try {
      insert(memtable, sequence)
    } catch (cause) {
      // Room was reserved, so this is a broken rule of ours; what was encoded is half inserted, and no group may follow.
      wal.abandon(cause)
      throw cause
    }
    const takeBack = sequenced?.(sequence)
    userBytes += batch.bytes
    let answered: CommitReply | undefined
    let resume: ((answer: CommitReply) => void) | undefined
    wal.submit(durability === "sync", (answer) => {
      if (takeBack !== undefined && Exit.isExit(answer) && Exit.isFailure(answer)) takeBack()
      if (resume === undefined) answered = answer
      else resume(answer)
    })
    if (answered !== undefined) return answered
    return Effect.callback((register) => {
      if (answered === undefined) resume = register
      else register(answered)
    })
  }

  /** The batch becomes readable in the memtable, invisible until its group is written. */
  const insert = (memtable: Memtable, sequence: number): void => {
    const { count, hashes, keyBytes, keyEnds, keyStarts, keyspaces, kinds, valueBytes, valueEnds, valueStarts } = batch
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]!
      if (kind === Kind.rangeDelete) {
        memtable.addRangeTombstone(
          keyspaces[i]!,
          keyBytes.slice(keyStarts[i]!, keyEnds[i]!),
          valueBytes[i]!.slice(valueStarts[i]!, valueEnds[i]!),
          sequence
        )
        valueCache.raiseFloor(sequence, keyspaces[i]!)
      } else {
        memtable.insert(
          keyspaces[i]!,
          hashes[i]!,
          keyBytes,
          keyStarts[i]!,
          keyEnds[i]!,
          kind,
          sequence,
          valueBytes[i]!,
          valueStarts[i]!,
          valueEnds[i]!,
          0
        )
        valueCache.noteWrite(hashes[i]!, sequence)
      }
    }
  }

  /** `slow`: give way once. */
  const pressureOfTables = (): "none" | "slow" | "stop" => {
    const level0 = tables.current().levels[0]!.length
    if (level0 >= options.level0StopTrigger) return "stop"
    return level0 >= options.level0SlowTrigger ? "slow" : "none"
  }

  const turn = (
    keyspace: number,
    given: WriteOptions | undefined,
    add: () => void,
    sequenced: ((sequence: number) => () => void) | undefined,
    slowed: boolean,
    sinceMs: number | undefined
  ): Effect.Effect<WriteResult, WriteError> =>
    Effect.suspend(() => {
      const refusal = health.refusal()
      if (refusal !== undefined) return Effect.fail(refusal)
      const again = (since: number | undefined) => turn(keyspace, given, add, sequenced, true, since)
      if (wal.pendingBytes() > pendingBytesMax) return Effect.andThen(wal.awaitVisible(wal.nextSequence() - 1), again(sinceMs))
      if (!wal.hasReservation()) return Effect.andThen(wal.awaitReservation, again(sinceMs))
      const pressed = pressureOfTables()
      if (pressed === "stop") return stopped("compaction", sinceMs, again)
      if (pressed === "slow" && !slowed) {
        stalls.slowed++
        return Effect.andThen(Effect.yieldNow, again(sinceMs))
      }
      if (!catalog.exists(keyspace)) return Effect.fail(new KeyspaceDropped({ name: catalog.nameOf(keyspace) ?? `#${keyspace}` }))
      batch.reset()
      try {
        const level = durabilityOf(given, options.durability)
        add()
        return commit(level, sequenced) ?? stopped("flush", sinceMs, again)
      } catch (cause) {
        if (isRefusal(cause)) return Effect.fail(cause)
        throw cause
      }
    })

  return TransactionManager.of({
    write: (keyspace, operations, given, sequenced) => turn(keyspace, given, () => fill(keyspace, operations), sequenced, false, undefined),
    writeOne: (keyspace, key, value, isDelete, given) =>
      turn(
        keyspace,
        given,
        () => {
          if (isDelete) batch.addDelete(keyspace, key)
          else batch.addPut(keyspace, key, value)
          batch.finish()
        },
        undefined,
        false,
        undefined
      ),
    snapshot: (onEnd, brief) => leases.open(wal.visibleSequence(), onEnd, brief),
    onRelease: (listener) => {
      releaseListeners.push(listener)
    },
    stripes: () => leases.stripes(wal.visibleSequence()),
    snapshots: () => leases.stats(),
    stalls: () => ({ ...stalls }),
    roomChanged,
    userBytes: () => userBytes
  })
})

export const layer: Layer.Layer<
  TransactionManager,
  never,
  Disk | EngineOptions | EngineClock | HealthMonitor | Manifest | Memtables | Tables | Catalog | ValueCache | Wal
> = Layer.effect(TransactionManager, make)
