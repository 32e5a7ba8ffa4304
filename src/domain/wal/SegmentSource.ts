import type { FileHandle } from "../disk/SyncDisk.ts"
import { IoFailure } from "../failures.ts"

/** Where a segment is read from: an open file, or its bytes in memory. */
export type SegmentSource = Pick<FileHandle, "path" | "readAt" | "sizeBytes">

/** A segment in memory. */
export const bytesSource = (path: string, bytes: Uint8Array): SegmentSource => ({
  path,
  sizeBytes: () => bytes.length,
  readAt: (into, position) => {
    const part = bytes.subarray(position, position + into.length)
    into.set(part)
    return part.length
  }
})

const windowBytes = 1024 * 1024

/** One part of a segment in memory at a time: a scan reads far more groups than it should make system calls. */
export class SegmentWindow {
  readonly #source: SegmentSource
  readonly #limit: number
  #bytes: Uint8Array
  #from = 0
  #until = 0

  /** Never reads at or after `limit`, which lies within the file. */
  constructor(source: SegmentSource, limit: number) {
    this.#source = source
    this.#limit = limit
    this.#bytes = new Uint8Array(Math.min(windowBytes, limit))
  }

  /** The bytes of the window, until the next call of `load`. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /**
   * Makes [offset, offset + length), which lies before the limit, present and returns where in `bytes` it starts. A read that comes back short although the
   * file is long enough is a failure of the disk, not damage: `IoFailure`.
   */
  load(offset: number, length: number): number {
    if (offset < this.#from || offset + length > this.#until) {
      if (length > this.#bytes.length) this.#bytes = new Uint8Array(length)
      const wanted = Math.min(this.#bytes.length, this.#limit - offset)
      this.#from = this.#until = 0
      const count = this.#source.readAt(this.#bytes.subarray(0, wanted), offset)
      if (count < wanted) throw new IoFailure("read", this.#source.path, "EIO", `read ${this.#source.path}: ${count} of ${wanted} bytes at ${offset}`)
      this.#from = offset
      this.#until = offset + wanted
    }
    return offset - this.#from
  }

  /** The offset of the first byte in [offset, limit) that is not zero; the limit where all are. */
  firstNonZero(offset: number): number {
    let at = offset
    while (at < this.#limit) {
      const length = Math.min(windowBytes, this.#limit - at)
      const start = this.load(at, length)
      const found = nonZeroIn(this.#bytes, start, start + length)
      if (found !== -1) return at + found - start
      at += length
    }
    return at
  }
}

/** Segments are zero-filled ahead: whole words are looked at where they begin. */
const nonZeroIn = (bytes: Uint8Array, start: number, end: number): number => {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
  let at = start
  while (at < end) {
    if ((at & 3) === 0) {
      let word = at >> 2
      const wordsEnd = end >> 2
      while (word < wordsEnd && words[word] === 0) word++
      at = Math.max(at, word << 2)
      if (at >= end) break
    }
    if (bytes[at] !== 0) return at
    at++
  }
  return -1
}
