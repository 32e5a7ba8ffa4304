import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import type { Gone, WorkStalled } from "../../domain/errors.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"
import type { Watchdog } from "../../services/Watchdog.ts"
import { untilStalled, type WatchedWork } from "./untilStalled.ts"

/**
 * Maintenance belongs to the database, not to its callers: what they began ends before the files are closed and the lock is given back. A caller that is interrupted interrupts it.
 */
export const makeMaintenance = Effect.fnUntraced(function* (parts: {
  readonly health: HealthMonitor["Service"]
  readonly watchdog: Watchdog["Service"]
  readonly waitTimeoutMs: number
}) {
  const { health, waitTimeoutMs, watchdog } = parts
  const running = yield* FiberSet.make<unknown, unknown>()
  health.onFailed(FiberSet.clear(running))

  /** Runs it in a fiber of the database, for which the caller waits so. */
  const run = <A, E, E2>(
    work: Effect.Effect<A, E>,
    wait: (fiber: Fiber.Fiber<A, E>) => Effect.Effect<Exit.Exit<A, E>, E2>
  ): Effect.Effect<A, E | E2 | Gone> =>
    Effect.suspend((): Effect.Effect<A, E | E2 | Gone> => {
      const closed = health.closed()
      if (closed !== undefined) return Effect.fail(closed)
      return Effect.acquireUseRelease(
        FiberSet.run(running, work, { startImmediately: true }),
        wait,
        // Who gave the wait up does not wait for its end either: what hangs cannot be withdrawn.
        (fiber, exit) =>
          Exit.isFailure(exit) && !Cause.hasInterrupts(exit.cause) ? Effect.sync(() => fiber.interruptUnsafe()) : Fiber.interrupt(fiber)
      ).pipe(
        Effect.flatMap((exit): Effect.Effect<A, E | Gone> => {
          const ended = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? health.closed() : undefined
          return ended === undefined ? exit : Effect.fail(ended)
        })
      )
    })

  return {
    maintenance: <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E | Gone> => run(work, (fiber) => Fiber.await(fiber)),
    /** The same; its caller waits no longer than it gets on. */
    watched: <A, E>(watchedWork: WatchedWork, work: Effect.Effect<A, E>): Effect.Effect<A, E | Gone | WorkStalled> =>
      run(work, (fiber) => untilStalled(watchdog, waitTimeoutMs, watchedWork, Fiber.await(fiber)))
  }
})
