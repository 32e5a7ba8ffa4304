import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { Batch } from "../domain/batch/Batch.ts"
import { NotAtHand } from "../domain/batch/CommitHead.ts"
import { normalise } from "../domain/batch/normalise.ts"
import {
  AtomicOperationFailed,
  BatchTooLarge,
  InvalidBatch,
  InvalidKey,
  InvalidOptions,
  InvalidValue,
  KeyspaceDropped,
  KeyspaceNotFound,
  type BatchError,
  type DeleteError,
  fromReadFailure,
  type PutError,
  type WriteError
} from "../domain/errors.ts"
import { mayPass } from "../domain/errors/severity.ts"
import { Kind } from "../domain/keys/kinds.ts"
import { entryBytes, type Memtable } from "../domain/memtable/Memtable.ts"
import { Catalog } from "../services/Catalog.ts"
import type { Durability, PutOptions, WriteOptions, WriteResult } from "../services/Database.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { MemoryBudget } from "../services/MemoryBudget.ts"
import { Memtables } from "../services/Memtables.ts"
import { SpaceKeeper } from "../services/SpaceKeeper.ts"
import { Tables } from "../services/Tables.ts"
import { Timeline } from "../services/Timeline.ts"
import { type CommitRequest, TransactionManager } from "../services/TransactionManager.ts"
import { ValueCache } from "../services/ValueCache.ts"
import { type CommitReply, Wal } from "../services/Wal.ts"
import { Watchdog } from "../services/Watchdog.ts"
import { pendingBytesMax } from "./memory/estimates.ts"
import { supervise } from "./jobs/supervise.ts"
import { SnapshotLeases } from "./SnapshotLeases.ts"
import { CommitMoment } from "./transactions/CommitMoment.ts"
import { ListWrite, OneWrite } from "./transactions/writeRequests.ts"
import { type Filling, makeReadAhead, type ReadAheadValues } from "./transactions/readAhead.ts"
import { makeRoom } from "./transactions/room.ts"
import { annotationBytes, demandWriteOptions, durabilityOf } from "./transactions/writeOptions.ts"

const forGroup = () => "the group of commits ahead is not written"
const forReservation = () => "no sequence is reserved: an edit of the manifest has to be durable first"

/** What may be thrown while a batch is checked; everything else is a broken rule of ours. */
const isRefusal = (e: unknown): e is BatchError =>
  e instanceof AtomicOperationFailed ||
  e instanceof InvalidKey ||
  e instanceof InvalidValue ||
  e instanceof InvalidBatch ||
  e instanceof BatchTooLarge ||
  e instanceof KeyspaceNotFound ||
  e instanceof KeyspaceDropped ||
  e instanceof InvalidOptions

/** So many tables more than stop the others may lie in level 0 before deletes, drops and what expires wait too. */
const level0Reserve = 8

/** What of a request belongs to its sequence. */
type Sequenced = Pick<CommitRequest<unknown>, "conflicts" | "sequenced">

/** What is known from earlier attempts at a turn. */
interface Attempt {
  /** It has given way to compaction once. */
  readonly slowed: boolean
  /** Since when it waits for room. */
  readonly sinceMs: number | undefined
  readonly prefetched: ReadAheadValues | undefined
}

/** Gets what the log makes of a commit, in place of an Effect that waits for it. */
type Settled = (reply: CommitReply) => void

const firstAttempt: Attempt = { slowed: false, sinceMs: undefined, prefetched: undefined }

