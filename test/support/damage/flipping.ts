import type { SyncDisk } from "../../../src/domain/disk/SyncDisk.ts"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import type { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"

/** A disk with the same files, which shares their bytes until one side changes them. */
export const copyOf = (disk: SimulatedDisk): SimulatedDisk => disk.crashState(seededPrng(1), { mode: "all" })

/** The same files on a disk that remembers nothing but its bytes: for hundreds of thousands of flips in place. */
export const plainCopyOf = (disk: SimulatedDisk): MemoryDisk => {
  const copy = new MemoryDisk()
  for (const [path, bytes] of disk.files()) {
    if (path.endsWith("/")) copy.makeDirectory(`/${path.slice(0, -1)}`)
    else {
      const handle = copy.open(`/${path}`, "create")
      handle.writev([bytes], 0)
      handle.close()
    }
  }
  return copy
}

/** Turns one bit over; done again, it is as it was. */
export const flip = (disk: SyncDisk, path: string, offset: number, bit: number): void => {
  const handle = disk.open(path, "write")
  try {
    const byte = new Uint8Array(1)
    if (handle.readAt(byte, offset) !== 1) throw new Error(`${path} has no byte ${offset}`)
    byte[0]! ^= 1 << bit
    handle.writev([byte], offset)
  } finally {
    handle.close()
  }
}

/** Runs with the bit turned over. */
export const withFlip = <A>(disk: SyncDisk, path: string, offset: number, bit: number, run: () => A): A => {
  flip(disk, path, offset, bit)
  try {
    return run()
  } finally {
    flip(disk, path, offset, bit)
  }
}

/** The file with other bytes, whatever length it had. */
export const replaceFile = (disk: SyncDisk, path: string, bytes: Uint8Array): void => {
  const handle = disk.open(path, disk.stat(path) === undefined ? "create" : "write")
  try {
    handle.truncate(0)
    handle.writev([bytes], 0)
    handle.datasync()
  } finally {
    handle.close()
  }
}

/** Bytes of a file that are there. */
export const readExact = (disk: SyncDisk, path: string, offset: number, length: number): Uint8Array => {
  const handle = disk.open(path, "read")
  try {
    const bytes = new Uint8Array(length)
    if (handle.readAt(bytes, offset) !== length) throw new Error(`${path} is shorter than ${offset + length}`)
    return bytes
  } finally {
    handle.close()
  }
}
