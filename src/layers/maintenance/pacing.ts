import * as Effect from "effect/Effect"
import { InvalidOptions } from "../../domain/errors.ts"
import { TokenBucket } from "../../domain/maintenance/TokenBucket.ts"
import { isScrubRate, scrubRateExpects } from "../../domain/options/scrubOption.ts"
import { show } from "../../domain/options/show.ts"
import type { ScrubOptions } from "../../services/Scrubber.ts"
import type { Pace } from "./verifyLog.ts"

/** What may be read at once after a pause: as much as a verification reads at a time. */
const burstBytes = 256 * 1024

/** So many bytes per second on average. Whoever reads waits after it has taken its share; a wait is interrupted at once. */
export const paceOf = (bytesPerSecond: number, monotonicMs: () => number, onRead: (bytes: number) => void): Pace => {
  const bucket = new TokenBucket(bytesPerSecond, burstBytes, monotonicMs())
  return (bytes) =>
    Effect.suspend(() => {
      onRead(bytes)
      const waitMs = bucket.take(bytes, monotonicMs())
      // Others go first in any case.
      return waitMs === 0 ? Effect.yieldNow : Effect.sleep(waitMs)
    })
}

/** The rate that a call asks for. */
export const rateOf = (given: ScrubOptions | undefined, fallback: number): Effect.Effect<number, InvalidOptions> =>
  Effect.suspend(() => {
    const { bytesPerSecond = fallback }: { readonly bytesPerSecond?: unknown } = given ?? {}
    return isScrubRate(bytesPerSecond)
      ? Effect.succeed(bytesPerSecond)
      : Effect.fail(new InvalidOptions({ problems: [`bytesPerSecond must be ${scrubRateExpects}, found ${show(bytesPerSecond)}`] }))
  })
