import { describeType } from "../keys/describeType.ts"
import { sequenceMax } from "../keys/kinds.ts"
import { readDuration } from "../options/readDuration.ts"

/** An `Expiry` that nobody has checked yet. */
interface Unchecked {
  readonly ttl?: unknown
  readonly expiresAt?: unknown
}

const found = (value: unknown): string =>
  typeof value === "number" ? String(value) : typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : describeType(value)

/** Logs and tables hold whole milliseconds from 1 to 2^53 - 1; 0 is never. A value stays for all of a fraction; what is beyond the end of time stays for ever. */
const stored = (ms: number): number => (ms >= sequenceMax ? 0 : Math.max(1, Math.ceil(ms)))

/** When a value written at `commitTimeMs` expires: whole ms of engine time, 0 for never. Text is what is wrong with the expiry, as the rest of a sentence. */
export const expiresAtOf = (given: Unchecked, commitTimeMs: number): number | string => {
  const { expiresAt, ttl } = given
  if (ttl === undefined) {
    if (expiresAt === undefined) return 0
    const ms = expiresAt instanceof Date ? expiresAt.getTime() : expiresAt
    if (typeof ms === "number" && !Number.isNaN(ms)) return stored(ms)
    return `expiresAt is ${expiresAt instanceof Date ? "an invalid Date" : found(expiresAt)}. Use a Date, or milliseconds since 1970.`
  }
  if (expiresAt !== undefined) return "there are both ttl and expiresAt. Use one of them."
  const ms = readDuration(ttl)
  if (ms >= 0) return stored(commitTimeMs + ms)
  return `ttl is ${found(ttl)}. Use a duration that is not negative (a number of milliseconds, "5 minutes", a Duration).`
}
