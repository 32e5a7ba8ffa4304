import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { CorruptFile, type FileReadError, fromFailure, fromReadFailure, UnsupportedFormat } from "../domain/errors.ts"
import { Damage, IoFailure } from "../domain/failures.ts"
import { structureProblem } from "../domain/manifest/checkStructure.ts"
import { scrubRateDefault } from "../domain/options/scrubOption.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { Recovery } from "../services/Recovery.ts"
import { type ScrubOptions, type ScrubReport, Scrubber } from "../services/Scrubber.ts"
import { Wal } from "../services/Wal.ts"
import { believedTwice, misreadNotice } from "./jobs/believedTwice.ts"
import { type Files, pathOf, type Verifiable, verifiables, verifyFile } from "./maintenance/verifyFile.ts"
import { verifyOwnLog } from "./maintenance/verifyLog.ts"
import { paceOf, rateOf } from "./maintenance/pacing.ts"
import { manifestPathOf } from "./maintenance/verifyVersion.ts"
import { WorkCounter } from "./maintenance/WorkCounter.ts"

const condition = "scrub"

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const manifest = yield* Manifest
  const wal = yield* Wal
  const { directory } = yield* Recovery

  const queue = yield* Semaphore.make(1)
  let running = false
  let lastStarted: number | undefined
  let lastFinished: number | undefined
  let bytesRead = 0
  /** By file, of the present pass, or of the last one. */
  let found = new Map<string, FileReadError>()
  let damagedBefore = 0

  const files: Files = {
    open: (path) => {
      try {
        return disk.sync.open(path, "read")
      } catch (cause) {
        throw cause instanceof IoFailure && cause.code === "ENOENT" ? new Damage(path, 0, "Missing", "the manifest names this file") : cause
      }
    },
    close: (handle) => handle.close()
  }

  const isNamed = ({ kind, meta }: Verifiable): boolean => {
    const { tables, valueFiles } = manifest.state()
    return kind === "table" ? tables.has(meta.fileId) : valueFiles.has(meta.fileId)
  }

  const tell = (file: string, error: FileReadError): void => {
    if (found.has(file)) return
    found.set(file, error)
    const others = found.size === 1 ? "" : ` (and ${found.size - 1} more)`
    const [first] = found.values()
    health.degrade(condition, `scrubbing found damage: ${first!.message}${others}`)
    if (error instanceof CorruptFile || error instanceof UnsupportedFormat) health.report({ type: "damage", resource: file, error })
  }

  const pass = (bytesPerSecond: number, work: ScrubOptions | undefined, turn: number): Effect.Effect<ScrubReport> =>
    Effect.gen(function* () {
      running = true
      lastStarted = clock.nowMs()
      damagedBefore = found.size
      found = new Map()
      const from = bytesRead
      const pace = paceOf(bytesPerSecond, clock.monotonicMs, (bytes) => {
        bytesRead += bytes
      })
      const state = manifest.state()
      const values = verifiables(state).filter(({ kind }) => kind === "values")
      const all = [...rotated(values, turn), ...rotated(verifiables(state).slice(values.length), turn)]
      const counter = new WorkCounter()
      for (const { meta } of all) counter.total += meta.fileBytes
      counter.start(work)
      const problem = structureProblem(state)
      if (problem !== undefined) {
        const path = manifestPathOf({ disk, directory })
        tell(path, fromReadFailure(new Damage(path, 0, "Unexpected", problem)))
      }
      yield* Effect.catch(
        verifyOwnLog({ disk, directory, manifest, wal }, (damage) => tell(damage.file, fromReadFailure(damage)), pace),
        (failure) => Effect.sync(() => tell(fileOf(failure), fromReadFailure(failure)))
      )
      const damagedValues = new Set<number>()
      let read = 0
      for (const file of all) {
        const before = counter.done
        if (isNamed(file)) {
          const current = { files, directory, state: manifest.state(), isDamaged: (id: number) => damagedValues.has(id) }
          const verified = Effect.suspend(() => {
            counter.done = before
            return verifyFile(current, file, pace, (count) => {
              counter.done += count
            })
          })
          const checked = yield* Effect.result(
            believedTwice(verified, (damage) => health.report({ ...misreadNotice("scrubbing", damage), error: fromFailure(damage) }))
          )
          // One that was replaced while it was read is nobody's any more, whatever is wrong with it.
          if (Result.isFailure(checked) && isNamed(file)) {
            if (file.kind === "values") damagedValues.add(file.meta.fileId)
            tell(pathOf(directory, file), fromReadFailure(checked.failure))
          } else read++
        }
        counter.done = before + file.meta.fileBytes
      }
      lastFinished = clock.nowMs()
      damagedBefore = 0
      if (found.size === 0) health.heal(condition)
      return { files: read, bytes: bytesRead - from, damaged: [...found.values()] }
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          running = false
        })
      )
    )

  const run = Effect.fnUntraced(function* (work?: ScrubOptions, turn = 0) {
    const bytesPerSecond = yield* rateOf(work, options.scrub?.bytesPerSecond ?? scrubRateDefault)
    return yield* queue.withPermit(pass(bytesPerSecond, work, turn))
  })

  const { scrub } = options
  if (scrub !== undefined) {
    const loop = Effect.gen(function* () {
      for (;;) {
        const startedMs = clock.monotonicMs()
        // A process that never lives long enough for a whole pass begins with another file each time.
        yield* run(undefined, clock.nowMs())
        yield* Effect.sleep(Math.max(1, scrub.everyMs - (clock.monotonicMs() - startedMs)))
      }
    }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
          health.degrade(condition, `scrubbing has ended: ${String(Cause.squash(exit.cause))}`)
        })
      )
    )
    yield* Effect.forkScoped(loop)
  }

  return Scrubber.of({
    run: (work) => run(work),
    stats: () => ({ running, lastStarted, lastFinished, bytes: bytesRead, damaged: Math.max(found.size, damagedBefore) })
  })
})

const rotated = <A>(all: ReadonlyArray<A>, turn: number): ReadonlyArray<A> => {
  const at = all.length === 0 ? 0 : turn % all.length
  return [...all.slice(at), ...all.slice(0, at)]
}

const fileOf = (failure: Damage | IoFailure): string => (failure instanceof Damage ? failure.file : failure.path)

export const layer: Layer.Layer<Scrubber, never, Disk | EngineOptions | EngineClock | HealthMonitor | Manifest | Recovery | Wal> = Layer.effect(
  Scrubber,
  make
)
