/** Sizes are rounded up to a whole number of these, so that blocks of nearly one size share buffers. */
const classBytes = 512
/** Buffers above this are left to the garbage collector. */
const pooledBytesMax = 128 * 1024

/** Bytes of the buffer behind a block of this length. */
export const pooledSize = (length: number): number => Math.ceil(length / classBytes) * classBytes

/** Buffers of blocks, kept by size class for the next block, within a bound. */
export class BufferPool {
  private readonly classes: Array<Array<ArrayBuffer>> = []
  private capacityBytes: number
  private heldBytes = 0

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes
  }

  /** A view of exactly `length` bytes, content arbitrary, at the start of a buffer of its size class. */
  take(length: number): Uint8Array<ArrayBuffer> {
    const size = pooledSize(length)
    const buffer = this.classes[size / classBytes]?.pop()
    if (buffer === undefined) return new Uint8Array(new ArrayBuffer(size), 0, length)
    this.heldBytes -= size
    return new Uint8Array(buffer, 0, length)
  }

  /** Keeps the buffer behind `bytes`, where it is one that `take` could have made. Nobody may hold a view of it. */
  give(bytes: Uint8Array): void {
    const buffer = bytes.buffer
    const size = pooledSize(bytes.length)
    const sizeClass = size / classBytes
    if (size > pooledBytesMax || size === 0 || buffer.byteLength !== size || !(buffer instanceof ArrayBuffer)) return
    if (this.heldBytes + size > this.capacityBytes) return
    while (this.classes.length <= sizeClass) this.classes.push([])
    this.classes[sizeClass]!.push(buffer)
    this.heldBytes += size
  }

  resize(capacityBytes: number): void {
    this.capacityBytes = capacityBytes
    if (this.heldBytes <= capacityBytes) return
    this.classes.length = 0
    this.heldBytes = 0
  }
}
