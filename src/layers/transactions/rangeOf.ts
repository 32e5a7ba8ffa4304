import { InvalidRange } from "../../domain/errors.ts"
import { keyBounds } from "../../domain/keys/KeyBounds.ts"
import { describeType } from "../../domain/keys/describeType.ts"

export interface Range {
  readonly start: Uint8Array
  readonly end: Uint8Array
}

/** A `TransactionRange` that nobody has checked yet, as copied bytes; undefined where it is empty. Throws `InvalidRange`. */
export const rangeOf = (given: unknown): Range | undefined => {
  if (typeof given !== "object" || given === null) throw new InvalidRange({ detail: `it is ${describeType(given)}. Use { gte, lt } or { prefix }.` })
  const { gte, lt, prefix, ...rest }: { readonly [name: string]: unknown } = { ...given }
  for (const name of Object.keys(rest)) throw new InvalidRange({ detail: `${JSON.stringify(name)} is unknown; use gte and lt, or prefix` })
  if (prefix === undefined ? gte === undefined || lt === undefined : gte !== undefined || lt !== undefined)
    throw new InvalidRange({ detail: "it needs both gte and lt, or a prefix" })
  const { lower, upper } = keyBounds(prefix === undefined ? { gte, lt } : { prefix })
  if (upper === undefined) throw new InvalidRange({ detail: "a prefix of nothing, or of only 0xff bytes, has no end. Use gte and lt" })
  // Nothing lies before a single zero byte but the empty string, which is no key.
  const start = lower ?? new Uint8Array(1)
  return lower !== undefined && lower.length === upper.length && lower.every((byte, i) => byte === upper[i]) ? undefined : { start, end: upper }
}
