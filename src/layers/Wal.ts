import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Cause from "effect/Cause"
import * as Schedule from "effect/Schedule"
import { CommitOutcomeUnknown, DatabaseClosed, DatabasePoisoned, LockLost } from "../domain/errors.ts"
import { fileName } from "../domain/manifest/fileNames.ts"
import { GroupBuilder } from "../domain/wal/GroupBuilder.ts"
import type { WriteResult } from "../services/Database.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Entropy } from "../services/Entropy.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { Recovery } from "../services/Recovery.ts"
import { SequenceBlock } from "./Recovery.ts"
import { type CommitError, Wal } from "../services/Wal.ts"
import { crc32 } from "./crc32.ts"
import { prepareSegment } from "./wal/prepareSegment.ts"
import { RetainedLog } from "./wal/RetainedLog.ts"
import { answerSafely, Replies } from "./wal/Replies.ts"
import { retainedOf, sealOf } from "./wal/segmentEnd.ts"
import type { LogSegment } from "../services/LogSegment.ts"

/** Everything submitted since the last group was taken. */
interface PendingGroup {
  readonly builder: GroupBuilder
  replies: Replies
  sync: boolean
  firstSequence: number
}

/**
 * How long a buffered acknowledgement relies on the last look at who owns the directory; a synced one always looks itself. It costs a system call, as much as the write of a small
 * group, and "buffered" promises no more than the operating system's memory.
 */
const ownedMsMax = 1

/**
 * So many groups of a single transaction are written by the callers themselves before one is left to the committer, to see whether others come along: among many writers that take
 * turns no caller would ever meet company, and each would pay for a write of its own.
 */
const ledInRowMax = 32
/** A group of so many is worth a write of its own: it waits no longer for the turn of the event loop to end. */
const companyMax = 32

/** The health condition while no segment can be made. */
const preparing = "log segment"

/** A segment that was synced more often than once in so many bytes is followed by one that is filled with zeros beforehand. */
const frequentSyncBytes = 16_384

