/**
 * Fence pages: the level above the leaves. Each entry is the pointer to one leaf and a fence, the shortest key that separates the leaf from the one before it.
 *
 * ```
 * page:  first leaf offset varint | count varint | entry …
 * entry: flags u8 | keyspace varint? | shared varint | rest length varint | rest | sequence varint? | stored length varint | {codec u8, raw length varint}? | sum u32
 * ```
 *
 * Leaves follow one another in the file, so an entry needs no offset. The first leaf of a keyspace has the empty fence. A fence has a sequence only where a key's versions
 * go on from the leaf before: then it is the first entry of its leaf, key and sequence. docs/format/table.md, "Fence page".
 */
import { ByteReader } from "../bytes/ByteReader.ts"
import { ByteWriter } from "../bytes/ByteWriter.ts"

export const FenceFlag = { keyspace: 1, sequence: 2, compressed: 4 } as const

/** Above this many bytes a page is closed. */
const pageBytesTarget = 32 * 1024

export interface FencePage {
  readonly bytes: Uint8Array
  readonly leafCount: number
}

export class FencePageWriter {
  readonly pages: Array<FencePage> = []
  readonly #entries = new ByteWriter(pageBytesTarget + 1024)
  #count = 0
  #firstOffset = 0
  #keyspace = 0
  #lastFence: Uint8Array = new Uint8Array(0)
  /** Bytes of all pages so far. */
  bytes = 0

  /** `fence` is held until the next call. `sequence` is undefined where the fence stands before all versions of its key. */
  add(
    keyspace: number,
    fence: Uint8Array,
    sequence: number | undefined,
    offset: number,
    storedLength: number,
    rawLength: number,
    codec: number,
    sum: number
  ): void {
    const isFirst = this.#count === 0
    if (isFirst) {
      this.#firstOffset = offset
      this.#lastFence = new Uint8Array(0)
    }
    const writer = this.#entries
    const changes = isFirst || keyspace !== this.#keyspace
    writer.u8((changes ? FenceFlag.keyspace : 0) | (sequence === undefined ? 0 : FenceFlag.sequence) | (codec === 0 ? 0 : FenceFlag.compressed))
    if (changes) writer.varint(keyspace)
    const last = this.#lastFence
    let shared = 0
    while (shared < last.length && shared < fence.length && last[shared] === fence[shared]) shared++
    writer.varint(shared).lengthPrefixed(fence.subarray(shared))
    if (sequence !== undefined) writer.varint(sequence)
    writer.varint(storedLength)
    if (codec !== 0) writer.u8(codec).varint(rawLength)
    writer.u32(sum)
    this.#keyspace = keyspace
    this.#lastFence = fence
    this.#count++
    if (writer.length >= pageBytesTarget) this.close()
  }

  /** Ends the page begun, if any. */
  close(): void {
    if (this.#count === 0) return
    const page = new ByteWriter(this.#entries.length + 16).varint(this.#firstOffset).varint(this.#count).raw(this.#entries.bytes)
    this.pages.push({ bytes: page.bytes, leafCount: this.#count })
    this.bytes += page.length
    this.#entries.clear()
    this.#count = 0
  }
}

/** One decoded fence entry; `fence` is valid until the next one is read. */
export interface FenceEntry {
  keyspace: number
  fence: Uint8Array
  fenceLength: number
  /** -1: before all versions. */
  sequence: number
  offset: number
  storedLength: number
  rawLength: number
  codec: number
  sum: number
}

/** Reads a verified page, entry by entry, into one reused object. Throws `MalformedBytes`; answers false when the content contradicts itself. */
export const readFencePage = (bytes: Uint8Array, leafCount: number, each: (entry: FenceEntry) => boolean): boolean => {
  const reader = new ByteReader(bytes)
  const entry: FenceEntry = {
    keyspace: 0,
    fence: new Uint8Array(256),
    fenceLength: 0,
    sequence: -1,
    offset: reader.varint(),
    storedLength: 0,
    rawLength: 0,
    codec: 0,
    sum: 0
  }
  if (reader.varint() !== leafCount) return false
  for (let i = 0; i < leafCount; i++) {
    const flags = reader.u8()
    if (flags > 7) return false
    if ((flags & FenceFlag.keyspace) !== 0) entry.keyspace = reader.varint()
    const shared = reader.varint()
    const rest = reader.lengthPrefixed()
    if (shared > entry.fenceLength) return false
    if (shared + rest.length > entry.fence.length) {
      const larger = new Uint8Array((shared + rest.length) * 2)
      larger.set(entry.fence)
      entry.fence = larger
    }
    entry.fence.set(rest, shared)
    entry.fenceLength = shared + rest.length
    entry.sequence = (flags & FenceFlag.sequence) === 0 ? -1 : reader.varint()
    entry.storedLength = reader.varint()
    if ((flags & FenceFlag.compressed) === 0) {
      entry.codec = 0
      entry.rawLength = entry.storedLength
    } else {
      entry.codec = reader.u8()
      entry.rawLength = reader.varint()
    }
    entry.sum = reader.u32()
    if (!each(entry)) return false
    entry.offset += entry.storedLength
  }
  return reader.remaining === 0
}
