import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { InvalidOptions } from "../errors.ts"
import { describeType } from "../keys/describeType.ts"
import { didYouMean } from "./didYouMean.ts"

const fields: ReadonlyArray<string> = ["history"]

/** How long a keyspace keeps its history, in ms, by the options it is opened with (`Infinity`: without end); undefined where they do not say. Throws `InvalidOptions`. */
export const keyspaceHistoryMs = (given: unknown): number | undefined => {
  if (given === undefined) return undefined
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new InvalidOptions({ problems: [`the options of a keyspace must be an object such as { history: "1 day" }, found ${describeType(given)}`] })
  }
  for (const name of Object.keys(given)) {
    if (fields.includes(name)) continue
    const meant = didYouMean(name, fields)
    const hint = meant === undefined ? "there is history" : `did you mean ${meant}?`
    throw new InvalidOptions({ problems: [`${JSON.stringify(name)} is not an option of a keyspace; ${hint}`] })
  }
  const { history }: { readonly history?: unknown } = given
  if (history === undefined) return undefined
  if (history === "unlimited") return Infinity
  // NaN would pass for no time at all.
  const duration = Number.isNaN(history) ? Option.none() : Duration.fromInput(history as Duration.Input)
  const ms = Option.match(duration, { onNone: () => Number.NaN, onSome: Duration.toMillis })
  if (ms >= 0) return ms === Infinity ? ms : Math.ceil(ms)
  throw new InvalidOptions({ problems: ['history must be a duration (a number of milliseconds, "5 minutes", a Duration), or "unlimited"'] })
}
