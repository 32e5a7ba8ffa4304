import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { DatabasePoisoned } from "../../src/domain/errors.ts"
import { layer } from "../../src/layers/HealthMonitor.ts"
import { HealthMonitor } from "../../src/services/HealthMonitor.ts"

describe("HealthMonitor", () => {
  it.effect("goes from starting to healthy, degrades and heals, and says why", () =>
    Effect.gen(function* () {
      const health = yield* HealthMonitor
      expect(health.current()).toEqual({ state: "starting", reasons: [] })
      health.degrade("flush", "no space")
      expect(health.current().state).toBe("starting")
      yield* health.started
      expect(health.current()).toEqual({ state: "degraded", reasons: ["no space"] })
      health.degrade("compaction of 7.table", "damaged")
      health.degrade("flush", "still no space")
      expect(health.current().reasons).toEqual(["still no space", "damaged"])
      expect(health.conditionOf("flush")).toBe("still no space")
      expect(health.conditionOf("compaction")).toBe("damaged")
      expect(health.conditionOf("workers")).toBeUndefined()
      expect(health.refusal()).toBeUndefined()
      health.heal("flush")
      health.heal("compaction of 7.table")
      health.heal("never was")
      expect(health.current()).toEqual({ state: "healthy", reasons: [] })
    }).pipe(Effect.provide(layer))
  )

  it.effect("refuses writes for good, with the first reason", () =>
    Effect.gen(function* () {
      const health = yield* HealthMonitor
      yield* health.started
      const first = new DatabasePoisoned({ detail: "sync failed" })
      health.refuseWrites(first, "sync failed")
      health.refuseWrites(new DatabasePoisoned({ detail: "second" }), "second")
      expect(health.refusal()).toBe(first)
      expect(health.current()).toEqual({ state: "readOnly", reasons: ["sync failed"] })
      health.degrade("flush", "cannot go on")
      expect(health.current()).toEqual({ state: "readOnly", reasons: ["sync failed", "cannot go on"] })
      expect(health.closed()).toBeUndefined()
      health.stopping()
      expect(health.current().state).toBe("stopping")
      expect(health.closed()).toMatchObject({ _tag: "DatabaseClosed" })
      expect(health.refusal()).toMatchObject({ _tag: "DatabaseClosed" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("tells listeners in place, once for each change, and its stream from the present on", () =>
    Effect.gen(function* () {
      const health = yield* HealthMonitor
      yield* health.started
      const seen: Array<string> = []
      const stop = health.onChange(() => seen.push(health.current().state))
      const streamed = yield* Effect.forkChild(
        Stream.runCollect(
          health.changes.pipe(
            Stream.map(({ state }) => state),
            Stream.take(3)
          )
        ),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      health.degrade("flush", "no space")
      health.degrade("flush", "no space")
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      health.heal("flush")
      expect(seen).toEqual(["degraded", "healthy"])
      stop()
      health.stopping()
      expect(seen).toHaveLength(2)
      const states = yield* Fiber.join(streamed)
      expect(states[0]).toBe("healthy")
    }).pipe(Effect.provide(layer))
  )
})