const refusedOptions = (given: unknown, isPut: boolean): InvalidOptions | undefined => {
  if (given === undefined) return undefined
  try {
    demandWriteOptions(given, isPut)
    return undefined
  } catch (cause) {
    if (cause instanceof InvalidOptions) return cause
    throw cause
  }
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
  const timeline = yield* Timeline
  const valueCache = yield* ValueCache
  const wal = yield* Wal
  const space = yield* SpaceKeeper
  const memory = yield* MemoryBudget
  const watchdog = yield* Watchdog

  const { hashSeed } = manifest.state()
  const batch = new Batch({ seed: hashSeed, valueBytesMax: options.valueBytesMax, batchBytesMax: options.batchBytesMax })
  const {
    bounded,
    changed: roomChanged,
    stalls,
    stopped
  } = makeRoom(clock, health, {
    waitTimeoutMs: options.waitTimeoutMs,
    waitingMax: options.maxPendingWrites,
    memory: memory.describe,
    hanging: watchdog.hanging
  })
  const pendingMax = pendingBytesMax(options.memoryBytes)
  /** For something else than room: the group ahead, or the reservation. */
  const waits = <A, E, E2>(wait: Effect.Effect<void, E>, what: () => string, then: Effect.Effect<A, E2>) =>
    Effect.andThen(bounded(wait, clock.monotonicMs(), what), then)
  let userBytes = 0
  /** A commit turn is being taken. */
  let turning = false

  yield* Effect.acquireRelease(
    Effect.sync(() => health.onChange(roomChanged)),
    (stop) => Effect.sync(stop)
  )
  const someOpen = Latch.makeUnsafe(false)
  const releaseListeners: Array<(sequence: number) => void> = []
  const expiringListeners: Array<(expiresAt: number) => void> = []
  const leases = new SnapshotLeases(
    clock.monotonicMs,
    options.snapshotLeaseMs,
    (sequence) => {
      for (const listener of releaseListeners) listener(sequence)
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
  yield* Effect.forkScoped(
    supervise({ health, retry: options.retry }, "snapshot reaper", "lesser", (progressed) =>
      Effect.suspend(() => {
        if (leases.size > 0) someOpen.openUnsafe()
        return Effect.forever(Effect.andThen(reapWhileOpen, Effect.sync(progressed)))
      })
    )
  )

  const fill = (keyspace: number, operations: unknown) =>
    normalise(
      batch,
      operations,
      (name) => {
        if (name === undefined) return keyspace
        const id = catalog.idOf(name)
        if (id === undefined) throw new KeyspaceNotFound({ name: String(name) })
        return id
      },
      head
    )

  /** An answer that writes nothing, but was found at the head: good once all before it is visible. */
  const whenVisible = <A, E>(answer: Effect.Effect<A, E>): Effect.Effect<A, E | WriteError> =>
    Effect.andThen(wal.awaitVisible(wal.nextSequence() - 1), answer)

  /** Everything that can fail comes before the sequence; from there to the end of this turn nothing may. */
  const sequence = (
    durability: Durability,
    annotation: Uint8Array | undefined,
    request: Sequenced,
    settled: Settled | undefined
  ): Effect.Effect<WriteResult, WriteError> | "no room" | undefined => {
    const { results } = batch
    const { conflicts } = request
    if (batch.count === 0 && conflicts === undefined) {
      const answer = Effect.sync((): WriteResult => ({
        sequence: wal.visibleSequence(),
        durability: disk.durable ? durability : "memory",
        ...(results === undefined ? {} : { results })
      }))
      return batch.readHead ? whenVisible(answer) : answer
    }
    // The first commit of a second brings its time mark along, where history is kept.
    const mark = timeline.due(head.commitTimeMs)
    if (mark !== undefined) {
      batch.addSystemRow(mark.key, mark.value)
      for (const key of mark.obsolete) batch.addSystemRow(key, undefined)
    }
    const { beforeImages, count, expiresAt, keyBytes, keyEnds, keyStarts, keyspaces, kinds, valueBytes, valueEnds, valueStarts, versions } = batch
    let bytes = 0
    for (let i = 0; i < count; i++) bytes += entryBytes(keyEnds[i]! - keyStarts[i]!, valueEnds[i]! - valueStarts[i]!, expiresAt[i] !== 0)
    const memtable = memtables.makeRoom(bytes, count)
    // As many memtables as may be held are full.
    if (memtable === undefined) return "no room"
    const builder = wal.builder()
    builder.beginTransaction(head.commitTimeMs, annotation)
    try {
      for (let i = 0; i < count; i++) {
        switch (kinds[i]) {
          case Kind.put:
            builder.putRange(
              keyspaces[i]!,
              keyBytes,
              keyStarts[i]!,
              keyEnds[i]!,
              valueBytes[i]!,
              valueStarts[i]!,
              valueEnds[i]!,
              expiresAt[i]!,
              batch.annotationOf(i),
              beforeImages?.[i]
            )
            break
          case Kind.delete:
            builder.delete(keyspaces[i]!, keyBytes.subarray(keyStarts[i]!, keyEnds[i]!), batch.annotationOf(i), beforeImages?.[i])
            break
          case Kind.expire:
            builder.expire(keyspaces[i]!, keyBytes.subarray(keyStarts[i]!, keyEnds[i]!), expiresAt[i]!, versions[i]!, beforeImages?.[i])
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
    const { sequence } = head
    let takeBack: (() => void) | undefined
    let unmark: (() => void) | undefined
    try {
      insert(memtable, sequence)
      if (conflicts !== undefined) for (const { end, keyspace, start } of conflicts) memtable.addConflictRange(keyspace, start, end, sequence)
      takeBack = request.sequenced?.(sequence)
      if (mark !== undefined) unmark = timeline.noted(mark, sequence)
      if (batch.firstExpiry !== Infinity) for (const listener of expiringListeners) listener(batch.firstExpiry)
    } catch (cause) {
      // Room was reserved, so this is a broken rule of ours; what was encoded is half inserted, and no group may follow.
      wal.abandon(cause)
      throw cause
    }
    userBytes += batch.bytes
    let answered: CommitReply | undefined
    let resume = settled
    const plain: Settled = (reply) => {
      if (resume === undefined) answered = reply
      else resume(reply)
    }
    // Who gets an answer in the course of this may commit at once.
    turning = false
    wal.submit(
      durability === "sync",
      takeBack === undefined && unmark === undefined && results === undefined
        ? (settled ?? plain)
        : (reply) => {
            if (Exit.isFailure(reply)) {
              takeBack?.()
              unmark?.()
            }
            plain(results === undefined || Exit.isFailure(reply) ? reply : Exit.succeed({ ...reply.value, results }))
          }
    )
    if (settled !== undefined) return undefined
    if (answered !== undefined) return answered
    return Effect.callback((register) => {
      if (answered === undefined) resume = register
      else register(answered)
    })
  }

  /** The batch becomes readable in the memtable, invisible until its group is written. */
  const insert = (memtable: Memtable, sequence: number): void => {
    const { count, expiresAt, hashes, keyBytes, keyEnds, keyStarts, keyspaces, kinds, valueBytes, valueEnds, valueStarts } = batch
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
          expiresAt[i]!
        )
        valueCache.noteWrite(hashes[i]!, sequence)
      }
    }
  }

  /** `slow`: give way once. */
  const pressureOfTables = (request: Pick<CommitRequest<unknown>, "frees">): "none" | "slow" | "stop" => {
    const level0 = tables.current().levels[0]!.length
    const { level0SlowTrigger, level0StopTrigger } = options
    if (level0 >= level0StopTrigger && (request.frees !== true || level0 >= level0StopTrigger + level0Reserve)) return "stop"
    return level0 >= level0SlowTrigger ? "slow" : "none"
  }

  const head = new CommitMoment(memtables, tables)
  const fillBatch = (request: Filling): void => {
    request.fill(batch, head)
    if (catalog.anyBeforeImages()) batch.findBeforeImages(head, catalog.beforeImages)
  }
  const values = makeReadAhead({ batch, batchBytesMax: options.batchBytesMax, fill: fillBatch, hashSeed, head, memtables, tables, wal })

  /** One attempt at the turn; where it has to be given up, what it waits for and the next one. */
  const attempted = <E>(request: CommitRequest<E>, attempt: Attempt): Effect.Effect<WriteResult, BatchError | E> =>
    // Without `settled` there always is one.
    attemptedNow(request, attempt, undefined)!

  const attemptedNow = <E>(
    request: CommitRequest<E>,
    attempt: Attempt,
    settled: Settled | undefined
  ): Effect.Effect<WriteResult, BatchError | E> | undefined => {
    const refusal = health.refusal()
    if (refusal !== undefined) return Effect.fail(refusal)
    const full = space.refusal()
    if (full !== undefined && request.frees !== true) return Effect.fail(full)
    const { sinceMs } = attempt
    // The batch and the head are those of one turn. Nothing that a turn sets off may run another one in its middle; where it does all the same, that one comes later.
    if (turning) return Effect.andThen(Effect.yieldNow, turn(request, attempt))
    if (wal.pendingBytes() > pendingMax) return waits(wal.awaitVisible(wal.nextSequence() - 1), forGroup, turn(request, attempt))
    if (!wal.hasReservation()) return waits(wal.awaitReservation, forReservation, turn(request, attempt))
    const again = (since: number) => turn(request, { ...attempt, slowed: true, sinceMs: since })
    const pressed = pressureOfTables(request)
    if (pressed === "stop") return stopped("compaction", sinceMs, again)
    const short = memory.level()
    if (short === "stop" && request.frees !== true) return stopped("memory", sinceMs, again)
    if ((pressed === "slow" || short === "slow") && !attempt.slowed) {
      stalls.slowed++
      return Effect.andThen(Effect.yieldNow, turn(request, { ...attempt, slowed: true }))
    }
    const { keyspace } = request
    if (keyspace !== undefined && !catalog.exists(keyspace))
      return Effect.fail(new KeyspaceDropped({ name: catalog.nameOf(keyspace) ?? `#${keyspace}` }))
    const given = request.options
    let durability = options.durability
    let annotation: Uint8Array | undefined
    // The clock is asked once: for the commit, for expiries that count from it, and for validation.
    const monotonicMs = clock.monotonicMs()
    head.commitTimeMs = clock.nowMs(monotonicMs)
    head.sequence = wal.nextSequence()
    head.prefetched = attempt.prefetched
    batch.reset()
    turning = true
    try {
      if (given !== undefined) {
        durability = durabilityOf(given.durability, durability)
        if (given.annotation !== undefined) annotation = annotationBytes(given.annotation)
      }
      // Before anything is made of what may have changed: a comparison that fails for it would be told instead of the conflict.
      const conflict = request.validate?.(head.commitTimeMs, monotonicMs)
      if (conflict !== undefined) return Effect.fail(conflict)
      fillBatch(request)
      const sequenced = sequence(durability, annotation, request, settled)
      return sequenced === "no room" ? stopped(memory.level() === "stop" ? "memory" : "flush", sinceMs, again) : sequenced
    } catch (cause) {
      if (cause instanceof NotAtHand) return readAhead(request, attempt, cause)
      if (!isRefusal(cause)) throw cause
      // A comparison with what is not durable yet is only told once that is visible.
      return batch.readHead && cause instanceof AtomicOperationFailed ? whenVisible(Effect.fail(cause)) : Effect.fail(cause)
    } finally {
      turning = false
      head.prefetched = undefined
    }
  }

  const readAhead = <E>(request: CommitRequest<E>, attempt: Attempt, missing: NotAtHand): Effect.Effect<WriteResult, BatchError | E> => {
    const wanted = values.wantedBy(request, missing)
    const known = attempt.prefetched
    if (!tables.readsAreFast()) return values.pooled(wanted, known, (prefetched) => turn(request, { ...attempt, prefetched }))
    try {
      return turn(request, { ...attempt, prefetched: values.inline(wanted, known) })
    } catch (cause) {
      if (mayPass(cause)) return values.pooled(wanted, known, (prefetched) => turn(request, { ...attempt, prefetched }))
      return Effect.fail(fromReadFailure(cause))
    }
  }

  const turn = <E>(request: CommitRequest<E>, attempt: Attempt): Effect.Effect<WriteResult, BatchError | E> =>
    Effect.suspend(() => attempted(request, attempt))

  return TransactionManager.of({
    write: (keyspace, operations, given, sequenced) =>
      Effect.suspend(() => {
        const refused = refusedOptions(given, false)
        if (refused !== undefined) return Effect.fail(refused)
        return attempted(new ListWrite(keyspace, given, operations, () => fill(keyspace, operations), sequenced), firstAttempt)
      }),
    writeOne: <IsDelete extends boolean>(
      keyspace: number,
      key: unknown,
      value: unknown,
      isDelete: IsDelete,
      given: WriteOptions | PutOptions | undefined
    ) =>
      Effect.suspend(() => {
        const refused = refusedOptions(given, !isDelete)
        // It holds no atomic operation, no range and no name of a keyspace; and no value where it deletes.
        const written: Effect.Effect<WriteResult, unknown> =
          refused === undefined ? attempted(new OneWrite(keyspace, key, value, isDelete, given), firstAttempt) : Effect.fail(refused)
        return written as Effect.Effect<WriteResult, IsDelete extends true ? DeleteError : PutError>
      }),
    commit: (request) => turn(request, firstAttempt),
    commitNow: (request, settled) => attemptedNow(request, firstAttempt, settled),
    newestOfKey: memtables.newestOfKey,
    newestInRange: memtables.newestInRange,
    beginValidation: memtables.beginValidation,
    endValidation: memtables.endValidation,
    validationBytes: memtables.validationBytes,
    keepValidation: (sequence) => {
      let ended = false
      memtables.beginValidation(sequence)
      return () => {
        if (!ended) memtables.endValidation(sequence)
        ended = true
      }
    },
    openLease: (owner) => leases.openLease(wal.visibleSequence(), owner),
    oldestLeaseOf: (isWanted) => leases.oldestOf(isWanted),
    snapshotAt: (sequence, onEnd) => leases.open(sequence, onEnd),
    snapshot: (onEnd, brief) => leases.open(wal.visibleSequence(), onEnd, brief),
    onExpiring: (listener) => {
      expiringListeners.push(listener)
    },
    onRelease: (listener) => {
      releaseListeners.push(listener)
    },
    stripes: () => leases.stripes(wal.visibleSequence()),
    snapshots: () => leases.stats(),
    stalls: () => ({ ...stalls }),
    roomChanged: () => {
      roomChanged()
      // Jobs have ended, files are gone: the disk may have room as well.
      space.changed()
    },
    userBytes: () => userBytes
  })
})

export const layer: Layer.Layer<
  TransactionManager,
  never,
  | Disk
  | EngineOptions
  | EngineClock
  | HealthMonitor
  | Manifest
  | MemoryBudget
  | Memtables
  | SpaceKeeper
  | Tables
  | Catalog
  | Timeline
  | ValueCache
  | Wal
  | Watchdog
> = Layer.effect(TransactionManager, make)
