import { hash } from "node:crypto"

/** Of chunks that nobody owns any more, and of lists that are shared: neither is ever written again. */
const chunkDigests = new WeakMap<Uint8Array, string>()
const listDigests = new WeakMap<ReadonlyArray<Uint8Array | undefined>, { readonly lengthBytes: number; readonly digest: string }>()

/** The same for the same bytes, however many zeros follow them: those may be there or not. */
const digestOf = (chunk: Uint8Array): string => {
  let end = chunk.length
  while (end > 0 && chunk[end - 1] === 0) end--
  return end === 0 ? "" : hash("sha1", chunk.subarray(0, end), "base64")
}

/**
 * The content of a file in memory: a list of chunks, so that growing copies at most one chunk and a hole costs nothing.
 *
 * `fork` is O(1): both sides share the chunks and copy one when they first write to it. A chunk may be shorter than `chunkBytes`; what is
 * missing of it, and a chunk that is `undefined`, reads as zeros. Bytes past `lengthBytes` are always zero, so growing shows zeros.
 */
export class ChunkedBytes {
  readonly chunkBytes: number
  #lengthBytes = 0
  #chunks: Array<Uint8Array | undefined> = []
  #ownsList = true
  /** Indexes of the chunks that no fork shares. */
  #owned = new Set<number>()

  constructor(chunkBytes: number) {
    this.chunkBytes = chunkBytes
  }

  get lengthBytes(): number {
    return this.#lengthBytes
  }

  /** An independent copy; neither side sees what the other writes from now on. */
  fork(): ChunkedBytes {
    const copy = new ChunkedBytes(this.chunkBytes)
    copy.#lengthBytes = this.#lengthBytes
    copy.#chunks = this.#chunks
    copy.#ownsList = false
    this.#ownsList = false
    if (this.#owned.size > 0) this.#owned = new Set()
    return copy
  }

  /** Copies into `into` from byte `position`; returns the count, short at the end. */
  read(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.#lengthBytes - position))
    let done = 0
    while (done < count) {
      const at = position + done
      const offset = at % this.chunkBytes
      const step = Math.min(count - done, this.chunkBytes - offset)
      const chunk = this.#chunks[(at - offset) / this.chunkBytes]
      const present = chunk === undefined ? 0 : Math.max(0, Math.min(step, chunk.length - offset))
      if (present > 0) into.set(chunk!.subarray(offset, offset + present), done)
      if (present < step) into.fill(0, done + present, done + step)
      done += step
    }
    return count
  }

  /** Copies `bytes` to byte `position`, growing as needed; an empty write does not grow. */
  write(bytes: Uint8Array, position: number): void {
    let done = 0
    while (done < bytes.length) {
      const at = position + done
      const offset = at % this.chunkBytes
      const step = Math.min(bytes.length - done, this.chunkBytes - offset)
      this.#writable((at - offset) / this.chunkBytes, offset + step).set(bytes.subarray(done, done + step), offset)
      done += step
    }
    if (done > 0) this.#lengthBytes = Math.max(this.#lengthBytes, position + done)
  }

  /** Cuts or grows (with zeros) to exactly `lengthBytes`. */
  truncate(lengthBytes: number): void {
    if (lengthBytes < this.#lengthBytes) {
      this.#ownList()
      const offset = lengthBytes % this.chunkBytes
      const whole = (lengthBytes - offset) / this.chunkBytes
      const kept = offset === 0 ? whole : whole + 1
      for (let i = kept; i < this.#chunks.length; i++) this.#owned.delete(i)
      if (this.#chunks.length > kept) this.#chunks.length = kept
      const last = this.#chunks[whole]
      if (last !== undefined && last.length > offset) this.#writable(whole, last.length).fill(0, offset)
    }
    this.#lengthBytes = lengthBytes
  }

  /** The content as one array of its own. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#lengthBytes)
    this.read(bytes, 0)
    return bytes
  }

  /** Identifies the content: equal for equal bytes. What is shared with forks is digested once for all of them. */
  digest(): string {
    const known = this.#ownsList ? undefined : listDigests.get(this.#chunks)
    if (known !== undefined && known.lengthBytes === this.#lengthBytes) return known.digest
    let text = `${this.#lengthBytes}`
    // Chunks that are not there and chunks of zeros read alike.
    for (const [index, chunk] of this.#chunks.entries()) {
      const digest = chunk === undefined ? "" : this.#chunkDigest(index, chunk)
      if (digest !== "") text += `,${index}:${digest}`
    }
    const digest = hash("sha1", text, "base64")
    if (!this.#ownsList) listDigests.set(this.#chunks, { lengthBytes: this.#lengthBytes, digest })
    return digest
  }

  #chunkDigest(index: number, chunk: Uint8Array): string {
    if (this.#owned.has(index)) return digestOf(chunk)
    let digest = chunkDigests.get(chunk)
    if (digest === undefined) chunkDigests.set(chunk, (digest = digestOf(chunk)))
    return digest
  }

  #ownList(): void {
    if (this.#ownsList) return
    this.#chunks = this.#chunks.slice()
    this.#ownsList = true
  }

  /** Chunk `index`, owned, with room for `needBytes`. */
  #writable(index: number, needBytes: number): Uint8Array {
    this.#ownList()
    while (this.#chunks.length <= index) this.#chunks.push(undefined)
    const chunk = this.#chunks[index]
    if (chunk !== undefined && chunk.length >= needBytes && this.#owned.has(index)) return chunk
    // Small files stay small; from the second chunk on a file is growing and gets whole chunks at once.
    const grown = index > 0 ? this.chunkBytes : Math.min(this.chunkBytes, Math.max(64, 2 ** Math.ceil(Math.log2(needBytes))))
    const fresh = new Uint8Array(Math.max(grown, chunk?.length ?? 0))
    if (chunk !== undefined) fresh.set(chunk)
    this.#chunks[index] = fresh
    this.#owned.add(index)
    return fresh
  }
}
