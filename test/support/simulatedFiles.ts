/** Files on a simulated disk, for the tests of the disk itself. */
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"

export const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)

/** A disk with an empty, durable directory "/db". */
export const withDirectory = (options = {}): SimulatedDisk => {
  const disk = new SimulatedDisk(options)
  disk.makeDirectory("/db")
  disk.syncDirectory("/")
  return disk
}

export const createDurable = (disk: SimulatedDisk, path: string, content: Uint8Array): void => {
  const handle = disk.open(path, "create")
  handle.writev([content], 0)
  handle.datasync()
  handle.close()
  disk.syncDirectory("/db")
}

export const read = (disk: SimulatedDisk, path: string): Uint8Array | undefined => disk.files().get(path.replace(/^\//, ""))
