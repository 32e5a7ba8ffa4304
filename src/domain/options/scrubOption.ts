/** The option `scrub`: reading through the whole database in the background, to find damage before somebody needs what is damaged. */
import type * as Duration from "effect/Duration"
import { readDuration } from "./readDuration.ts"
import { show } from "./show.ts"

export interface ScrubOption {
  /** From the begin of one pass to the begin of the next, which never overlap. A number is milliseconds. 1 second to 365 days. */
  readonly every: Duration.Input
  /** How fast it reads at most. Default 8 MiB; 64 KiB to 64 GiB. */
  readonly bytesPerSecond?: number | undefined
}

export interface ScrubSettings {
  readonly everyMs: number
  readonly bytesPerSecond: number
}

export const scrubRateDefault = 8 << 20
const rateMin = 64 * 1024
const rateMax = 64 * 2 ** 30
const everyMsMin = 1000
const everyMsMax = 365 * 86_400_000

export const isScrubRate = (given: unknown): given is number =>
  typeof given === "number" && Number.isInteger(given) && given >= rateMin && given <= rateMax

export const scrubRateExpects = `a whole number of bytes from ${rateMin} to ${rateMax}`

/** The problems of `scrub`, and what it says where it has none; undefined: there is no scrubbing by itself. */
export const readScrub = (given: unknown): { readonly problems: ReadonlyArray<string>; readonly settings: ScrubSettings | undefined } => {
  if (given === undefined) return { problems: [], settings: undefined }
  if (typeof given !== "object" || given === null || Array.isArray(given))
    return { problems: [`scrub must be an object such as { every: "7 days" }, found ${show(given)}`], settings: undefined }
  const problems: Array<string> = []
  let everyMs = Number.NaN
  let bytesPerSecond = scrubRateDefault
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    if (name === "every") {
      everyMs = readDuration(value)
      if (!(everyMs >= everyMsMin && everyMs <= everyMsMax))
        problems.push(
          `scrub.every must be a duration from 1 second to 365 days (a number of milliseconds, "7 days", a Duration), found ${show(value)}`
        )
    } else if (name === "bytesPerSecond") {
      if (isScrubRate(value)) bytesPerSecond = value
      else problems.push(`scrub.bytesPerSecond must be ${scrubRateExpects}, found ${show(value)}`)
    } else problems.push(`"scrub.${name}" is not an option; the options are every, bytesPerSecond`)
  }
  if (Number.isNaN(everyMs) && problems.length === 0) problems.push("scrub.every is missing: say how often")
  return { problems, settings: problems.length === 0 ? { everyMs, bytesPerSecond } : undefined }
}
