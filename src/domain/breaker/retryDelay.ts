import type { RetrySettings } from "../options/faultOptions.ts"

/**
 * How long to wait before the next try, in ms. `failures`: how often it has failed in a row; after the first failure the repetition is made at once, then the pauses grow.
 * `random`: from 0 to 1, what the jitter makes of it.
 */
export const retryDelayMs = (settings: RetrySettings, failures: number, random: number): number => {
  if (failures <= 1) return 0
  const { factor, firstDelayMs, jitter, maxDelayMs } = settings
  return Math.min(maxDelayMs, firstDelayMs * factor ** (failures - 2)) * (1 + jitter * (2 * random - 1))
}
