/**
 * A split-block Bloom filter over 32-bit key hashes: each key sets one bit in each of the eight words of one 32-byte block, so that a lookup touches one cache line.
 * Published as: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters" (2007); constants and bit selection are those of Apache
 * Parquet's split block filter. False positives: about 1 % at 10 bits per key. Frozen: the bits are on disk.
 *
 * Stored: the words, little-endian; nothing else.
 */
import { readU32, writeU32 } from "../bytes/fixed.ts"

const blockBytes = 32

export class BloomFilter {
  readonly #words: Uint32Array
  readonly #blocksPerHash: number

  private constructor(words: Uint32Array) {
    this.#words = words
    this.#blocksPerHash = words.length / 8 / 0x1_0000_0000
  }

  /** For about `keyCount` keys at `bitsPerKey`; at least one block. */
  static withRoomFor(keyCount: number, bitsPerKey: number): BloomFilter {
    return new BloomFilter(new Uint32Array(8 * Math.max(1, Math.ceil((keyCount * bitsPerKey) / (8 * blockBytes)))))
  }

  /** From stored bytes; undefined when their length is not that of a filter. */
  static decode(bytes: Uint8Array): BloomFilter | undefined {
    if (bytes.length === 0 || bytes.length % blockBytes !== 0) return undefined
    const words = new Uint32Array(bytes.length / 4)
    for (let i = 0; i < words.length; i++) words[i] = readU32(bytes, 4 * i)
    return new BloomFilter(words)
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(this.sizeBytes)
    for (let i = 0; i < this.#words.length; i++) writeU32(bytes, 4 * i, this.#words[i]!)
    return bytes
  }

  get sizeBytes(): number {
    return this.#words.length * 4
  }

  add(hash: number): void {
    const words = this.#words
    const at = Math.floor((hash >>> 0) * this.#blocksPerHash) * 8
    words[at]! |= 1 << (Math.imul(hash, 0x47b6137b) >>> 27)
    words[at + 1]! |= 1 << (Math.imul(hash, 0x44974d91) >>> 27)
    words[at + 2]! |= 1 << (Math.imul(hash, 0x8824ad5b) >>> 27)
    words[at + 3]! |= 1 << (Math.imul(hash, 0xa2b7289d) >>> 27)
    words[at + 4]! |= 1 << (Math.imul(hash, 0x705495c7) >>> 27)
    words[at + 5]! |= 1 << (Math.imul(hash, 0x2df1424b) >>> 27)
    words[at + 6]! |= 1 << (Math.imul(hash, 0x9efc4947) >>> 27)
    words[at + 7]! |= 1 << (Math.imul(hash, 0x5c6bfb31) >>> 27)
  }

  /** False: certainly not added. */
  mayContain(hash: number): boolean {
    const words = this.#words
    const at = Math.floor((hash >>> 0) * this.#blocksPerHash) * 8
    return (
      ((words[at]! >>> (Math.imul(hash, 0x47b6137b) >>> 27)) & 1) !== 0 &&
      ((words[at + 1]! >>> (Math.imul(hash, 0x44974d91) >>> 27)) & 1) !== 0 &&
      ((words[at + 2]! >>> (Math.imul(hash, 0x8824ad5b) >>> 27)) & 1) !== 0 &&
      ((words[at + 3]! >>> (Math.imul(hash, 0xa2b7289d) >>> 27)) & 1) !== 0 &&
      ((words[at + 4]! >>> (Math.imul(hash, 0x705495c7) >>> 27)) & 1) !== 0 &&
      ((words[at + 5]! >>> (Math.imul(hash, 0x2df1424b) >>> 27)) & 1) !== 0 &&
      ((words[at + 6]! >>> (Math.imul(hash, 0x9efc4947) >>> 27)) & 1) !== 0 &&
      ((words[at + 7]! >>> (Math.imul(hash, 0x5c6bfb31) >>> 27)) & 1) !== 0
    )
  }
}
