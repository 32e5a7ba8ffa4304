/**
 * A block of output that is filled with text and handed on when it is full. Bytes of keys and values are copied straight into it: they are UTF-8 as they stand, and a string
 * in between would cost two conversions and the memory of both.
 */
import { isUtf8 } from "node:buffer"

/** A block is handed on from this size on. */
export const blockBytes = 64 * 1024

/** A large value is written in slices of this many bytes; whole groups of base64. */
export const sliceBytes = 48 * 1024

const quote = 0x22
const backslash = 0x5c

/** What JSON writes for a byte: 0 as it is, 1 as \u00xx, else the letter after the backslash. */
const escapes = new Uint8Array(256)
escapes.fill(1, 0, 0x20)
for (const [code, letter] of [
  [0x08, "b"],
  [0x09, "t"],
  [0x0a, "n"],
  [0x0c, "f"],
  [0x0d, "r"],
  [quote, '"'],
  [backslash, "\\"]
] as const) {
  escapes[code] = letter.charCodeAt(0)
}

const digits = Buffer.from("0123456789abcdef", "latin1")

/** Below this the loop is quicker than the call. */
const shortBytes = 48

/** Whether the bytes are UTF-8. */
export const isText = (bytes: Uint8Array): boolean => {
  if (bytes.length > shortBytes) return isUtf8(bytes)
  let high = 0
  for (let i = 0; i < bytes.length; i++) high |= bytes[i]!
  return high < 0x80 || isUtf8(bytes)
}

/** Writes a byte of a JSON string at `at`, and answers where the next one goes. */
const jsonByte = (out: Uint8Array, at: number, byte: number): number => {
  const escape = escapes[byte]!
  if (escape === 0) {
    out[at] = byte
    return at + 1
  }
  out[at] = backslash
  if (escape !== 1) {
    out[at + 1] = escape
    return at + 2
  }
  out[at + 1] = 0x75
  out[at + 2] = 0x30
  out[at + 3] = 0x30
  out[at + 4] = digits[byte >> 4]!
  out[at + 5] = digits[byte & 15]!
  return at + 6
}

export class TextBlock {
  length = 0
  private bytes = Buffer.allocUnsafeSlow(2 * blockBytes)

  /** What was written since the last `clear`: valid until the next write. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  clear(): void {
    this.length = 0
  }

  /** Text of ASCII characters. */
  ascii(text: string): void {
    this.reserve(text.length)
    if (text.length > 16) this.length += this.bytes.write(text, this.length, "latin1")
    else for (let i = 0; i < text.length; i++) this.bytes[this.length++] = text.charCodeAt(i)
  }

  text(text: string): void {
    this.reserve(text.length * 3)
    this.length += this.bytes.write(text, this.length)
  }

  copy(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.reserve(to - from)
    if (to - from > shortBytes) this.bytes.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), this.length)
    else for (let i = from, at = this.length; i < to; i++) this.bytes[at++] = bytes[i]!
    this.length += to - from
  }

  /** The inside of a JSON string. The bytes are UTF-8; a slice may begin and end within a character. */
  jsonText(bytes: Uint8Array, from = 0, to = bytes.length): void {
    // The worst is \u00xx for each byte.
    this.reserve((to - from) * 6)
    const out = this.bytes
    let at = this.length
    let i = from
    // Most bytes stand as they are: four at a time take half as long.
    for (; i + 4 <= to; i += 4) {
      const a = bytes[i]!
      const b = bytes[i + 1]!
      const c = bytes[i + 2]!
      const d = bytes[i + 3]!
      if ((escapes[a]! | escapes[b]! | escapes[c]! | escapes[d]!) === 0) {
        out[at] = a
        out[at + 1] = b
        out[at + 2] = c
        out[at + 3] = d
        at += 4
      } else at = jsonByte(out, jsonByte(out, jsonByte(out, jsonByte(out, at, a), b), c), d)
    }
    for (; i < to; i++) at = jsonByte(out, at, bytes[i]!)
    this.length = at
  }

  /** The inside of a quoted field: each quote twice. */
  doubleQuotes(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.reserve((to - from) * 2)
    const out = this.bytes
    let at = this.length
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!
      out[at++] = byte
      if (byte === quote) out[at++] = quote
    }
    this.length = at
  }

  /** `from` is a multiple of three, and so is `to` unless it is the end. */
  base64(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.ascii(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("base64"))
  }

  hex(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.ascii(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("hex"))
  }

  private reserve(more: number): void {
    const needed = this.length + more
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
  }
}
