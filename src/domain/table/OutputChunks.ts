/** The bytes of a file being written, in large pieces that are handed out and never touched again. */
export class OutputChunks {
  /** Length of the file so far. */
  position = 0
  /** Where the buffers that `take` returns next belong. */
  takenPosition = 0
  /** The piece being filled, from `used` on. */
  bytes = new Uint8Array(0)
  used = 0
  #taken = 0
  #full: Array<Uint8Array> = []
  readonly #chunkBytes: number

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes
  }

  /** Makes room for `length` bytes in one piece at `bytes[used]`; write there, then `commit`. */
  reserve(length: number): void {
    if (this.bytes.length - this.used >= length) return
    this.#seal()
    this.bytes = new Uint8Array(Math.max(this.#chunkBytes, length))
    this.used = 0
    this.#taken = 0
  }

  commit(length: number): void {
    this.used += length
    this.position += length
  }

  append(source: Uint8Array): void {
    this.reserve(source.length)
    this.bytes.set(source, this.used)
    this.commit(source.length)
  }

  take(): Array<Uint8Array> {
    this.#seal()
    const full = this.#full
    this.#full = []
    this.takenPosition = this.position
    return full
  }

  #seal(): void {
    if (this.used > this.#taken) this.#full.push(this.bytes.subarray(this.#taken, this.used))
    this.#taken = this.used
  }
}
