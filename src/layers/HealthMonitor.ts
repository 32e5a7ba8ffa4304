import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { DatabaseClosed } from "../domain/errors.ts"
import type { Health, HealthState } from "../services/Database.ts"
import { HealthMonitor, type Refusal } from "../services/HealthMonitor.ts"

const make = Effect.gen(function* () {
  const conditions = new Map<string, string>()
  const listeners = new Set<() => void>()
  let lasting: { readonly refusal: Refusal; readonly reason: string } | undefined
  let phase: "starting" | "serving" | "stopping" = "starting"
  let current: Health = { state: "starting", reasons: [] }
  const published = yield* SubscriptionRef.make(current)
  const context = yield* Effect.context<never>()
  const run = Effect.runForkWith(context)

  const judge = () => {
    const reasons = [...(lasting === undefined ? [] : [lasting.reason]), ...conditions.values()]
    const state: HealthState =
      phase === "stopping"
        ? "stopping"
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
    run(SubscriptionRef.set(published, current))
  }

  return HealthMonitor.of({
    current: () => current,
    changes: SubscriptionRef.changes(published).pipe(Stream.changes),
    refusal: () => (phase === "stopping" ? new DatabaseClosed({}) : lasting?.refusal),
    closed: () => (phase === "stopping" ? new DatabaseClosed({}) : undefined),
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
      judge()
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
