import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Batch } from "../domain/batch/Batch.ts"
import { normalise } from "../domain/batch/normalise.ts"
import {
  BatchTooLarge, InvalidBatch, InvalidKey, InvalidKeyspaceName, InvalidOptions, InvalidRange, InvalidValue, KeyspaceDropped, KeyspaceNotFound, WriteStalled, type WriteError
} from "../domain/errors.ts"
import { Kind } from "../domain/keys/kinds.ts"
import { entryBytes } from "../domain/memtable/Memtable.ts"
import { Catalog } from "../services/Catalog.ts"
import type { Durability, WriteResult } from "../services/Database.ts"
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
  e instanceof InvalidKey || e instanceof InvalidValue || e instanceof InvalidRange || e instanceof InvalidBatch || e instanceof BatchTooLarge ||
  e instanceof KeyspaceNotFound || e instanceof KeyspaceDropped || e instanceof InvalidKeyspaceName

const make = Effect.gen(function*() {
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
  let userBytes = 0

  const roomChanged = () => {
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }
  yield* Effect.acquireRelease(Effect.sync(() => health.onChange(roomChanged)), (stop) => Effect.sync(stop))
  const leases = new SnapshotLeases(clock.monotonicMs, options.snapshotLeaseMs, () => undefined)
  // The reaper: abandoned snapshots (a dropped iterator, a stuck fiber) must not pin versions for ever.
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(Math.max(1, Math.min(options.snapshotLeaseMs, 5000))), Effect.sync(() => leases.reap()))))

  const nextRoomChange = Effect.callback<void>((resume) => {
    waiting.push(() => resume(Effect.void))
  })

  /** Waits for the flusher or the compactor, and looks again: a signal, not a delay. Ends with an error when what it waits for has stopped. */
  const stopped = <A>(again: Effect.Effect<A, WriteError>): Effect.Effect<A, WriteError> =>
    Effect.suspend(() => {
      const condition = health.current()
      if (condition.state === "degraded" && condition.reasons.length > 0) return Effect.fail(new WriteStalled({ detail: condition.reasons.join("; ") }))
      const since = clock.monotonicMs()
      stalls.stopped++
      stalls.waiting++
      return Effect.andThen(
        Effect.ensuring(nextRoomChange, Effect.sync(() => {
          stalls.waiting--
          stalls.totalMs += clock.monotonicMs() - since
        })),
        again
      )
    })

  const fill = (keyspace: number, operations: unknown) =>
    normalise(batch, operations, (name) => {
      if (name === undefined) return keyspace
      const id = catalog.idOf(name)
      if (id === undefined) throw new KeyspaceNotFound({ name: String(name) })
      return id
    })

  /** Everything that can fail comes before the sequence; from there to the end of this turn nothing may. */
  const commit = (durability: Durability, sequenced: ((sequence: number) => void) | undefined): Effect.Effect<WriteResult, WriteError> | undefined => {
    const { count } = batch
    if (count === 0) return Effect.succeed({ sequence: wal.visibleSequence(), durability })
    const { hashes, keyBytes, keyEnds, keyStarts, keyspaces, kinds, valueBytes, valueEnds, valueStarts } = batch
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
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]!
      if (kind === Kind.rangeDelete) {
        memtable.addRangeTombstone(
          keyspaces[i]!, keyBytes.slice(keyStarts[i]!, keyEnds[i]!), valueBytes[i]!.slice(valueStarts[i]!, valueEnds[i]!), sequence
        )
        valueCache.raiseFloor(sequence, keyspaces[i]!)
      } else {
        memtable.insert(
          keyspaces[i]!, hashes[i]!, keyBytes, keyStarts[i]!, keyEnds[i]!, kind, sequence, valueBytes[i]!, valueStarts[i]!, valueEnds[i]!, 0
        )
        valueCache.noteWrite(hashes[i]!, sequence)
      }
    }
    sequenced?.(sequence)
    userBytes += batch.bytes
    let answered: CommitReply | undefined
    let resume: ((answer: CommitReply) => void) | undefined
    wal.submit(durability === "sync", (answer) => {
      if (resume === undefined) answered = answer
      else resume(answer)
    })
    if (answered !== undefined) return answered
    return Effect.callback((register) => {
      if (answered === undefined) resume = register
      else register(answered)
    })
  }

  const durabilityOf = (durability: Durability | undefined): Durability => {
    if (durability === undefined) return options.durability
    if (durability !== "sync" && durability !== "buffered") throw new InvalidOptions({ problems: [`durability must be "sync" or "buffered", not ${JSON.stringify(durability)}`] })
    return durability
  }

  /** `pressure` 0: go on; 1: give way once; 2: wait. */
  const pressure = (): 0 | 1 | 2 => {
    const level0 = tables.current().levels[0]!.length
    if (level0 >= options.level0StopTrigger) return 2
    return level0 >= options.level0SlowTrigger ? 1 : 0
  }

  const turn = (
    keyspace: number, durability: Durability | undefined, add: () => void, slowed: boolean, sequenced?: (sequence: number) => void
  ): Effect.Effect<WriteResult, WriteError> =>
    Effect.suspend(() => {
      const refusal = health.refusal()
      if (refusal !== undefined) return Effect.fail(refusal)
      if (wal.pendingBytes() > pendingBytesMax) return Effect.andThen(Effect.ignore(wal.awaitVisible(wal.nextSequence() - 1)), turn(keyspace, durability, add, true, sequenced))
      const pressed = pressure()
      if (pressed === 2) return stopped(turn(keyspace, durability, add, true, sequenced))
      if (pressed === 1 && !slowed) {
        stalls.slowed++
        return Effect.andThen(Effect.yieldNow, turn(keyspace, durability, add, true, sequenced))
      }
      if (!catalog.exists(keyspace)) return Effect.fail(new KeyspaceDropped({ name: `#${keyspace}` }))
      batch.reset()
      try {
        const level = durabilityOf(durability)
        add()
        return commit(level, sequenced) ?? stopped(turn(keyspace, durability, add, true, sequenced))
      } catch (cause) {
        if (isRefusal(cause) || cause instanceof InvalidOptions) return Effect.fail(cause)
        throw cause
      }
    })

  return TransactionManager.of({
    write: (keyspace, operations, durability, sequenced) => turn(keyspace, durability, () => fill(keyspace, operations), false, sequenced),
    writeOne: (keyspace, key, value, isDelete, durability) =>
      turn(keyspace, durability, () => {
        if (isDelete) batch.addDelete(keyspace, key)
        else batch.addPut(keyspace, key, value)
        batch.finish()
      }, false),
    snapshot: (onEnd) => leases.open(wal.visibleSequence(), onEnd),
    stripes: () => leases.stripes(wal.visibleSequence()),
    snapshots: () => leases.stats(),
    stalls: () => ({ ...stalls }),
    roomChanged,
    userBytes: () => userBytes
  })
})

export const layer: Layer.Layer<
  TransactionManager, never, EngineOptions | EngineClock | HealthMonitor | Manifest | Memtables | Tables | Catalog | ValueCache | Wal
> = Layer.effect(TransactionManager, make)
