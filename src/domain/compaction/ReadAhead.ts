import type { StepFileKind, StepMachine } from "../steps.ts"

/** Windows kept: those of as many inputs as are merged at once. One per input would be as much memory as a whole database has tables. */
const windowsMax = 32

/**
 * Reads of a job's inputs, which are walked front to back: what is asked for is read together with what follows, and later requests are served from it. What is handed out
 * are views of what was read; it is never written into again.
 */
export class ReadAhead {
  bytesRead = 0
  readonly bytesMax: number
  readonly #windows = new Map<number, { readonly offset: number; readonly bytes: Uint8Array }>()

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  /** What was already read. */
  held(fileId: number, offset: number, length: number): Uint8Array | undefined {
    const window = this.#windows.get(fileId)
    if (window === undefined) return undefined
    const at = offset - window.offset
    return at >= 0 && at + length <= window.bytes.length ? window.bytes.subarray(at, at + length) : undefined
  }

  /** Reads `length` bytes and what follows them, to `end` or for `bytesMax` bytes. */
  *read(kind: StepFileKind, fileId: number, offset: number, length: number, end: number): StepMachine<Uint8Array> {
    const wanted = Math.max(length, Math.min(this.bytesMax, end - offset))
    const bytes = (yield { step: "read", kind, fileId, offset, length: wanted })!
    this.bytesRead += wanted
    // The one that was filled first is given up: of an input that is done, or one that is read again from where it is.
    this.#windows.delete(fileId)
    if (this.#windows.size === windowsMax)
      for (const oldest of this.#windows.keys()) {
        this.#windows.delete(oldest)
        break
      }
    this.#windows.set(fileId, { offset, bytes })
    return bytes.subarray(0, length)
  }
}
