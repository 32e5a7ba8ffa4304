/**
 * Keys and values as applications hand them in (string or Uint8Array), turned into bytes. This runs for every operation: no object is made per key, and
 * short ASCII strings never leave JavaScript.
 */
import { InvalidKey, InvalidValue } from "../errors.ts"
import { describeType } from "./describeType.ts"
import { keyBytesMax } from "./kinds.ts"

/** Up to this length a loop over char codes beats the call into the platform's encoder, which costs about as much as 25 turns of it. */
const loopCharsMax = 24
const scratchBytesMin = 1024
/** A larger scratch is given up by `clear`, so that one large batch does not hold memory for ever. */
const scratchBytesKept = 1 << 20

/** Longer text gets memory of its own from the platform, in one pass, instead of three bytes of scratch per char. */
const ownMemoryChars = 8192

const utf8 = new TextEncoder()

const typedArrayTag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!

/** Whether `value` is a Uint8Array (a Buffer is one), also one of another realm, where `instanceof` fails (test runners and `vm` contexts make those). */
export const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array || typedArrayTag.call(value) === "Uint8Array"

/**
 * Writes the UTF-8 form of `text` into `into` from `at`, where at least 3 × `text.length` bytes are free. Returns the end, or -1 where `text` has a lone
 * surrogate: encoders fold all of those to U+FFFD, and two different keys would become one.
 */
const writeUtf8 = (text: string, into: Uint8Array, at: number): number => {
  const length = text.length
  if (length <= loopCharsMax) {
    let i = 0
    for (; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) break
      into[at + i] = code
    }
    if (i === length) return at + length
  }
  if (!text.isWellFormed()) return -1
  return at + utf8.encodeInto(text, at === 0 ? into : into.subarray(at)).written
}

/**
 * Encodes one key or value at a time; the result is `bytes[start, end)`.
 *
 * **Details** A Uint8Array is used in place, never copied, by `encode` and by values. What is encoded lies in a scratch buffer: the result of `encode` is
 * valid until the next call; results of the append methods keep their offsets, relative to `scratch`, until `clear` (`scratch` itself is replaced when it grows).
 */
export class KeyEncoder {
  bytes: Uint8Array = new Uint8Array(scratchBytesMin)
  start = 0
  end = 0
  /** Holds everything appended since `clear`, in [0, position). */
  scratch: Uint8Array = this.bytes
  position = 0

  /** Encodes a key. Throws `InvalidKey`. */
  encode(key: unknown): void {
    if (typeof key === "string") this.encodeKeyText(key)
    else this.takeKeyBytes(key)
  }

  /** Encodes a key and keeps a copy of its bytes in `scratch`, so that many keys are alive at once. Throws `InvalidKey`, appending nothing. */
  appendKey(key: unknown): void {
    if (typeof key === "string") {
      this.encodeKeyText(key)
      this.position = this.end
      return
    }
    this.takeKeyBytes(key)
    const bytes = this.bytes
    const length = this.end
    this.reserve(length)
    const scratch = this.scratch
    const start = this.position
    if (length <= 32) for (let i = 0; i < length; i++) scratch[start + i] = bytes[i]!
    else scratch.set(bytes, start)
    this.bytes = scratch
    this.start = start
    this.position = this.end = start + length
  }

  /** Encodes a value: short text is appended to `scratch`, a Uint8Array is used in place. It may be empty. Throws `InvalidValue`, appending nothing. */
  appendValue(value: unknown, bytesMax: number): void {
    if (typeof value === "string") {
      const length = value.length
      // Before anything is reserved: every char takes at least one byte.
      if (length > bytesMax) throw new InvalidValue({ reason: "TooLarge", bytesMax })
      if (length > ownMemoryChars) return this.takeLongText(value, bytesMax)
      this.reserve(length * 3)
      const start = this.position
      const end = writeUtf8(value, this.scratch, start)
      if (end < 0) throw new InvalidValue({ reason: "LoneSurrogate" })
      if (end - start > bytesMax) throw new InvalidValue({ reason: "TooLarge", lengthBytes: end - start, bytesMax })
      this.bytes = this.scratch
      this.start = start
      this.position = this.end = end
      return
    }
    if (!isBytes(value)) throw new InvalidValue({ reason: "WrongType", found: describeType(value) })
    const length = value.length
    if (length > bytesMax) throw new InvalidValue({ reason: "TooLarge", lengthBytes: length, bytesMax })
    this.bytes = value
    this.start = 0
    this.end = length
  }

  /** Makes room for `length` bytes at the end of `scratch` and returns where they start; the caller writes them. */
  appendRoom(length: number): number {
    this.reserve(length)
    this.bytes = this.scratch
    this.start = this.position
    this.position = this.end = this.start + length
    return this.start
  }

  /** Forgets everything appended. */
  clear(): void {
    this.position = 0
    if (this.scratch.length > scratchBytesKept) this.scratch = new Uint8Array(scratchBytesMin)
    // The last value may have been the caller's: do not keep it alive.
    this.bytes = this.scratch
    this.start = this.end = 0
  }

  private encodeKeyText(key: string): void {
    const length = key.length
    if (length === 0) throw new InvalidKey({ reason: "Empty" })
    if (length > keyBytesMax) throw new InvalidKey({ reason: "TooLong" })
    this.reserve(length * 3)
    const scratch = this.scratch
    const start = this.position
    const end = writeUtf8(key, scratch, start)
    if (end < 0) throw new InvalidKey({ reason: "LoneSurrogate" })
    if (end - start > keyBytesMax) throw new InvalidKey({ reason: "TooLong", lengthBytes: end - start })
    this.bytes = scratch
    this.start = start
    this.end = end
  }

  private takeKeyBytes(key: unknown): void {
    if (!isBytes(key)) throw new InvalidKey({ reason: "WrongType", found: describeType(key) })
    const length = key.length
    if (length === 0) throw new InvalidKey({ reason: "Empty" })
    if (length > keyBytesMax) throw new InvalidKey({ reason: "TooLong", lengthBytes: length })
    this.bytes = key
    this.start = 0
    this.end = length
  }

  private takeLongText(value: string, bytesMax: number): void {
    if (!value.isWellFormed()) throw new InvalidValue({ reason: "LoneSurrogate" })
    const bytes = utf8.encode(value)
    if (bytes.length > bytesMax) throw new InvalidValue({ reason: "TooLarge", lengthBytes: bytes.length, bytesMax })
    this.bytes = bytes
    this.start = 0
    this.end = bytes.length
  }

  private reserve(bytes: number): void {
    if (this.scratch.length - this.position < bytes) this.grow(bytes)
  }

  private grow(bytes: number): void {
    const larger = new Uint8Array(Math.max(this.scratch.length * 2, this.position + bytes))
    larger.set(this.scratch.subarray(0, this.position))
    this.scratch = larger
  }
}
