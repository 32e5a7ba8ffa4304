/** What was in files before they were written to, for reads that return an earlier state of their bytes. */

interface Replaced {
  readonly position: number
  readonly length: number
  /** What was there; shorter than `length` where the file ended. */
  readonly bytes: Uint8Array
}

export class ReplacedBytes {
  /** By path, the oldest first. */
  readonly #files = new Map<string, Array<Replaced>>()

  /** `length` bytes from `position` are about to be replaced; `bytes` (kept) are those that are there. */
  note(path: string, position: number, length: number, bytes: Uint8Array): void {
    const replaced = this.#files.get(path)
    if (replaced === undefined) this.#files.set(path, [{ position, length, bytes }])
    else replaced.push({ position, length, bytes })
  }

  /** The file is gone, or has another name. */
  forget(path: string): void {
    this.#files.delete(path)
  }

  /** Puts into the first `count` bytes of `into`, read from `position`, what the last write to any of them replaced; whether there was one. */
  restore(path: string, into: Uint8Array, position: number, count: number): boolean {
    const last = this.#files.get(path)?.findLast((replaced) => replaced.position < position + count && position < replaced.position + replaced.length)
    if (last === undefined) return false
    const from = Math.max(position, last.position)
    const to = Math.min(position + count, last.position + last.length)
    into.fill(0, from - position, to - position)
    into.set(last.bytes.subarray(from - last.position, Math.max(from, to) - last.position), from - position)
    return true
  }
}
