/**
 * Unsigned LEB128 integers up to 2^53 - 1 (`Number.MAX_SAFE_INTEGER`): seven bits per byte, least significant first,
 * the high bit set on every byte but the last; at most eight bytes.
 *
 * Every value has exactly one encoding: a reader refuses a padded one (a last byte of zero after the first), so two
 * different byte strings never decode to the same record.
 *
 * Readers throw `MalformedBytes` on overrun, on a padded form and on a value beyond 2^53 - 1. Callers that decode stored
 * bytes turn that into their own `Damage`.
 */

/** What readers of fields throw where the bytes cannot be what a writer wrote: they know no file and no offset to name. */
export class MalformedBytes extends RangeError {
  override readonly name = "MalformedBytes"
}

/** The most bytes one varint takes. */
export const varintBytesMax = 8

/** The number of bytes {@link writeVarint} will write for `n` (an integer in 0 .. 2^53 - 1). */
export const varintBytes = (n: number): number => {
  if (n < 0x80) return 1
  if (n < 0x4000) return 2
  if (n < 0x20_0000) return 3
  if (n < 0x1000_0000) return 4
  if (n < 0x8_0000_0000) return 5
  if (n < 0x400_0000_0000) return 6
  if (n < 0x2_0000_0000_0000) return 7
  return 8
}

/**
 * Writes `n` (an integer in 0 .. 2^53 - 1, which the caller guarantees) at `offset` and returns the offset after it.
 * The caller guarantees the room; {@link varintBytesMax} bytes always suffice.
 */
export const writeVarint = (bytes: Uint8Array, offset: number, n: number): number => {
  if (n < 0x80) {
    bytes[offset] = n
    return offset + 1
  }
  let at = offset
  let rest = n
  while (rest > 0x7fff_ffff) {
    bytes[at++] = (rest % 0x80) | 0x80
    rest = Math.floor(rest / 0x80)
  }
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

/** The offset after the varint most recently read by {@link readVarint}. */
let nextOffset = 0

/** The offset after the varint most recently read by {@link readVarint}: take it before reading the next one. */
export const varintEnd = (): number => nextOffset

const readLong = (bytes: Uint8Array, offset: number, end: number): number => {
  let at = offset
  let value = 0
  let scale = 1
  for (let i = 0; i < varintBytesMax; i++) {
    if (at >= end) throw new MalformedBytes(`varint at ${offset} runs past ${end}`)
    const byte = bytes[at++]!
    if (byte < 0x80) {
      if (byte === 0 && i > 0) throw new MalformedBytes(`varint at ${offset} is padded`)
      value += byte * scale
      if (value > Number.MAX_SAFE_INTEGER) throw new MalformedBytes(`varint at ${offset} exceeds 2^53 - 1`)
      nextOffset = at
      return value
    }
    value += (byte & 0x7f) * scale
    scale *= 0x80
  }
  throw new MalformedBytes(`varint at ${offset} is longer than ${varintBytesMax} bytes`)
}

/**
 * Reads the varint at `offset`, whose bytes must all lie before `end` (`end` ≤ `bytes.length`, which the caller
 * guarantees). The offset after it is {@link varintEnd}: two calls instead of a pair, so that hot loops allocate nothing.
 */
export const readVarint = (bytes: Uint8Array, offset: number, end: number): number => {
  if (offset < end) {
    const first = bytes[offset]!
    if (first < 0x80) {
      nextOffset = offset + 1
      return first
    }
    if (offset + 1 < end) {
      const second = bytes[offset + 1]!
      if (second < 0x80 && second > 0) {
        nextOffset = offset + 2
        return (first & 0x7f) | (second << 7)
      }
    }
  }
  return readLong(bytes, offset, end)
}