interface Waiter {
  readonly sequence: number
  readonly answer: (answer: Effect.Effect<void, CommitError>) => void
}

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const health = yield* HealthMonitor
  const manifest = yield* Manifest
  const recovery = yield* Recovery
  const clock = yield* EngineClock
  const entropy = yield* Entropy
  const { directory } = recovery

  // --- State: owned by the committer; the commit turn only appends to `pending`.
  let segment: LogSegment = recovery.segment
  let prepared: LogSegment | undefined
  /** Where the last visible group ends, and its sum: what the feed may read of the segment. */
  let visiblePosition = segment.position
  let visibleSum = segment.lastSum
  const log = new RetainedLog(options.retention, recovery.retainedSegments, () => ({
    fileId: segment.fileId,
    firstSequence: segment.firstSequence,
    basePosition: segment.basePosition,
    endOffset: segment.headerBytes + (visiblePosition - segment.basePosition),
    lastSum: visibleSum
  }))
  let previousSum = segment.lastSum
  let durablePosition = segment.position
  let unsyncedGroups = 0
  let startAligned = true
  let next = recovery.nextSequence
  let visible = recovery.visibleSequence
  let durable = recovery.visibleSequence
  let spare: GroupBuilder = new GroupBuilder(crc32)
  let pending: PendingGroup = { builder: new GroupBuilder(crc32), replies: new Replies(), sync: false, firstSequence: next }
  let lastGroupTransactions = 0
  let ledInRow = 0
  let busy = false
  let closing = false
  let failure: CommitError | undefined
  let visibleWaiters: Array<Waiter> = []
  let durableWaiters: Array<Waiter> = []
  // The replayed log may fill several memtables: until the last of them is in tables, nothing beyond what was flushed before may be passed over by the next replay.
  const positions = recovery.positions
  positions.push(recovery.visibleSequence, segment.position)
  const stats = { transactions: 0, groups: 0, syncs: 0, logBytes: 0 }
  let segmentSyncs = 0
  let ownedMs = -Infinity
  const sequencesAtOnce = yield* SequenceBlock
  let reservedThrough = recovery.manifest.state.sequencesThrough
  let reservationWaiters: Array<() => void> = []
  const wantReservation = Latch.makeUnsafe(false)
  /** Of the next segment to be prepared. */
  let zeroBytes = 0
  const work = Latch.makeUnsafe(false)
  const wantPrepared = Latch.makeUnsafe(true)

  const release = (waiters: Array<Waiter>, reached: number): Array<Waiter> => {
    if (waiters.length === 0) return waiters
    const rest: Array<Waiter> = []
    for (const waiter of waiters) {
      if (failure !== undefined && waiter.sequence > reached) answerSafely(waiter.answer, Effect.fail(failure))
      else if (waiter.sequence <= reached) answerSafely(waiter.answer, Effect.void)
      else rest.push(waiter)
    }
    return rest
  }

  const memory = !disk.durable

  /** Lists that nobody uses. One that is being answered is not among them: who gets an answer may submit the next commit there and then. */
  const freeReplies: Array<Replies> = []

  /** Nothing after this is ever acknowledged: those whose bytes were on the way do not know, those behind them were never written. */
  const poison = (group: PendingGroup | undefined, cause: unknown) => {
    const detail = cause instanceof Error ? cause.message : String(cause)
    if (failure === undefined) {
      failure = new DatabasePoisoned({ detail })
      health.refuseWrites(failure, detail)
    }
    const unknown = cause instanceof LockLost ? cause : new CommitOutcomeUnknown({ detail })
    group?.replies.fail(unknown)
    const refused = pending.replies
    pending.replies = new Replies()
    refused.fail(failure)
    pending.builder.reset()
    visibleWaiters = release(visibleWaiters, visible)
    durableWaiters = release(durableWaiters, durable)
  }

  /** Takes what is pending and writes it to the segment, without syncing. Throws what the disk throws. */
  const take = (): PendingGroup => {
    const group = pending
    pending = { builder: spare, replies: freeReplies.pop() ?? new Replies(), sync: false, firstSequence: next }
    spare = group.builder
    lastGroupTransactions = group.replies.length
    return group
  }

  const write = (group: PendingGroup) => {
    const padding = startAligned ? alignmentGap(segment) : 0
    const position = segment.position + padding
    const { bytes, sum } = group.builder.finish({
      saltSum: segment.header.saltSum,
      epoch: segment.header.epoch,
      position,
      firstSequence: group.firstSequence,
      durableThrough: durablePosition,
      previousSum
    })
    segment.handle.writev([bytes], segment.headerBytes + (position - segment.basePosition))
    segment.position = position + bytes.length
    segment.lastSum = sum
    if (segment.firstSequence === 0) segment.firstSequence = group.firstSequence
    segment.lastSequence = group.firstSequence + group.replies.length - 1
    segment.lastCommitMs = group.builder.lastCommitMs
    previousSum = sum
    startAligned = false
    unsyncedGroups++
    positions.push(segment.lastSequence, segment.position)
    stats.groups++
    stats.transactions += group.replies.length
    stats.logBytes += padding + bytes.length
    group.builder.reset()
  }

  const alignmentGap = (s: LogSegment): number => {
    const alignment = s.header.alignment
    const offset = s.headerBytes + (s.position - s.basePosition)
    return (alignment - (offset % alignment)) % alignment
  }

  const synced = (position: number, sequence: number) => {
    durablePosition = position
    if (sequence > durable) durable = sequence
    unsyncedGroups = 0
    startAligned = true
    stats.syncs++
    segmentSyncs++
  }

  const publish = (group: PendingGroup, durability: WriteResult["durability"]) => {
    // A second writer can only be noticed, not excluded, once the lock was lost: look between sync and acknowledgement.
    const nowMs = clock.monotonicMs()
    if (durability === "sync" || nowMs - ownedMs >= ownedMsMax) {
      if (!manifest.stillOurs()) throw new LockLost({ path: directory })
      ownedMs = nowMs
    }
    visible = group.firstSequence + group.replies.length - 1
    visiblePosition = segment.position
    visibleSum = segment.lastSum
    group.replies.succeed(group.firstSequence, memory ? "memory" : durability)
    freeReplies.push(group.replies)
    if (visibleWaiters.length > 0) visibleWaiters = release(visibleWaiters, visible)
    if (durableWaiters.length > 0) durableWaiters = release(durableWaiters, durable)
    log.moved()
  }

  let waking = false
  /** Once the writers that are ready have had their turn of the event loop: opening the latch would run the committer here and now, with a group of one. */
  const wakeSoon = () => {
    if (waking) return
    waking = true
    setImmediate(() => {
      waking = false
      work.openUnsafe()
    })
  }

  const rotationDue = () => segment.position - segment.basePosition >= options.walSegmentBytes

  /** Nobody is writing and nobody asked for a sync: a caller may write what is pending, here and now. */
  const mayLead = () => !busy && !pending.sync && failure === undefined && !closing && durableWaiters.length === 0 && !rotationDue()

  const lead = () => {
    const group = take()
    try {
      write(group)
      publish(group, "buffered")
    } catch (cause) {
      poison(group, cause)
    }
  }

  let leading = false
  /** After the present step: this may be asked for in the middle of a commit turn (a memtable is full, and its flush waits), where nobody else may commit, nor anything be taken. */
  const leadSoon = () => {
    if (leading) return
    leading = true
    queueMicrotask(() => {
      leading = false
      if (pending.replies.length > 0 && mayLead()) lead()
    })
  }

  const datasync = Effect.suspend(() => {
    const position = segment.position
    const sequence = segment.lastSequence
    return Effect.tap(disk.datasync(segment.handle), () => Effect.sync(() => synced(position, sequence)))
  })

  /** The old segment is durable as a whole before the first group of the next one: a hole across segments is then damage, not a torn tail. */
  const rotate = Effect.gen(function* () {
    const upcoming = prepared
    if (upcoming === undefined) return
    if (unsyncedGroups > 0 || segment.position > durablePosition) yield* datasync
    const old = segment
    prepared = undefined
    upcoming.basePosition = old.position
    upcoming.position = old.position
    upcoming.lastSum = old.lastSum
    log.push(retainedOf(old))
    segment = upcoming
    startAligned = true
    // Zeros spare each sync the growth of the file, and cost one write of the segment: worth it where syncs come often.
    zeroBytes = segmentSyncs * frequentSyncBytes > options.walSegmentBytes ? options.walSegmentBytes : 0
    segmentSyncs = 0
    // Not in the scope: a rotation while the last groups are drained would find it closed. The close waits for these itself.
    const sealing = yield* Effect.forkDetach(seal(old), { startImmediately: true })
    seals.add(sealing)
    sealing.addObserver(() => seals.delete(sealing))
    wantPrepared.openUnsafe()
  })

  const seals = new Set<Fiber.Fiber<void>>()
  // Seen through even while the database closes, and whatever comes of it the handle is given back.
  const seal = (old: LogSegment) =>
    Effect.uninterruptible(
      manifest
        .commit(() => ({ sealSegments: [sealOf(old)], engineTimeMs: clock.nowMs() }), log.lessNeeded)
        .pipe(Effect.ensuring(Effect.sync(() => old.handle.close())))
    ).pipe(Effect.catchCause((cause) => Effect.sync(() => poison(undefined, Cause.squash(cause)))))

  const commitGroups = Effect.gen(function* () {
    while (true) {
      const wantsSync = durableWaiters.length > 0 && unsyncedGroups > 0
      if (pending.replies.length === 0 && !wantsSync) {
        if (closing) return
        busy = false
        yield* work.await
        work.closeUnsafe()
        continue
      }
      busy = true
      if (failure !== undefined) {
        poison(undefined, failure)
        if (closing) return
        continue
      }
      let group: PendingGroup | undefined
      const exit = yield* Effect.exit(
        Effect.gen(function* () {
          if (rotationDue() && prepared !== undefined) yield* rotate
          if (pending.replies.length === 0) {
            if (unsyncedGroups > 0) yield* datasync
            durableWaiters = release(durableWaiters, durable)
            return
          }
          group = take()
          const sync = group.sync || durableWaiters.length > 0
          write(group)
          if (sync) yield* datasync
          publish(group, sync ? "sync" : "buffered")
        })
      )
      if (Exit.isFailure(exit)) poison(group, Cause.squash(exit.cause))
    }
  })

  const owner = yield* commitGroups.pipe(
    // The one actor that is never restarted: what it was doing when it died is unknown.
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit) && !closing) poison(undefined, Cause.squash(exit.cause))
      })
    ),
    Effect.forkScoped
  )

  const keepPrepared = Effect.gen(function* () {
    while (true) {
      yield* wantPrepared.await
      wantPrepared.closeUnsafe()
      if (prepared !== undefined || failure !== undefined || closing) continue
      // As a whole or not at all: a segment that is named and that nobody holds would leak its handle.
      yield* Effect.uninterruptible(
        Effect.map(prepareSegment({ disk, manifest, entropy, clock, directory, template: segment.header, zeroBytes }), (next) => {
          prepared = next
          health.heal(preparing)
          work.openUnsafe()
        })
      )
    }
  }).pipe(
    // Nothing is refused for want of it: groups go on into the current segment, whose end is only put off. So it is tried for as long as it takes.
    Effect.tapError((error) =>
      Effect.sync(() => {
        health.degrade(preparing, `the next log segment cannot be prepared: ${error.message}`)
        wantPrepared.openUnsafe()
      })
    ),
    Effect.retry({
      schedule: Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("10 seconds")]).pipe(Schedule.jittered),
      while: () => failure === undefined && health.refusal() === undefined
    })
  )
  const preparer = yield* Effect.forkScoped(Effect.ignore(keepPrepared))

  const answerReservation = () => {
    const waiting = reservationWaiters
    reservationWaiters = []
    for (const answer of waiting) answer()
  }

  /** Another block once half of the present one is used: at full speed that is minutes ahead of need. */
  const keepReserved = Effect.gen(function* () {
    while (true) {
      yield* wantReservation.await
      wantReservation.closeUnsafe()
      // Within a block from the next sequence, however many were given out while the last edit was on its way.
      yield* manifest.commit(
        () => ({ sequencesThrough: Math.max(reservedThrough, next) + sequencesAtOnce }),
        (state) => {
          reservedThrough = state.sequencesThrough
          answerReservation()
        }
      )
    }
    // A manifest that cannot be written refuses all further writes: those who wait look again, and are told.
  }).pipe(Effect.ignore, Effect.ensuring(Effect.sync(answerReservation)))
  const reserver = yield* Effect.forkScoped(keepReserved)

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      closing = true
      work.openUnsafe()
      yield* Fiber.await(owner)
      yield* Fiber.awaitAll(seals)
      yield* Fiber.interrupt(preparer)
      yield* Fiber.interrupt(reserver)
      if (failure === undefined) {
        const exit = yield* Effect.exit(unsyncedGroups > 0 ? datasync : Effect.void)
        if (Exit.isSuccess(exit)) {
          // Sealed and with its reservation given back: the next open finds no tail to judge and loses no sequences.
          const spareId = prepared?.fileId
          yield* manifest
            .commit(() => ({
              sealSegments: [sealOf(segment)],
              ...(spareId === undefined ? {} : { removeSegments: [spareId] }),
              sequencesThrough: next - 1,
              engineTimeMs: clock.nowMs()
            }))
            .pipe(
              Effect.andThen(spareId === undefined ? Effect.void : Effect.ignore(disk.remove(`${directory}/${fileName("log", spareId)}`))),
              Effect.ignore
            )
        }
      }
      segment.handle.close()
      prepared?.handle.close()
    })
  )

  return Wal.of({
    builder: () => pending.builder,
    nextSequence: () => next,
    hasReservation: () => next <= reservedThrough,
    awaitReservation: Effect.callback((resume) => {
      if (next <= reservedThrough || closing || failure !== undefined) return resume(Effect.void)
      reservationWaiters.push(() => resume(Effect.void))
      wantReservation.openUnsafe()
    }),
    submit: (sync, reply) => {
      const sequence = next++
      if (reservedThrough - sequence < sequencesAtOnce / 2) wantReservation.openUnsafe()
      if (pending.replies.length === 0) pending.firstSequence = sequence
      pending.replies.push(reply)
      if (sync) pending.sync = true
      // A lone writer saves two fiber switches, a large batch gains nothing from waiting for company.
      const isWorthIt =
        (lastGroupTransactions <= 1 && ledInRow < ledInRowMax && pending.replies.length === 1) || pending.builder.payloadBytes >= 32_768
      if (isWorthIt && mayLead()) {
        ledInRow++
        lead()
        return
      }
      ledInRow = 0
      // A sync takes its time, in which the next group gathers.
      if (pending.sync || durableWaiters.length > 0 || pending.replies.length >= companyMax) work.openUnsafe()
      else wakeSoon()
    },
    abandon: (cause) => poison(undefined, cause),
    visibleSequence: () => visible,
    durableSequence: () => durable,
    pendingBytes: () => pending.builder.payloadBytes,
    awaitVisible: (sequence) =>
      Effect.callback((resume) => {
        // What a crash has lost is never given out: nobody may wait for that.
        const wanted = Math.min(sequence, next > recovery.nextSequence ? next - 1 : recovery.visibleSequence)
        if (wanted <= visible) return resume(Effect.void)
        if (failure !== undefined) return resume(Effect.fail(failure))
        visibleWaiters.push({ sequence: wanted, answer: resume })
        // Somebody cannot go on without it: more company would only lose over the same keys.
        if (pending.replies.length > 0 && wanted >= pending.firstSequence) leadSoon()
      }),
    ensureDurable: (sequence) =>
      Effect.callback((resume) => {
        if (sequence <= durable) return resume(Effect.void)
        if (failure !== undefined) return resume(Effect.fail(failure))
        if (closing) return resume(Effect.fail(new DatabaseClosed({})))
        durableWaiters.push({ sequence, answer: resume })
        work.openUnsafe()
      }),
    positionAfter: (sequence) => positions.after(sequence),
    log,
    diskBytes: () => log.bytes + segment.headerBytes + (segment.position - segment.basePosition),
    stats: () => ({ ...stats })
  })
})

export const layer: Layer.Layer<Wal, never, Disk | EngineOptions | HealthMonitor | Manifest | Recovery | EngineClock | Entropy> = Layer.effect(
  Wal,
  make
)
