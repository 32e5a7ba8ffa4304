/**
 * Reads whole files: in line while that is quick, which means the page cache, and through the thread pool otherwise, where a slow disk answers several at once and holds nobody up. In line a
 * small file takes a tenth of the CPU time.
 */
import * as fs from "node:fs"
import { readFile } from "node:fs/promises"

/** Larger files go through the pool in any case. */
const inlineBytesMax = 1024 * 1024
const quickMsMax = 0.4
/** A longer one counts as this: one that was held up by something else must not look like a slow disk. */
const sampleMsMax = 1
/** Files after a slow one before another is tried in line. */
const slowRun = 64

/** Small files share their memory, which is never written again: an allocation for each costs more than reading it. */
const slabBytes = 256 * 1024
const sharedBytesMax = 32 * 1024

const makeRoom = (): ((bytes: number) => Uint8Array) => {
  let slab = new Uint8Array(0)
  let used = 0
  return (bytes) => {
    if (bytes > sharedBytesMax) return new Uint8Array(bytes)
    if (used + bytes > slab.length) {
      slab = new Uint8Array(slabBytes)
      used = 0
    }
    used += bytes
    return slab.subarray(used - bytes, used)
  }
}

const readInline = (name: string, bytes: number, room: (bytes: number) => Uint8Array): Uint8Array | undefined => {
  // One byte more shows whether the file ends where it did when it was listed.
  const content = room(bytes + 1)
  const file = fs.openSync(name, "r")
  try {
    let length = 0
    while (length <= bytes) {
      const n = fs.readSync(file, content, length, content.length - length, null)
      length += n
      // Of a regular file less than was asked for is the end.
      if (n === 0 || length === bytes) return content.subarray(0, length)
    }
    return undefined
  } finally {
    fs.closeSync(file)
  }
}

/** A reader with a memory of how quick its files were. `bytes`: the size that is expected; the file may have grown. */
export const makeReader = (): ((name: string, bytes: number) => Promise<Uint8Array>) => {
  const room = makeRoom()
  let averageMs = 0
  let pooled = 0
  return async (name, bytes) => {
    if (bytes <= inlineBytesMax && pooled === 0) {
      const startMs = performance.now()
      const content = readInline(name, bytes, room)
      averageMs = averageMs * 0.9 + Math.min(sampleMsMax, performance.now() - startMs) * 0.1
      if (averageMs > quickMsMax) {
        pooled = slowRun
        averageMs = 0
      }
      if (content !== undefined) return content
    } else if (pooled > 0) pooled--
    return await readFile(name)
  }
}
