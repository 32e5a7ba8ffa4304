/**
 * Reads the common line, `{"key":"…","value":"…"}`, without making strings: key and value are the bytes that JSON.parse would have given, as UTF-8. Every other line (more fields,
 * another order, other types, anything malformed) is left to JSON.parse, so that there is one place that says what is wrong.
 */
import { keyBytesMax } from "../../../domain/keys/kinds.ts"

const quote = 34
const backslash = 92
const lineFeed = 10

/** 1 for the bytes that stand for themselves in a JSON string: all but control characters, the quote and the backslash. */
const plain = new Uint8Array(256).fill(1)
plain.fill(0, 0, 32)
plain[quote] = 0
plain[backslash] = 0

/** What a single letter after a backslash stands for; 0: no such escape. */
const escapes = new Uint8Array(256)
for (const [letter, code] of [
  ['"', 34],
  ["\\", 92],
  ["/", 47],
  ["b", 8],
  ["f", 12],
  ["n", 10],
  ["r", 13],
  ["t", 9]
] as const)
  escapes[letter.charCodeAt(0)] = code

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))
const keyName = ascii('"key"')
const valueName = ascii('"value"')

const hexDigit = (byte: number): number =>
  byte >= 48 && byte <= 57 ? byte - 48 : byte >= 97 && byte <= 102 ? byte - 87 : byte >= 65 && byte <= 70 ? byte - 55 : -1

const none = new Uint8Array(0)

export class EntryScanner {
  /** Of the last line that was read: views of the input, or memory of their own where there were escapes. */
  key: Uint8Array = none
  value: Uint8Array = none
  #text: Uint8Array = none
  readonly #valueBytesMax: number

  constructor(valueBytesMax: number) {
    this.#valueBytesMax = valueBytesMax
  }

  /**
   * Reads the line that begins at `from` of `bytes`, which are UTF-8. Returns where the next one begins (`bytes.length` where the last has no line break), or -1 for a line
   * that is not of the common shape; key and value are then of no meaning.
   */
  scan(bytes: Uint8Array, from: number): number {
    if (bytes[from] !== 123) return -1
    let at = this.#name(bytes, from + 1, keyName)
    if (at < 0 || (at = this.#string(bytes, at)) < 0) return -1
    if (this.#text.length === 0 || this.#text.length > keyBytesMax) return -1
    this.key = this.#text
    at = skipSpace(bytes, at)
    if (bytes[at] !== 44) return -1
    at = this.#name(bytes, at + 1, valueName)
    if (at < 0 || (at = this.#string(bytes, at)) < 0) return -1
    if (this.#text.length > this.#valueBytesMax) return -1
    this.value = this.#text
    at = skipSpace(bytes, at)
    if (bytes[at] !== 125) return -1
    at = skipSpace(bytes, at + 1)
    if (bytes[at] === 13) at++
    if (at === bytes.length) return at
    return bytes[at] === lineFeed ? at + 1 : -1
  }

  /** `"name" : "`; returns where the string begins, after its quote. */
  #name(bytes: Uint8Array, from: number, name: Uint8Array): number {
    let at = skipSpace(bytes, from)
    for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return -1
    at = skipSpace(bytes, at + name.length)
    if (bytes[at] !== 58) return -1
    at = skipSpace(bytes, at + 1)
    return bytes[at] === quote ? at + 1 : -1
  }

  /** Leaves the string that begins at `from` in `#text`; returns what follows its closing quote. */
  #string(bytes: Uint8Array, from: number): number {
    let at = from
    // Beyond the end the byte is undefined, and so is what is looked up.
    while (plain[bytes[at]!] === 1) at++
    if (bytes[at] === quote) {
      this.#text = bytes.subarray(from, at)
      return at + 1
    }
    return bytes[at] === backslash ? this.#escaped(bytes, from, at) : -1
  }

  #escaped(bytes: Uint8Array, from: number, first: number): number {
    let end = first
    // No escape stands for more bytes than it has.
    while (end < bytes.length && bytes[end] !== quote) {
      if (bytes[end] === lineFeed) return -1
      end += bytes[end] === backslash ? 2 : 1
    }
    if (end >= bytes.length) return -1
    const text = new Uint8Array(end - from)
    text.set(bytes.subarray(from, first))
    let to = first - from
    for (let at = first; at < end;) {
      const byte = bytes[at]!
      if (plain[byte] === 1) {
        text[to++] = byte
        at++
        continue
      }
      if (byte !== backslash) return -1
      const letter = bytes[at + 1]!
      if (letter !== 117) {
        const code = escapes[letter]!
        if (code === 0) return -1
        text[to++] = code
        at += 2
        continue
      }
      let code = hexOf(bytes, at + 2)
      at += 6
      if (code < 0) return -1
      if (code >= 0xd800 && code <= 0xdfff) {
        // Half of a pair is refused, and JSON.parse's way is the one that says so.
        if (code > 0xdbff || bytes[at] !== backslash || bytes[at + 1] !== 117) return -1
        const low = hexOf(bytes, at + 2)
        if (low < 0xdc00 || low > 0xdfff) return -1
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00)
        at += 6
      }
      if (code < 0x80) text[to++] = code
      else if (code < 0x800) {
        text[to++] = 0xc0 | (code >> 6)
        text[to++] = 0x80 | (code & 63)
      } else if (code < 0x10000) {
        text[to++] = 0xe0 | (code >> 12)
        text[to++] = 0x80 | ((code >> 6) & 63)
        text[to++] = 0x80 | (code & 63)
      } else {
        text[to++] = 0xf0 | (code >> 18)
        text[to++] = 0x80 | ((code >> 12) & 63)
        text[to++] = 0x80 | ((code >> 6) & 63)
        text[to++] = 0x80 | (code & 63)
      }
    }
    this.#text = text.subarray(0, to)
    return end + 1
  }
}

const skipSpace = (bytes: Uint8Array, from: number): number => {
  let at = from
  while (bytes[at] === 32 || bytes[at] === 9) at++
  return at
}

/** The number of four hexadecimal digits, or -1. */
const hexOf = (bytes: Uint8Array, from: number): number => {
  if (from + 4 > bytes.length) return -1
  let code = 0
  for (let i = from; i < from + 4; i++) {
    const digit = hexDigit(bytes[i]!)
    if (digit < 0) return -1
    code = (code << 4) | digit
  }
  return code
}
