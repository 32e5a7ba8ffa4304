/**
 * The bounds of scans and range operations, brought to one form: from `lower` (inclusive) to `upper` (exclusive), compared as bytes.
 *
 * The byte string after `k` is k‖0x00: nothing lies between them. So `gt` k is from k‖0x00, `lte` k is up to k‖0x00, and a prefix p is from p up to the
 * shortest byte string above everything that starts with p.
 */
import { copyOf } from "../bytes/copyOf.ts"
import { InvalidKey, InvalidRange } from "../errors.ts"
import { didYouMean } from "../options/didYouMean.ts"
import { compareBytes } from "./compareBytes.ts"
import { describeType } from "./describeType.ts"
import { KeyEncoder } from "./encodeKey.ts"

export interface KeyBounds {
  /** First key, inclusive; undefined where there is no bound. Never above `upper`; equal to it where the range is empty. Owned by the bounds. */
  readonly lower: Uint8Array | undefined
  /** End, exclusive; undefined where there is no bound. */
  readonly upper: Uint8Array | undefined
  readonly reverse: boolean
  /** Infinity where there is no limit. */
  readonly limit: number
  /** Values are not read, and come out empty. */
  readonly keysOnly?: true
}

const fields: ReadonlyArray<string> = ["gte", "gt", "lte", "lt", "prefix", "reverse", "limit", "keysOnly"]

const everything: KeyBounds = { lower: undefined, upper: undefined, reverse: false, limit: Infinity }

/** The shortest byte string that sorts after every string that starts with `prefix`; undefined where none does (empty, or only 0xff). */
export const prefixSuccessor = (prefix: Uint8Array): Uint8Array | undefined => {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  const successor = prefix.slice(0, length)
  successor[length - 1]!++
  return successor
}

const after = (key: Uint8Array): Uint8Array => {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

const encoder = new KeyEncoder()

/** A bound need not be a key: it may be empty, which is before every key. */
const boundBytes = (name: string, bound: unknown): Uint8Array | undefined => {
  if (bound === undefined) return undefined
  try {
    encoder.encode(bound)
  } catch (e) {
    if (!(e instanceof InvalidKey)) throw e
    switch (e.reason) {
      case "Empty":
        return new Uint8Array(0)
      case "TooLong":
        throw new InvalidRange({ detail: `${name} is longer than any key can be.` })
      case "LoneSurrogate":
        throw new InvalidRange({ detail: `${name} holds a lone surrogate, which has no UTF-8 form.` })
      case "WrongType":
        throw new InvalidRange({ detail: `${name} is ${e.found}. Use a string or a Uint8Array.` })
    }
  }
  return copyOf(encoder.bytes, encoder.start, encoder.end)
}

const oneOf = (firstName: string, first: Uint8Array | undefined, secondName: string, second: Uint8Array | undefined): Uint8Array | undefined => {
  if (first !== undefined && second !== undefined) throw new InvalidRange({ detail: `it has both ${firstName} and ${secondName}. Keep one of them.` })
  return first ?? second
}

/**
 * Normalises a range as an application gives it. Throws `InvalidRange`.
 *
 * **Details** A range that is empty by its bounds (`gte` equal to `lt`) or by its prefix is legal and yields nothing; a lower bound above the upper one is
 * refused as a mistake. An empty prefix is everything. Bounds are copied: the caller may change its arrays afterwards.
 */
export const keyBounds = (range: unknown): KeyBounds => {
  if (range === undefined) return everything
  if (typeof range !== "object" || range === null || Array.isArray(range) || ArrayBuffer.isView(range)) {
    throw new InvalidRange({ detail: `it is ${describeType(range)}. Use an object such as { gte, lt } or { prefix }.` })
  }
  for (const name in range) {
    if (fields.includes(name)) continue
    const meant = didYouMean(name, fields)
    throw new InvalidRange({
      detail: `${JSON.stringify(name)} is unknown${meant === undefined ? `; use ${fields.join(", ")}` : `; did you mean ${meant}?`}`
    })
  }
  const given: { readonly [name: string]: unknown } = { ...range }
  const gt = boundBytes("gt", given["gt"])
  const lte = boundBytes("lte", given["lte"])
  const low = oneOf("gte", boundBytes("gte", given["gte"]), "gt", gt)
  const high = oneOf("lt", boundBytes("lt", given["lt"]), "lte", lte)
  if (low !== undefined && high !== undefined && compareBytes(low, high) > 0) {
    throw new InvalidRange({ detail: "its lower bound is above its upper bound. Swap them; to walk backwards, add reverse: true." })
  }
  const { reverse = false, limit = Infinity, keysOnly = false } = given
  if (typeof reverse !== "boolean") throw new InvalidRange({ detail: `reverse is ${describeType(reverse)}. Use true or false.` })
  if (typeof limit !== "number" || !(limit >= 0) || (limit !== Infinity && !Number.isInteger(limit))) {
    throw new InvalidRange({ detail: `limit is ${typeof limit === "number" ? limit : describeType(limit)}. Use a whole number, 0 or more.` })
  }
  if (typeof keysOnly !== "boolean") throw new InvalidRange({ detail: `keysOnly is ${describeType(keysOnly)}. Use true or false.` })

  let lower = low === gt && low !== undefined ? after(low) : low
  let upper = high === lte && high !== undefined ? after(high) : high
  const prefix = boundBytes("prefix", given["prefix"])
  if (prefix !== undefined && prefix.length > 0) {
    if (lower === undefined || compareBytes(lower, prefix) < 0) lower = prefix
    const end = prefixSuccessor(prefix)
    if (end !== undefined && (upper === undefined || compareBytes(end, upper) < 0)) upper = end
  }
  // Nothing lies before the empty string, so as a lower bound it is none; as an upper bound it is an empty range.
  if (lower?.length === 0 && upper?.length !== 0) lower = undefined
  // Empty ranges have one form (gt k, lt k and disjoint prefixes come out inverted here).
  if (upper !== undefined && (lower === undefined ? upper.length === 0 : compareBytes(lower, upper) > 0)) lower = upper
  return keysOnly ? { lower, upper, reverse, limit, keysOnly } : { lower, upper, reverse, limit }
}
