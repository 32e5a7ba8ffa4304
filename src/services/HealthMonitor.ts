/**
 * Whether the engine may be used, and why not. Subsystems report conditions; the worst one decides the state. A read looks only whether it is closed; every write asks for a
 * refusal, synchronously.
 *
 * `starting` until open is complete; `healthy`; `degraded` while a condition that heals lasts (a breaker is open, a job goes on failing); `readOnly` after a failed sync or a lost
 * lock: reads go on, writes are refused until reopened; `failed` after a defect that nothing may go on after: everything is refused, and the actors are stopped in order;
 * `stopping` from the moment the scope closes.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { DatabaseClosed, DatabaseFailed, DatabasePoisoned, DatabaseReadOnly, Gone } from "../domain/errors.ts"
import type { Health, HealthEvent, HealthReport } from "./HealthEvents.ts"

/** Why writes are refused. */
export type Refusal = DatabasePoisoned | DatabaseReadOnly | DatabaseClosed | DatabaseFailed

export class HealthMonitor extends Context.Service<
  HealthMonitor,
  {
    readonly current: () => Health
    /** The present state, then each event as it happens. Ends when the database closes. Who is slow misses the oldest of more than 256. */
    readonly events: Stream.Stream<HealthEvent>
    /** Tells an event. */
    readonly report: (event: HealthReport) => void
    /** `undefined` while writes are accepted. */
    readonly refusal: () => Refusal | undefined
    /** `undefined` while reads are served. */
    readonly closed: () => Gone | undefined
    /** Set once a defect has stopped the engine. */
    readonly failed: () => DatabaseFailed | undefined
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
    /**
     * A rule of the engine's own is broken, in that actor: everything is refused from now on, it is logged as fatal, and what was registered with `onFailed` is stopped, the last
     * first. The first cause stays. Returns what everybody is told.
     */
    readonly fail: (actor: string, cause: unknown) => DatabaseFailed
    /** What stops an actor, should the engine fail. Actors register when they start, so that those above are stopped before those they need. */
    readonly onFailed: (stop: Effect.Effect<void>) => void
    /** The scope closes: everything is refused from now on. */
    readonly stopping: () => void
    /** Called synchronously at each change: for those who wait (stalled writers) and must be told. */
    readonly onChange: (listener: () => void) => () => void
  }
>()("lightning-db/services/HealthMonitor") {}
