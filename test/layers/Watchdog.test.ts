import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import { resolveOptions } from "../../src/domain/options/Options.ts"
import * as EngineClockLayer from "../../src/layers/EngineClock.ts"
import * as HealthMonitorLayer from "../../src/layers/HealthMonitor.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import * as WatchdogLayer from "../../src/layers/Watchdog.ts"
import { EngineClock } from "../../src/services/EngineClock.ts"
import { EngineOptions } from "../../src/services/EngineOptions.ts"
import { HealthMonitor } from "../../src/services/HealthMonitor.ts"
import { Watchdog } from "../../src/services/Watchdog.ts"

const options = (given: object) => Layer.succeed(EngineOptions, Result.getOrThrow(resolveOptions({ path: "/db", ...given })))

const watched = (given: object = {}, clock: Layer.Layer<EngineClock> = EngineClockLayer.layer) =>
  WatchdogLayer.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(options(given), clock, HealthMonitorLayer.layer, DiskSimulated.layer(new SimulatedDisk())))
  )

/** Past the turns of the event loop after which a step counts as one that lasts. */
const lasting = Effect.promise(() => new Promise<void>((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve)))))

const reasons = Effect.map(HealthMonitor, (health) => health.current().reasons)

describe("the watchdog", () => {
  it.effect("names the actor whose step lasts, what it does, to which file and for how long, until the step ends", () =>
    Effect.gen(function* () {
      const watchdog = yield* Watchdog
      yield* (yield* HealthMonitor).started
      const committer = watchdog.actor("committer")
      const flusher = watchdog.actor("flusher")
      committer.begin("datasync of", "/db/000003.log")
      yield* lasting
      yield* TestClock.adjust("5 seconds")
      expect(yield* reasons).toEqual([])
      // Another one works as it should meanwhile.
      for (let i = 0; i < 8; i++) {
        flusher.begin("a job for", "000004.table")
        yield* TestClock.adjust("1 second")
        flusher.end()
      }
      yield* TestClock.adjust("2 seconds")
      expect(yield* reasons).toEqual([expect.stringMatching(/^the committer hangs: datasync of \/db\/000003\.log has not come back for 1\d s$/)])
      expect(watchdog.hanging()).toContain("/db/000003.log")
      yield* TestClock.adjust("30 seconds")
      expect((yield* reasons)[0]).toMatch(/for (2|3|4)\d s$/)
      committer.end()
      expect(yield* reasons).toEqual([])
      expect(watchdog.hanging()).toBeUndefined()
    }).pipe(Effect.provide(watched(), { local: true }))
  )

  it.effect("takes progress for life, in a job as long as it likes", () =>
    Effect.gen(function* () {
      const watchdog = yield* Watchdog
      yield* (yield* HealthMonitor).started
      const job = watchdog.job("compaction")
      let bytes = 0
      job.begin("a merge into", "level 3", () => bytes)
      yield* lasting
      for (let i = 0; i < 20; i++) {
        bytes++
        yield* TestClock.adjust("8 seconds")
        expect(yield* reasons).toEqual([])
      }
      yield* TestClock.adjust("20 seconds")
      expect((yield* reasons)[0]).toContain("the compaction hangs: a merge into level 3")
      bytes++
      yield* TestClock.adjust("3 seconds")
      expect(yield* reasons).toEqual([])
      // While one of two jobs of a name hangs, the end of the other heals nothing.
      const other = watchdog.job("compaction")
      expect(other).not.toBe(job)
      other.begin("a merge into", "level 4")
      yield* TestClock.adjust("20 seconds")
      expect((yield* reasons).length).toBe(1)
      other.end()
      expect((yield* reasons).length).toBe(1)
      job.end()
      expect(yield* reasons).toEqual([])
      expect([job, other]).toContain(watchdog.job("compaction"))
    }).pipe(Effect.provide(watched(), { local: true }))
  )

  it.effect("does not blame who waits for another actor, unless nobody else hangs", () =>
    Effect.gen(function* () {
      const watchdog = yield* Watchdog
      yield* (yield* HealthMonitor).started
      const reaper = watchdog.actor("expiry reaper", "waits")
      const manifest = watchdog.actor("manifest")
      reaper.begin("a commit of", "expired values")
      manifest.begin("an edit of", "/db/000001.manifest")
      yield* lasting
      yield* TestClock.adjust("15 seconds")
      expect(yield* reasons).toEqual([expect.stringContaining("the manifest hangs")])
      manifest.end()
      yield* TestClock.adjust("5 seconds")
      expect(yield* reasons).toEqual([expect.stringContaining("the expiry reaper hangs")])
      reaper.end()
    }).pipe(Effect.provide(watched(), { local: true }))
  )

  it.effect("tells whoever waits once the step has lasted as long as anything is waited for, and once", () =>
    Effect.gen(function* () {
      const watchdog = yield* Watchdog
      const told: Array<string> = []
      const committer = watchdog.actor("committer")
      committer.onOverdue = (detail) => told.push(detail)
      committer.begin("datasync of", "/db/000003.log")
      yield* lasting
      yield* TestClock.adjust("25 seconds")
      expect(told).toEqual([])
      yield* TestClock.adjust("2 minutes")
      expect(told).toEqual([expect.stringContaining("datasync of /db/000003.log has not come back for 3")])
      committer.end()
    }).pipe(Effect.provide(watched({ waitTimeout: "30 seconds" }), { local: true }))
  )

  it.effect("says that the event loop stood still, and blames no actor for the time", () => {
    let monotonicMs = 0
    const clock = Layer.succeed(EngineClock, { nowMs: () => monotonicMs, monotonicMs: () => monotonicMs, raise: () => undefined })
    return Effect.gen(function* () {
      const watchdog = yield* Watchdog
      yield* (yield* HealthMonitor).started
      const committer = watchdog.actor("committer")
      committer.begin("datasync of", "/db/000003.log")
      yield* lasting
      monotonicMs += 2500
      yield* TestClock.adjust("2500 millis")
      // The timer comes a minute late.
      monotonicMs += 62_500
      yield* TestClock.adjust("2500 millis")
      expect(yield* reasons).toEqual(["the event loop stood still for 60.0 s: something synchronous held it, or the process was stopped"])
      monotonicMs += 2500
      yield* TestClock.adjust("2500 millis")
      expect(yield* reasons).toEqual([])
      committer.end()
    }).pipe(Effect.provide(watched({}, clock), { local: true }))
  })

  it.effect("has a timer only while a step lasts", () => {
    let timers = 0
    return Effect.gen(function* () {
      const watchdog = yield* Watchdog
      const committer = watchdog.actor("committer")
      yield* lasting
      expect(timers).toBe(0)
      for (let i = 0; i < 10; i++) {
        committer.begin("datasync of", "/db/000003.log")
        committer.end()
        yield* lasting
        expect(timers).toBe(0)
      }
      for (let i = 0; i < 3; i++) {
        committer.begin("datasync of", "/db/000003.log")
        yield* lasting
        expect(timers).toBe(1)
        committer.end()
        yield* TestClock.adjust("2500 millis")
        expect(timers).toBe(0)
      }
    }).pipe(Effect.provide(watched(), { local: true }), (run) =>
      Effect.flatMap(Clock.Clock, (clock) =>
        Effect.provideService(run, Clock.Clock, {
          ...clock,
          sleep: (duration) =>
            Effect.acquireUseRelease(
              Effect.sync(() => timers++),
              () => clock.sleep(duration),
              () => Effect.sync(() => timers--)
            )
        })
      )
    )
  })

  it.effect("can be switched off", () =>
    Effect.gen(function* () {
      const watchdog = yield* Watchdog
      yield* (yield* HealthMonitor).started
      watchdog.actor("committer").begin("datasync of", "/db/000003.log")
      yield* lasting
      yield* TestClock.adjust("1 day")
      expect(yield* reasons).toEqual([])
    }).pipe(Effect.provide(watched({ watchdog: "unlimited", waitTimeout: "unlimited" }), { local: true }))
  )
})
