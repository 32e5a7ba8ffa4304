import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DatabaseClosed, DatabaseFailed } from "../domain/errors.ts"
import type { Health, HealthEvent, HealthState } from "../services/HealthEvents.ts"
import { HealthMonitor, type Refusal } from "../services/HealthMonitor.ts"
import { EventHub } from "./health/EventHub.ts"

const make = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const conditions = new Map<string, string>()
  const listeners = new Set<() => void>()
  const stops: Array<Effect.Effect<void>> = []
  let lasting: { readonly refusal: Refusal; readonly reason: string } | undefined
  let failure: DatabaseFailed | undefined
  let phase: "starting" | "serving" | "stopping" = "starting"
  let current: Health = { state: "starting", reasons: [] }
  const hub = new EventHub()
  const run = Effect.runForkWith(yield* Effect.context<never>())

  const report: HealthMonitor["Service"]["report"] = (event) => {
    hub.publish({ ...event, atMs: clock.currentTimeMillisUnsafe() })
  }

  const judge = (error?: unknown) => {
    const reasons = [...(failure === undefined ? [] : [failure.message]), ...(lasting === undefined ? [] : [lasting.reason]), ...conditions.values()]
    const state: HealthState =
      phase === "stopping"
        ? "stopping"
        : failure !== undefined
          ? "failed"
          : phase === "starting"
            ? "starting"
            : lasting !== undefined
              ? "readOnly"
              : conditions.size > 0
                ? "degraded"
                : "healthy"
    if (state === current.state && reasons.join() === current.reasons.join()) return
    current = { state, reasons }
    for (const listener of [...listeners]) listener()
    report({ type: "state", resource: "database", state, reasons, error })
    if (state === "stopping") hub.end()
  }

  const present = (): HealthEvent => ({ type: "state", resource: "database", ...current, atMs: clock.currentTimeMillisUnsafe() })

  return HealthMonitor.of({
    current: () => current,
    events: hub.stream(present),
    report,
    refusal: () => (phase === "stopping" ? new DatabaseClosed({}) : (failure ?? lasting?.refusal)),
    closed: () => (phase === "stopping" ? new DatabaseClosed({}) : failure),
    failed: () => failure,
    started: Effect.sync(() => {
      if (phase === "starting") phase = "serving"
      judge()
    }),
    degrade: (condition, reason) => {
      conditions.set(condition, reason)
      judge()
    },
    heal: (condition) => {
      if (conditions.delete(condition)) judge()
    },
    conditionOf: (prefix) => {
      const found = [...conditions].filter(([name]) => name.startsWith(prefix)).map(([, reason]) => reason)
      return found.length === 0 ? undefined : found.join("; ")
    },
    refuseWrites: (refusal, reason) => {
      if (lasting !== undefined) return
      lasting = { refusal, reason }
      judge(refusal)
    },
    fail: (actor, cause) => {
      if (failure !== undefined) return failure
      failure = new DatabaseFailed({ actor, detail: cause instanceof Error ? cause.message : String(cause), cause })
      judge(failure)
      run(
        Effect.gen(function* () {
          yield* Effect.logFatal(`lightning-db has stopped itself: its ${actor} failed`, Cause.die(cause))
          for (const stop of [...stops].reverse()) yield* Effect.exit(stop)
        })
      )
      return failure
    },
    onFailed: (stop) => {
      stops.push(stop)
    },
    stopping: () => {
      phase = "stopping"
      judge()
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  })
})

export const layer: Layer.Layer<HealthMonitor> = Layer.effect(HealthMonitor, make)
