import { writeU32, writeU64 } from "./fixed.ts"
import { varintBytesMax, writeVarint } from "./varint.ts"

/** Encodes a record whose fields follow one another, into a buffer that grows. The counterpart of `ByteReader`; not for hot paths. */
export class ByteWriter {
  #bytes: Uint8Array
  #length = 0

  constructor(initialBytes = 256) {
    this.#bytes = new Uint8Array(initialBytes)
  }

  get length(): number {
    return this.#length
  }

  /** A view of what was written, valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Empties the writer; its buffer is kept. */
  clear(): void {
    this.#length = 0
  }

  /** `n` is an integer in 0 .. 2^53 - 1; anything else throws `RangeError`, because a record is never written wrong. */
  varint(n: number): this {
    checkInteger(n, Number.MAX_SAFE_INTEGER)
    this.#reserve(varintBytesMax)
    this.#length = writeVarint(this.#bytes, this.#length, n)
    return this
  }

  u8(n: number): this {
    checkInteger(n, 0xff)
    this.#reserve(1)
    this.#bytes[this.#length++] = n
    return this
  }

  u32(n: number): this {
    checkInteger(n, 0xffff_ffff)
    this.#reserve(4)
    writeU32(this.#bytes, this.#length, n)
    this.#length += 4
    return this
  }

  u64(n: number): this {
    checkInteger(n, Number.MAX_SAFE_INTEGER)
    this.#reserve(8)
    writeU64(this.#bytes, this.#length, n)
    this.#length += 8
    return this
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** The bytes, preceded by their length as a varint. */
  lengthPrefixed(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes)
  }

  /** May replace `#bytes`: call it in a statement of its own. */
  #reserve(moreBytes: number): void {
    const needed = this.#length + moreBytes
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
      grown.set(this.#bytes)
      this.#bytes = grown
    }
  }
}

const checkInteger = (n: number, max: number): void => {
  if (!(Number.isInteger(n) && n >= 0 && n <= max)) throw new RangeError(`${n} is not an integer in 0 .. ${max}`)
}
