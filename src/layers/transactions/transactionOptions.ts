import * as Schedule from "effect/Schedule"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import { InvalidOptions, type TransactionConflict } from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { readDuration } from "../../domain/options/readDuration.ts"
import type { Durability } from "../../services/Database.ts"
import type { OpenSettings } from "./OpenTransaction.ts"
import { annotationBytes, durabilityOf } from "./writeOptions.ts"

const timeoutMsDefault = 60_000
const names: ReadonlyArray<string> = ["isolation", "durability", "annotation", "timeout"]
const namesWithRetry: ReadonlyArray<string> = [...names, "retry"]

export interface TransactionSettings extends OpenSettings {
  /** Undefined: the default one. */
  readonly retry: Schedule.Schedule<unknown, TransactionConflict> | false | undefined
}

export const defaultSettings = (durability: Durability): TransactionSettings => ({
  isolation: "serializable",
  durability,
  annotation: undefined,
  timeoutMs: timeoutMsDefault,
  retry: undefined
})

const show = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : describeType(value))

/** The options of a transaction, checked. Throws `InvalidOptions`. */
export const transactionSettings = (given: unknown, defaults: TransactionSettings, mayRetry: boolean): TransactionSettings => {
  if (given === undefined) return defaults
  const problems: Array<string> = []
  if (typeof given !== "object" || given === null)
    throw new InvalidOptions({
      problems: [`the options of a transaction must be an object such as { isolation: "snapshot" }, found ${describeType(given)}`]
    })
  const options: { readonly [name: string]: unknown } = { ...given }
  const known = mayRetry ? namesWithRetry : names
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) problems.push(`${JSON.stringify(name)} is not an option of a transaction; there are ${known.join(", ")}`)
  }
  const { annotation, durability, isolation, retry, timeout } = options
  if (isolation !== undefined && isolation !== "serializable" && isolation !== "snapshot")
    problems.push(`isolation must be "serializable" or "snapshot", found ${show(isolation)}`)
  const timeoutMs = timeout === undefined ? defaults.timeoutMs : readDuration(timeout)
  if (!(timeoutMs >= 0)) problems.push(`timeout must be a duration (a number of milliseconds, "5 minutes", a Duration), found ${show(timeout)}`)
  if (retry !== undefined && retry !== false && !Schedule.isSchedule(retry)) problems.push(`retry must be a Schedule, or false, found ${show(retry)}`)
  if (problems.length > 0) throw new InvalidOptions({ problems })
  return {
    isolation: isolation === "snapshot" ? "snapshot" : "serializable",
    durability: durabilityOf(durability, defaults.durability),
    annotation: annotation === undefined ? undefined : copyOf(annotationBytes(annotation)),
    timeoutMs,
    retry: retry === undefined ? undefined : (retry as TransactionSettings["retry"])
  }
}
