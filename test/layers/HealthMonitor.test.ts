import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
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

  it.effect("tells listeners in place, once for each change, and its events from the present on until the end", () =>
    Effect.gen(function* () {
      const health = yield* HealthMonitor
      yield* health.started
      const seen: Array<string> = []
      const stop = health.onChange(() => seen.push(health.current().state))
      const streamed = yield* Effect.forkChild(Stream.runCollect(health.events), { startImmediately: true })
      health.degrade("flush", "no space")
      health.degrade("flush", "no space")
      yield* TestClock.adjust("5 seconds")
      health.report({ type: "damage", resource: "7.table", error: "torn" })
      health.heal("flush")
      expect(seen).toEqual(["degraded", "healthy"])
      stop()
      health.stopping()
      expect(seen).toHaveLength(2)
      const events = yield* Fiber.join(streamed)
      expect(events).toMatchObject([
        { type: "state", resource: "database", state: "healthy", atMs: 0 },
        { type: "state", state: "degraded", reasons: ["no space"], atMs: 0 },
        { type: "damage", resource: "7.table", error: "torn", atMs: 5000 },
        { type: "state", state: "healthy", reasons: [], atMs: 5000 },
        { type: "state", state: "stopping", atMs: 5000 }
      ])
    }).pipe(Effect.provide(layer))
  )

  it.effect("a subscriber that takes nothing holds nobody up, and misses the oldest of more than 256 events", () =>
    Effect.gen(function* () {
      const health = yield* HealthMonitor
      yield* health.started
      const gate = yield* Deferred.make<void>()
      const streamed = yield* Effect.forkChild(
        Stream.runCollect(Stream.tap(health.events, ({ type }) => (type === "state" ? Deferred.await(gate) : Effect.void))),
        { startImmediately: true }
      )
      yield* Effect.yieldNow
      for (let i = 0; i < 300; i++) health.report({ type: "notice", resource: "test", detail: String(i) })
      health.stopping()
      yield* Deferred.succeed(gate, undefined)
      const notices = (yield* Fiber.join(streamed)).filter((event) => event.type === "notice")
      expect(notices).toHaveLength(255)
      expect(notices[0]).toMatchObject({ detail: "45" })
      expect(notices.at(-1)).toMatchObject({ detail: "299" })
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails once: logs it, refuses everything, and stops what was registered, the last first", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const stopped: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel}: ${String(message)}`))
      yield* Effect.gen(function* () {
        const health = yield* HealthMonitor
        yield* health.started
        for (const name of ["log", "compactor", "flusher"]) health.onFailed(Effect.sync(() => stopped.push(name)))
        // One that dies itself keeps no other from being stopped.
        health.onFailed(Effect.die("again"))
        const streamed = yield* Effect.forkChild(Stream.runCollect(health.events), { startImmediately: true })
        const cause = new Error("a broken rule")
        const first = health.fail("flusher", cause)
        expect(first).toMatchObject({ _tag: "DatabaseFailed", actor: "flusher", detail: "a broken rule", cause })
        expect(health.fail("committer", new Error("because of it"))).toBe(first)
        expect(health.refusal()).toBe(first)
        expect(health.closed()).toBe(first)
        expect(health.failed()).toBe(first)
        expect(health.current()).toMatchObject({ state: "failed", reasons: [expect.stringContaining("its flusher failed (a broken rule)")] })
        for (let i = 0; i < 10; i++) yield* Effect.yieldNow
        expect(stopped).toEqual(["flusher", "compactor", "log"])
        expect(logged).toEqual(["Fatal: lightning-db has stopped itself: its flusher failed"])
        health.stopping()
        expect(health.closed()).toMatchObject({ _tag: "DatabaseClosed" })
        const events = yield* Fiber.join(streamed)
        expect(events.map((event) => (event.type === "state" ? event.state : event.type))).toEqual(["healthy", "failed", "stopping"])
        expect(events[1]).toMatchObject({ error: first })
      }).pipe(Effect.provide(Layer.provideMerge(layer, Logger.layer([logger]))))
    })
  )
})
