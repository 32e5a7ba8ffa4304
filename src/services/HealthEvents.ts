/** What happens to the health of a database, as `db.healthEvents` tells it. */
import type { BreakerState } from "../domain/breaker/CircuitBreaker.ts"

export type HealthState = "starting" | "healthy" | "degraded" | "readOnly" | "failed" | "stopping"

export interface Health {
  readonly state: HealthState
  /** Why it is not `healthy`; empty when it is. */
  readonly reasons: ReadonlyArray<string>
}

/** What an event has besides its time. `resource`: what it is about: an actor, a file, a job, "database". `error`: what led to it, in words or as it was thrown. */
export type HealthReport =
  /** The state or its reasons changed; `resource` is "database". */
  | {
      readonly type: "state"
      readonly resource: "database"
      readonly state: HealthState
      readonly reasons: ReadonlyArray<string>
      readonly error?: unknown
    }
  /** A circuit breaker opened, lets a probe through, or closed. */
  | { readonly type: "breaker"; readonly resource: string; readonly from: BreakerState; readonly to: BreakerState; readonly error?: unknown }
  /** An actor ended by a defect and was started again; its job is repeated. `deaths`: how often in a row. */
  | { readonly type: "restarted"; readonly resource: string; readonly deaths: number; readonly error: unknown }
  /** A job that goes on failing is taken out of service, with the files it would work on. */
  | { readonly type: "quarantined"; readonly resource: string; readonly files: ReadonlyArray<string>; readonly error: unknown }
  /** What was quarantined is worked on again, or is gone. */
  | { readonly type: "quarantineLifted"; readonly resource: string; readonly files: ReadonlyArray<string>; readonly error?: undefined }
  /** Stored bytes are not what was written: `resource` is the file, `error` names the offset. */
  | { readonly type: "damage"; readonly resource: string; readonly error: unknown }
  /** Whatever else a part of the engine has to say about itself. */
  | { readonly type: "notice"; readonly resource: string; readonly detail: string; readonly error?: unknown }

/** `atMs`: by the wall clock, since 1970. */
export type HealthEvent = HealthReport & { readonly atMs: number }
