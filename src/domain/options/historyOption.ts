import type * as Duration from "effect/Duration"
import { historyVersionsMax } from "../keys/catalogRows.ts"
import { readDuration } from "./readDuration.ts"

/** How much of the past is kept: for so long (a number is milliseconds), without end, or the newest so many versions of each key (for `history(key)` only). */
export type HistoryOption = Duration.Input | "unlimited" | { readonly versions: number }

/** `historyMs` is `Infinity` for "unlimited", and 0 with retention by count. */
export interface HistoryKept {
  readonly historyMs: number
  /** Undefined: not by count. */
  readonly historyVersions: number | undefined
}

/** What is accepted, in words. */
export const historyExpects = `a duration (a number of milliseconds, "5 minutes", a Duration), "unlimited", or { versions: a whole number from 1 to ${historyVersionsMax} }`

/** Undefined where it is none. */
export const readHistory = (given: unknown): HistoryKept | undefined => {
  if (given === "unlimited") return { historyMs: Infinity, historyVersions: undefined }
  if (typeof given === "object" && given !== null && "versions" in given) {
    const { versions } = given
    if (Object.keys(given).length !== 1 || typeof versions !== "number" || !Number.isInteger(versions)) return undefined
    return versions < 1 || versions > historyVersionsMax ? undefined : { historyMs: 0, historyVersions: versions }
  }
  const ms = readDuration(given)
  return ms >= 0 ? { historyMs: ms, historyVersions: undefined } : undefined
}
