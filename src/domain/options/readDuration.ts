import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const units = ["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"] as const
const unitNames: ReadonlyArray<string> = units

/** Neither NaN, which `Duration` takes for no time at all, nor a number in words. */
const isAmount = (given: unknown): boolean => typeof given === "number" && given > -Infinity

/** At least one unit, each with an amount (or undefined), and nothing else: a Date, a misspelt unit, an empty object would all be no time at all. */
const isOfUnits = (given: object): boolean => {
  const amounts: { readonly [unit in (typeof units)[number]]?: unknown } = given
  let count = 0
  for (const unit of units) {
    const amount = amounts[unit]
    if (amount === undefined) continue
    if (!isAmount(amount)) return false
    count++
  }
  return count > 0 && Object.keys(given).every((name) => unitNames.includes(name))
}

/** A `Duration.Input` that nobody has checked yet, in ms (negative ones too); NaN for what is no duration at all. */
export const readDuration = (given: unknown): number => {
  if (typeof given === "number") return given
  if (typeof given === "object" && given !== null && !Duration.isDuration(given)) {
    if (Array.isArray(given) ? !given.every(isAmount) : !isOfUnits(given)) return Number.NaN
  }
  // What is no duration at all gives none: the cast hands in what nobody has checked yet.
  return Option.match(Duration.fromInput(given as Duration.Input), { onNone: () => Number.NaN, onSome: Duration.toMillis })
}
