/** Durations and moments as they are written on a command line. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CliFailure } from "./CliFailure.ts"
import { usage } from "./shared.ts"

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  sec: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000
}

/** "500ms", "30s", "5m", "1h30m", "7d", "2w", "5 minutes": in ms; undefined where it is none. */
export const durationMs = (text: string): number | undefined => {
  const compact = text.trim()
  if (/^(?:\d+(?:\.\d+)?\s*(?:ms|s|sec|m|min|h|d|w)\s*)+$/.test(compact)) {
    let ms = 0
    for (const [, count, unit] of compact.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) ms += Number(count) * unitMs[unit!]!
    return ms
  }
  // The words that an application would write.
  if (!/^\d+(?:\.\d+)? [a-z]+$/.test(compact)) return undefined
  return Option.match(Duration.fromInput(compact as Duration.Input), { onNone: () => undefined, onSome: Duration.toMillis })
}

/** The same for a flag, with what may be written there. */
export const durationFlag = (flag: string, text: string, also = ""): Effect.Effect<number, CliFailure> => {
  const ms = durationMs(text)
  return ms === undefined
    ? Effect.fail(usage(`${flag} ${JSON.stringify(text)} is not a duration`, `Give a number and a unit: 500ms, 30s, 5m, 1h, 7d, 2w${also}.`))
    : Effect.succeed(ms)
}

/** The sequence of a commit, or a moment: "2026-11-21", "2026-11-21T18:00:00Z", "10m ago". Undefined where it is none. */
export const momentOf = (text: string, nowMs: number): number | Date | undefined => {
  if (/^\d+$/.test(text)) return Number(text)
  const ago = /^(.+?) ?ago$/.exec(text)
  if (ago !== null) {
    const ms = durationMs(ago[1]!)
    return ms === undefined ? undefined : new Date(nowMs - ms)
  }
  // Only what begins as a date does: the platform takes nearly anything for one.
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined
  const date = new Date(text)
  return Number.isNaN(date.getTime()) ? undefined : date
}
