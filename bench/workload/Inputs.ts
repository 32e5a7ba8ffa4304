/**
 * Keys and values by their index, made when they are asked for: no memory of the benchmark's own competes with the store for the CPU's cache, and whoever validates
 * knows what every key must hold.
 */

/** `random`: 16 bytes in no order. `sequential`: 16 bytes in the order of the index. `text`: 16 hexadecimal digits in no order. */
export type KeyStyle = "random" | "sequential" | "text"

export const keyBytes = 16

/** A bijection of 32-bit integers (the finalizer of MurmurHash3): different indexes give different keys. */
const mix = (index: number): number => {
  let x = index
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}

const writeWord = (key: Uint8Array, at: number, word: number): void => {
  key[at] = word >>> 24
  key[at + 1] = word >>> 16
  key[at + 2] = word >>> 8
  key[at + 3] = word
}

const digits = "0123456789abcdef"

/** Different values there are; a power of two. An entry that shows another one's value is found out all but once in so many times. */
const valueCount = 4096
/** How far apart the values of one key's generations lie. */
const generationStep = 1237

/** The inputs of one run. Values are random bytes, which do not compress. */
export class Inputs {
  readonly entries: number
  readonly style: KeyStyle
  readonly valueBytes: number
  private readonly values: ReadonlyArray<Uint8Array>
  private readonly step: number
  private state: number

  constructor(entries: number, style: KeyStyle, valueBytes: number, seed = 0x2545f491) {
    this.entries = entries
    this.style = style
    this.valueBytes = valueBytes
    this.state = seed
    const pool = new Uint8Array(valueBytes + valueCount * 61)
    for (let i = 0; i < pool.length; i++) pool[i] = mix(i ^ seed) >>> 7
    this.values = Array.from({ length: valueCount }, (_, i) => pool.subarray(i * 61, i * 61 + valueBytes))
    let step = Math.floor(entries * 0.618) | 1
    while (gcd(step, entries) !== 1) step += 2
    this.step = step
  }

  /** Writes the key of an index; those from `entries` on are never stored. */
  writeKey(index: number, key: Uint8Array): void {
    if (this.style === "text") {
      const high = mix(index)
      const low = mix(index ^ 0x5bd1e995)
      for (let i = 0; i < 8; i++) {
        key[i] = digits.charCodeAt((high >>> (28 - i * 4)) & 15)
        key[8 + i] = digits.charCodeAt((low >>> (28 - i * 4)) & 15)
      }
    } else if (this.style === "random") {
      for (let word = 0; word < 4; word++) writeWord(key, word * 4, mix(index + word * 0x9e3779b9))
    } else {
      for (let word = 0; word < 3; word++) writeWord(key, word * 4, 0)
      writeWord(key, 12, index)
    }
  }

  key(index: number): Uint8Array {
    const key = new Uint8Array(keyBytes)
    this.writeKey(index, key)
    return key
  }

  /** The key as a string; for keys of style `text`. */
  text(index: number): string {
    return String.fromCharCode(...this.key(index))
  }

  value(index: number, generation = 0): Uint8Array {
    return this.values[(index + generation * generationStep) & (valueCount - 1)]!
  }

  /** Visits every index once, in an order far from theirs, as `i` goes from 0 to `entries`. */
  permuted(i: number): number {
    return (i * this.step) % this.entries
  }

  /** An index below `below` at random (xorshift32, the same on every run). */
  random(below = this.entries): number {
    let x = this.state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.state = x
    return (x >>> 0) % below
  }
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
