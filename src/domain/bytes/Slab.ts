/** A fresh slab replaces a full one, so a caller that keeps a small value keeps at most this much alive. */
const slabBytes = 16 * 1024
/** From this size on a copy owns its memory. */
const ownMemoryBytes = 1024
/** Up to this size a loop beats the call into `set` with the view it needs. */
const loopBytesMax = 20

/**
 * Makes the copies that are handed to callers.
 *
 * **Details** A copy below 1 KiB is a view of a slab of 16 KiB, shared with other copies; a larger one owns its memory. The slab never touches bytes it has
 * handed out again, and never hands them out twice: the copy belongs to the caller. A slab is plain memory (no pool of the platform behind it), which the
 * garbage collector frees with its last view.
 *
 * **Gotchas** `.buffer` of a small copy holds other callers' copies too.
 */
export class Slab {
  private bytes = new Uint8Array(new ArrayBuffer(slabBytes))
  private buffer = this.bytes.buffer
  private position = 0

  /** A copy of `bytes[start, end)`. */
  copy(bytes: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
    const length = end - start
    if (length >= ownMemoryBytes) {
      const own = new Uint8Array(new ArrayBuffer(length))
      own.set(bytes.subarray(start, end))
      return own
    }
    let position = this.position
    if (slabBytes - position < length) {
      this.bytes = new Uint8Array(new ArrayBuffer(slabBytes))
      this.buffer = this.bytes.buffer
      position = 0
    }
    this.position = position + length
    const view = new Uint8Array(this.buffer, position, length)
    if (length <= loopBytesMax) {
      const slab = this.bytes
      for (let i = 0; i < length; i++) slab[position + i] = bytes[start + i]!
    } else {
      view.set(bytes.subarray(start, end))
    }
    return view
  }
}
