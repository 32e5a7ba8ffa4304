import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { fillerBytes, isDiskFull } from "../domain/disk/diskFull.ts"
import { DiskFull } from "../domain/errors.ts"
import { IoFailure } from "../domain/failures.ts"
import { reserveFileName, reserveTemporaryFileName } from "../domain/manifest/fileNames.ts"
import { Disk } from "../services/Disk.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Recovery } from "../services/Recovery.ts"
import { SpaceKeeper } from "../services/SpaceKeeper.ts"
import { closeQuietly } from "./disk/closeQuietly.ts"
import { attemptIo } from "./disk/fromSyncDisk.ts"

/** The health condition while space is low, and the one while the reserve cannot be made for another reason: nobody is refused anything for that. */
const condition = "space"
const reserveCondition = "reserve"
/** Between looks that nothing but time gives rise to: doubling from the first to the last. */
const pauseMsMin = 1000
const pauseMsMax = 10_000
/** Written at a time. A multiple of 4. */
const chunkBytes = 1 << 18
/** Without a reserve: what must be free before writes are taken again, where that can be told. */
const roomBytesMin = 1 << 16

const fullError = (failure: IoFailure): DiskFull =>
  new DiskFull({ path: failure.path, code: failure.code, offsetBytes: failure.offsetBytes, cause: failure })

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const health = yield* HealthMonitor
  const { directory } = yield* Recovery

  const reserveBytes = disk.durable ? options.reserveBytes : 0
  const path = `${directory}/${reserveFileName}`
  const temporary = `${directory}/${reserveTemporaryFileName}`
  let low: DiskFull | undefined
  /** The reserve is there, whole. */
  let stands = false
  /** Counts how often room was lacking: a reserve that was begun before the last time is given up. */
  let shortages = 0
  /** Those that hold back a write until there is room. They come before the reserve. */
  let holders = 0
  /** Counts the signs: one between an attempt and the wait that follows is not missed. */
  let signs = 0
  let waiting: Array<() => void> = []
  let stopped = false
  const look = Latch.makeUnsafe(false)

  const isOver = () => stopped || health.closed() !== undefined

  const sign = () => {
    signs++
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }

  const changed = () => {
    if (low === undefined) return
    sign()
    look.openUnsafe()
  }

  const stop = () => {
    stopped = true
    sign()
    look.openUnsafe()
  }

  const removeQuietly = (name: string): boolean => {
    try {
      disk.sync.remove(name)
      return true
    } catch (cause) {
      if (!(cause instanceof IoFailure)) throw cause
      return false
    }
  }

  const sizeOf = (name: string): number | undefined => {
    try {
      return disk.sync.stat(name)?.sizeBytes
    } catch (cause) {
      if (!(cause instanceof IoFailure)) throw cause
      return undefined
    }
  }

  /** From now on space is low. Whether that made room: the reserve is given up. */
  const exhausted = (failure: IoFailure): boolean => {
    shortages++
    const gained = stands && removeQuietly(path)
    stands = false
    if (low === undefined) {
      low = fullError(failure)
      // Writers that wait for something else look again, and are told.
      health.degrade(
        condition,
        `no space is left for ${failure.path} (${failure.code}): writes that free nothing are refused until there is room again`
      )
      look.openUnsafe()
    }
    return gained
  }

  /** The next sign after the one with this number. */
  const signAfter = (seen: number, full: IoFailure) =>
    Effect.callback<void, DiskFull>((resume) => {
      if (isOver()) return resume(Effect.fail(fullError(full)))
      if (signs !== seen) return resume(Effect.void)
      const wake = () => resume(isOver() ? Effect.fail(fullError(full)) : Effect.void)
      waiting.push(wake)
      return Effect.sync(() => {
        waiting = waiting.filter((other) => other !== wake)
      })
    })

  const untilRoom: SpaceKeeper["Service"]["untilRoom"] = <A, E, R>(attempt: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      let holds = false
      const again: Effect.Effect<A, E | DiskFull, R> = Effect.suspend(() => {
        const seen = signs
        return Effect.catch(attempt, (error): Effect.Effect<A, E | DiskFull, R> => {
          if (!isDiskFull(error)) return Effect.fail(error)
          if (exhausted(error)) return again
          if (!holds) {
            holds = true
            holders++
          }
          return Effect.andThen(signAfter(seen, error), again)
        })
      })
      return Effect.ensuring(
        again,
        Effect.sync(() => {
          if (!holds) return
          holders--
          look.openUnsafe()
        })
      )
    })

  // --- The reserve. Its content means nothing and no file names it, so a crash anywhere in the middle leaves at most a file that the next open replaces. The name comes last:
  // under it stands only what is durable as a whole, and a file of the right length is a reserve.
  /** Afterwards it stands, or there was no room for it (any more), or `health` says why it could not be made. */
  const makeReserve = Effect.gen(function* () {
    const begun = shortages
    const chunk = fillerBytes(Math.min(chunkBytes, reserveBytes + (-reserveBytes & 3)))
    removeQuietly(path)
    removeQuietly(temporary)
    const written = Effect.acquireUseRelease(
      disk.open(temporary, "create"),
      (handle) =>
        Effect.gen(function* () {
          for (let at = 0; at < reserveBytes; at += chunk.length) {
            yield* disk.writev(handle, [chunk.subarray(0, Math.min(chunk.length, reserveBytes - at))], at)
            if (shortages !== begun || isOver()) return
          }
          yield* disk.datasync(handle)
          yield* attemptIo(() => {
            if (shortages !== begun || isOver()) return
            disk.sync.rename(temporary, path)
            stands = true
          })
        }),
      (handle) =>
        Effect.sync(() => {
          closeQuietly(handle)
          if (!stands && removeQuietly(temporary)) changed()
        })
    )
    yield* Effect.catch(written, (failure) =>
      Effect.sync(() => {
        if (isDiskFull(failure)) exhausted(failure)
        else health.degrade(reserveCondition, `the reserve for a full disk cannot be made: ${String(failure)}`)
      })
    )
  })

  /** Where that can be told, there is less room than is to be kept ready. */
  const isTooSmall = (): boolean => {
    const free = disk.sync.freeBytes?.(directory)
    return free !== undefined && free < (reserveBytes === 0 ? roomBytesMin : reserveBytes)
  }

  /** Whether there is room again, with the reserve in its place. */
  const restored = Effect.suspend((): Effect.Effect<boolean> => {
    // Room goes to those first who have something to write.
    if (holders > 0) return Effect.succeed(false)
    if (isTooSmall()) {
      if (low === undefined) exhausted(new IoFailure("open", temporary, "ENOSPC"))
      return Effect.succeed(false)
    }
    return reserveBytes === 0 ? Effect.succeed(true) : Effect.map(makeReserve, () => stands)
  })

  const isLacking = () => !isOver() && (low !== undefined || (reserveBytes > 0 && !stands))

  const keep = Effect.gen(function* () {
    while (true) {
      yield* look.await
      // Space that was low a moment ago is still: what was given up is all the room there is.
      let isDue = low === undefined
      let pauseMs = pauseMsMin
      while (isLacking()) {
        look.closeUnsafe()
        if (isDue && (yield* restored) && (reserveBytes === 0 || stands)) {
          low = undefined
          health.heal(condition)
          health.heal(reserveCondition)
          sign()
          continue
        }
        isDue = true
        const ms = pauseMs * (yield* Random.nextBetween(0.8, 1.2))
        const isSign = yield* Effect.timeoutOrElse(Effect.as(look.await, true), { duration: ms, orElse: () => Effect.succeed(false) })
        if (isSign) continue
        pauseMs = Math.min(pauseMsMax, pauseMs * 2)
        sign()
      }
      look.closeUnsafe()
    }
  })

  // What an earlier open has left: the reserve, if it has the size it is to have.
  if (disk.durable) {
    const left = sizeOf(path)
    stands = reserveBytes > 0 && left === reserveBytes
    if (left !== undefined && !stands) removeQuietly(path)
    if (sizeOf(temporary) !== undefined) removeQuietly(temporary)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      health.onChange(() => {
        if (health.closed() !== undefined) stop()
        // Opening is over: the reserve can wait until then.
        else if (health.current().state !== "starting" && isLacking()) look.openUnsafe()
      })
    ),
    (end) => Effect.sync(end)
  )
  yield* Effect.forkScoped(keep)
  // An open that had to use the reserve of an earlier one goes on as that one ended.
  if (isLacking() && isTooSmall()) exhausted(new IoFailure("open", temporary, "ENOSPC"))

  const stats = () => ({ reserve: stands ? reserveBytes : 0, low: low !== undefined })
  return SpaceKeeper.of({ refusal: () => low, untilRoom, changed, stop, stats })
})

export const layer: Layer.Layer<SpaceKeeper, never, Disk | EngineOptions | HealthMonitor | Recovery> = Layer.effect(SpaceKeeper, make)
