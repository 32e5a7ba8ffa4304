/**
 * The one time of an engine, in milliseconds: max(last + monotonic elapsed, wall clock). It never goes backward, not even across a restart with a clock set back
 * (the last value stands in every manifest edit), and gives commit times and ages. A wall clock that jumps forward moves it forward for good.
 */
import * as Context from "effect/Context"

export class EngineClock extends Context.Service<
  EngineClock,
  {
    /** Engine time now. Never decreases. `monotonicMs`: what was just read of that, which spares another look at the clock. */
    readonly nowMs: (monotonicMs?: number) => number
    /** Time since some fixed moment of this process: for ages and leases, which no clock change may touch. */
    readonly monotonicMs: () => number
    /** Raises engine time to at least `ms`: what recovery found on disk. */
    readonly raise: (ms: number) => void
  }
>()("lightning-db/services/EngineClock") {}
