import { MalformedBytes, readVarint, varintEnd } from "./varint.ts"

/**
 * A cursor over `bytes[offset, end)` for decoding records whose fields follow one another. Every read is checked
 * against `end` and throws `MalformedBytes` (a `RangeError`) on overrun; a decoder of stored bytes turns that into its own `Damage`.
 *
 * Fixed-width integers are little-endian. The reader never copies: `take` returns a view of `bytes`.
 */
export class ByteReader {
  readonly bytes: Uint8Array
  offset: number
  readonly end: number

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    if (!(offset >= 0 && offset <= end && end <= bytes.length)) throw new RangeError(`no range [${offset}, ${end}) in ${bytes.length} bytes`)
    this.bytes = bytes
    this.offset = offset
    this.end = end
  }

  /** The number of bytes not yet read. */
  get remaining(): number {
    return this.end - this.offset
  }

  /** An unsigned LEB128 integer up to 2^53 - 1. */
  varint(): number {
    const value = readVarint(this.bytes, this.offset, this.end)
    this.offset = varintEnd()
    return value
  }

  u8(): number {
    return this.bytes[this.advance(1)]!
  }

  u32(): number {
    const at = this.advance(4)
    const bytes = this.bytes
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  }

  /** A 64-bit unsigned integer; one beyond 2^53 - 1 throws. */
  u64(): number {
    const low = this.u32()
    const value = this.u32() * 0x1_0000_0000 + low
    if (value > Number.MAX_SAFE_INTEGER) throw new MalformedBytes(`u64 at ${this.offset - 8} exceeds 2^53 - 1`)
    return value
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    const at = this.advance(length)
    return this.bytes.subarray(at, at + length)
  }

  /** A view of the bytes of a field preceded by its length as a varint. */
  lengthPrefixed(): Uint8Array {
    return this.take(this.varint())
  }

  /** Skips `length` bytes and returns the offset they began at. */
  advance(length: number): number {
    const at = this.offset
    if (length > this.end - at) throw new MalformedBytes(`${length} bytes at ${at} run past ${this.end}`)
    this.offset = at + length
    return at
  }
}
