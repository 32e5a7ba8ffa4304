/**
 * Whether the engine may write, and why not. Subsystems report conditions; the worst one decides the state. Reads never ask it; every write does, synchronously.
 *
 * `starting` until open is complete; `healthy`; `degraded` while a condition that heals lasts (workers down, stalled for space); `readOnly` after a failed sync or a lost lock: reads
 * go on, writes are refused until reopened; `stopping` from the moment the scope closes. There is no worse one: what cannot be read fails its own readers, with file and offset.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { DatabaseClosed, DatabasePoisoned, DatabaseReadOnly } from "../domain/errors.ts"
import type { Health } from "./Database.ts"

/** Why writes are refused. */
export type Refusal = DatabasePoisoned | DatabaseReadOnly | DatabaseClosed

export class HealthMonitor extends Context.Service<
  HealthMonitor,
  {
    readonly current: () => Health
    /** Each change of state or reasons, beginning with the present one. */
    readonly changes: Stream.Stream<Health>
    /** `undefined` while writes are accepted. */
    readonly refusal: () => Refusal | undefined
    /** `undefined` while reads are served. */
    readonly closed: () => DatabaseClosed | undefined
    /** Open is complete. */
    readonly started: Effect.Effect<void>
    /** A condition that heals begins, or changes its words. */
    readonly degrade: (condition: string, reason: string) => void
    /** The condition is over. */
    readonly heal: (condition: string) => void
    /** The reasons of the present conditions whose name begins so; `undefined` where there is none. */
    readonly conditionOf: (prefix: string) => string | undefined
    /** Writing ends for good, with the refusal every later write gets. The first one stays. */
    readonly refuseWrites: (refusal: Refusal, reason: string) => void
    /** The scope closes: everything is refused from now on. */
    readonly stopping: () => void
    /** Called synchronously at each change: for those who wait (stalled writers) and must be told. */
    readonly onChange: (listener: () => void) => () => void
  }
>()("lightning-db/services/HealthMonitor") {}
