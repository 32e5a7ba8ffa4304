import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Cause from "effect/Cause"
import { isDiskFull } from "../domain/disk/diskFull.ts"
import { CommitOutcomeUnknown, DatabaseClosed, DatabasePoisoned, DiskFull, LockLost } from "../domain/errors.ts"
import type { IoFailure } from "../domain/failures.ts"
import { fileName } from "../domain/manifest/fileNames.ts"
import { GroupBuilder } from "../domain/wal/GroupBuilder.ts"
import type { WriteResult } from "../services/Database.ts"
import { Breakers } from "../services/Breakers.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Entropy } from "../services/Entropy.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { Recovery } from "../services/Recovery.ts"
import { SpaceKeeper } from "../services/SpaceKeeper.ts"
import { SequenceBlock } from "./Recovery.ts"
import { Turns } from "../services/Turns.ts"
import { type CommitError, Wal } from "../services/Wal.ts"
import { Watchdog } from "../services/Watchdog.ts"
import { crc32 } from "./crc32.ts"
import { attemptIo } from "./disk/fromSyncDisk.ts"
import { isDefect, publicCause } from "./jobs/causes.ts"
import { prepareSegment } from "./wal/prepareSegment.ts"
import { RetainedLog } from "./wal/RetainedLog.ts"
import { companyMax, frequentSyncBytes, ledInRowMax, ownedMsMax } from "./wal/cadence.ts"
import { onceAsked } from "./wal/onceAsked.ts"
import type { PendingGroup } from "./wal/PendingGroup.ts"
import { Replies } from "./wal/Replies.ts"
import { alignmentGap, endOffset, retainedOf, sealOf } from "./wal/segmentEnd.ts"
import { SegmentPreparer } from "./wal/SegmentPreparer.ts"
import { SequenceReservation } from "./wal/SequenceReservation.ts"
import { Waiters } from "./wal/Waiters.ts"
import { writeWithRoom } from "./wal/writeWithRoom.ts"
import { watchedDisk } from "./watch/watchedDisk.ts"
import type { LogSegment } from "../services/LogSegment.ts"

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const health = yield* HealthMonitor
  const breakers = yield* Breakers
  const manifest = yield* Manifest
  const space = yield* SpaceKeeper
  const recovery = yield* Recovery
  const clock = yield* EngineClock
  const entropy = yield* Entropy
  const turns = yield* Turns
  const watchdog = yield* Watchdog
  const { directory } = recovery

  // --- State: owned by the committer; the commit turn only appends to `pending`.
  let segment: LogSegment = recovery.segment
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
  /** A group that found no room; the committer goes on with it before anything else. Until then nothing is taken: its builder would be the next one to gather. */
  let held: { readonly group: PendingGroup; readonly full: IoFailure } | undefined
  const committer = watchdog.actor("committer")
  /** The group that the committer has taken and nobody was answered yet. */
  let writing: PendingGroup | undefined
  /** A sync that did not come back: nobody waits for it any more, the close of the database neither. */
  const gaveUp = Latch.makeUnsafe(false)
  const visibleWaiters = new Waiters()
  const durableWaiters = new Waiters()
  // The replayed log may fill several memtables: until the last of them is in tables, nothing beyond what was flushed before may be passed over by the next replay.
  const positions = recovery.positions
  positions.push(recovery.visibleSequence, segment.position)
  const stats = { transactions: 0, groups: 0, syncs: 0, logBytes: 0 }
  let segmentSyncs = 0
  let ownedMs = -Infinity
  const sequencesAtOnce = yield* SequenceBlock
  const reservation = new SequenceReservation({
    manifest,
    health,
    breakers,
    retry: options.retry,
    atOnce: sequencesAtOnce,
    through: recovery.manifest.state.sequencesThrough,
    next: () => next
  })
  /** Of the next segment to be prepared. */
  let zeroBytes = 0
  const work = Latch.makeUnsafe(false)

  const memory = !disk.durable

  /** Lists that nobody uses. One that is being answered is not among them: who gets an answer may submit the next commit there and then. */
  const freeReplies: Array<Replies> = []

  /** Nothing after this is ever acknowledged: those whose bytes were on the way do not know, those behind them were never written. */
  const poison = (group: PendingGroup | undefined, cause: unknown) => {
    const detail = cause instanceof Error ? cause.message : String(cause)
    const told = publicCause(cause, segment.headerBytes + (segment.position - segment.basePosition))
    if (failure === undefined) {
      // After a broken rule of ours nothing may go on, reading included.
      failure = isDefect(cause) ? health.fail("committer", cause) : new DatabasePoisoned({ detail, cause: told })
      health.refuseWrites(failure, detail)
    }
    const unknown = cause instanceof LockLost ? cause : new CommitOutcomeUnknown({ detail, cause: told })
    group?.replies.fail(unknown)
    refusePending(failure)
    // A group that is held would wait for room that changes nothing any more.
    space.changed()
  }

  /** The database closes, or the log has ended, before there was room for the group. Its place was cut back, durably: it will never appear, nor will what came after it. */
  const withdraw = (group: PendingGroup, error: CommitError) => {
    failure ??= new DatabaseClosed({})
    group.replies.fail(error)
    refusePending(error)
  }

  const refusePending = (error: CommitError) => {
    const refused = pending.replies
    pending.replies = new Replies()
    refused.fail(error)
    pending.builder.reset()
    visibleWaiters.release(visible, failure)
    durableWaiters.release(durable, failure)
  }

  /** The sync on the way may still come back either way: its outcome is unknown, and so it stays, whatever it says then. */
  committer.onOverdue = (detail) => {
    if (failure === undefined) {
      failure = new DatabasePoisoned({ detail })
      health.refuseWrites(failure, detail)
    }
    writing?.replies.fail(new CommitOutcomeUnknown({ detail }))
    refusePending(failure)
    gaveUp.openUnsafe()
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

  /** The same, where the disk may be full: then the segment may end in a part of the group, and nothing else has changed. */
  const writeIfRoom = (group: PendingGroup): IoFailure | undefined => {
    try {
      write(group)
      return undefined
    } catch (cause) {
      if (isDiskFull(cause)) return cause
      throw cause
    }
  }

  const writeIfWanted = (group: PendingGroup): IoFailure | undefined => {
    if (failure !== undefined) throw failure
    return writeIfRoom(group)
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
    if (visibleWaiters.length > 0) visibleWaiters.release(visible, failure)
    if (durableWaiters.length > 0) durableWaiters.release(durable, failure)
    log.moved()
  }

  /** Once the writers that are ready have had their turn of the event loop: opening the latch would run the committer here and now, with a group of one. */
  const wakeSoon = onceAsked(turns.afterTurn, () => work.openUnsafe())

  const rotationDue = () => segment.position - segment.basePosition >= options.walSegmentBytes

  /** Nobody is writing and nobody asked for a sync: a caller may write what is pending, here and now. */
  const mayLead = () => !busy && !pending.sync && failure === undefined && !closing && durableWaiters.length === 0 && !rotationDue()

  const lead = () => {
    const group = take()
    try {
      const full = writeIfRoom(group)
      if (full !== undefined) {
        // It may take its time, and more than this step.
        held = { group, full }
        busy = true
        work.openUnsafe()
        return
      }
      publish(group, "buffered")
    } catch (cause) {
      poison(group, cause)
    }
  }

  /** After the present step: this may be asked for in the middle of a commit turn (a memtable is full, and its flush waits), where nobody else may commit, nor anything be taken. */
  const leadSoon = onceAsked(turns.afterStep, () => {
    if (pending.replies.length > 0 && mayLead()) lead()
  })

  const datasync = Effect.suspend(() => {
    const position = segment.position
    const sequence = segment.lastSequence
    committer.begin("datasync of", segment.handle.path)
    return Effect.tap(disk.datasync(segment.handle), () => Effect.sync(() => synced(position, sequence)))
  }).pipe(Effect.ensuring(Effect.sync(() => committer.end())))

  /** Takes a failed attempt back: see `writeWithRoom`. Told is also who waits for what came before: its flush may be what makes room. */
  const cutBack = Effect.suspend(() => Effect.orDie(attemptIo(() => segment.handle.truncate(endOffset(segment))))).pipe(
    Effect.andThen(datasync),
    Effect.andThen(Effect.sync(() => durableWaiters.release(durable, failure)))
  )

  /** The old segment is durable as a whole before the first group of the next one: a hole across segments is then damage, not a torn tail. */
  const rotate = Effect.gen(function* () {
    if (preparer.ready === undefined) return
    if (unsyncedGroups > 0 || segment.position > durablePosition) yield* datasync
    const old = segment
    const upcoming = preparer.take()!
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
    preparer.want()
  })

  const seals = new Set<Fiber.Fiber<void>>()
  // Seen through even while the database closes, and whatever comes of it the handle is given back.
  const seal = (old: LogSegment) =>
    Effect.uninterruptible(
      manifest
        .commit(() => ({ sealSegments: [sealOf(old)], engineTimeMs: clock.nowMs() }), log.lessNeeded)
        .pipe(Effect.ensuring(Effect.sync(() => old.handle.close())))
    ).pipe(
      // A database that closes while the manifest waits for room: a segment that is not sealed is judged by the next open.
      Effect.catchTag("DiskFull", () => Effect.void),
      Effect.catchCause((cause) => Effect.sync(() => poison(undefined, Cause.squash(cause))))
    )

  const commitGroups = Effect.gen(function* () {
    while (true) {
      const wantsSync = durableWaiters.length > 0 && unsyncedGroups > 0
      if (held === undefined && pending.replies.length === 0 && !wantsSync) {
        if (closing) return
        busy = false
        yield* work.await
        work.closeUnsafe()
        continue
      }
      busy = true
      if (failure !== undefined) {
        poison(held?.group, failure)
        held = undefined
        if (closing) return
        continue
      }
      let group = held?.group
      let full = held?.full
      held = undefined
      const exit = yield* Effect.exit(
        Effect.gen(function* () {
          if (group === undefined) {
            if (rotationDue() && preparer.ready !== undefined) yield* rotate
            if (pending.replies.length === 0) {
              if (unsyncedGroups > 0) yield* datasync
              durableWaiters.release(durable, failure)
              return
            }
            group = take()
            full = writeIfRoom(group)
          }
          writing = group
          if (full !== undefined) yield* writeWithRoom(space, writeIfWanted, group, cutBack, full)
          const sync = group.sync || durableWaiters.length > 0
          if (sync) yield* datasync
          // Given up meanwhile: its callers were told that nobody knows, and nothing is shown any more.
          if (failure === undefined) publish(group, sync ? "sync" : "buffered")
          else poison(group, failure)
        })
      )
      writing = undefined
      if (Exit.isFailure(exit)) {
        const cause = Cause.squash(exit.cause)
        if (group !== undefined && cause instanceof DiskFull) withdraw(group, cause)
        // Only a group that is held looks whether the log has ended: between two attempts.
        else if (group !== undefined && failure !== undefined && cause === failure) withdraw(group, failure)
        else poison(group, cause)
      }
    }
  })

  const owner = yield* commitGroups.pipe(
    // The one actor that is never restarted: what it was doing when it died is unknown.
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit) && !closing) poison(undefined, Cause.squash(exit.cause))
      })
    ),
    // The close waits for it, unless a sync does not come back.
    Effect.forkDetach
  )

  const preparersDisk = watchedDisk(disk, watchdog, "segment preparer")
  const preparer = new SegmentPreparer({
    health,
    breakers,
    retry: options.retry,
    prepare: Effect.suspend(() => {
      // Where space is low it is left to what needs it.
      const zeros = space.refusal() === undefined ? zeroBytes : 0
      return prepareSegment({ disk: preparersDisk, manifest, entropy, clock, directory, template: segment.header, zeroBytes: zeros })
    }),
    isOver: () => failure !== undefined || closing,
    onReady: () => work.openUnsafe()
  })
  const preparing = yield* Effect.forkDetach(preparer.keep)
  const reserving = yield* Effect.forkScoped(reservation.keep)
  // The committer writes what has a sequence; those who wait for anything else look again, and are told.
  health.onFailed(
    Effect.sync(() => {
      reservation.answer()
      log.moved()
    })
  )

  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      closing = true
      space.stop()
      work.openUnsafe()
      const ended = Effect.all([Fiber.await(owner), Effect.suspend(() => Fiber.awaitAll(seals)), Fiber.interrupt(preparing)], { discard: true })
      yield* Effect.raceFirst(ended, gaveUp.await)
      yield* Fiber.interrupt(reserving)
      if (failure === undefined) {
        const last = yield* Effect.forkDetach(unsyncedGroups > 0 ? datasync : Effect.void, { startImmediately: true })
        const exit = yield* Effect.raceFirst(Fiber.await(last), Effect.as(gaveUp.await, undefined))
        if (exit !== undefined && Exit.isSuccess(exit)) {
          // Sealed and with its reservation given back: the next open finds no tail to judge and loses no sequences.
          const spareId = preparer.ready?.fileId
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
      // The system still works on the file of a sync that did not come back.
      if (!gaveUp.isOpen()) segment.handle.close()
      preparer.ready?.handle.close()
    })
  )

  return Wal.of({
    builder: () => pending.builder,
    nextSequence: () => next,
    hasReservation: () => next <= reservation.through,
    awaitReservation: Effect.callback((resume) => {
      if (next <= reservation.through || closing || failure !== undefined) return resume(Effect.void)
      reservation.await(() => resume(Effect.void))
    }),
    submit: (sync, reply) => {
      const sequence = next++
      if (reservation.through - sequence < sequencesAtOnce / 2) reservation.want()
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
        visibleWaiters.add(wanted, resume)
        // Somebody cannot go on without it: more company would only lose over the same keys.
        if (pending.replies.length > 0 && wanted >= pending.firstSequence) leadSoon()
      }),
    ensureDurable: (sequence) =>
      Effect.callback((resume) => {
        if (sequence <= durable) return resume(Effect.void)
        if (failure !== undefined) return resume(Effect.fail(failure))
        if (closing) return resume(Effect.fail(new DatabaseClosed({})))
        durableWaiters.add(sequence, resume)
        work.openUnsafe()
      }),
    positionAfter: (sequence) => positions.after(sequence),
    log,
    diskBytes: () => log.bytes + segment.headerBytes + (segment.position - segment.basePosition),
    stats: () => ({ ...stats })
  })
})

export const layer: Layer.Layer<
  Wal,
  never,
  Breakers | Disk | EngineOptions | HealthMonitor | Manifest | SpaceKeeper | Recovery | EngineClock | Entropy | Watchdog
> = Layer.effect(Wal, make)
