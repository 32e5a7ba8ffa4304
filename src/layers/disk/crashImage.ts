/**
 * Draws what a disk may hold after a crash.
 *
 * - Synced bytes and lengths, and synced names, are there.
 * - Of the writes since, any subset is there. A surviving write may be torn: then any subset of its sectors is there.
 * - A file that grew may have its new length without its new bytes (zeros), an old length in spite of its new bytes, or end at a sector between.
 * - Of the name operations since, any subset happened, each whole. One that rests on another that was lost (a rename of a file whose create was lost, a
 *   create of a name whose removal was lost) is lost with it.
 */
import type { ChunkedBytes } from "./ChunkedBytes.ts"
import { applyContent, type ContentEvent, type DurableFile, type DurableState, type NameEvent } from "./DurableState.ts"
import { type MemoryDirectory, MemoryTree, rootInode } from "./MemoryTree.ts"
import { drawInt, type Prng } from "./Prng.ts"

/** `worst` loses everything unsynced, `all` keeps everything, `random` draws. */
export type CrashMode = "worst" | "all" | "random"

export interface CrashOptions {
  readonly mode?: CrashMode
  /** The units a torn write is torn at; one is drawn per write. */
  readonly sectorBytes?: ReadonlyArray<number>
}

export const defaultSectorBytes: ReadonlyArray<number> = [512, 4096]

/** How likely one unsynced thing survives, drawn once per file and once for the names: all-or-nothing states must be as common as mixtures. */
const keepChances: ReadonlyArray<number> = [0, 0.2, 0.5, 0.8, 1]

const tornChance = 0.3
/** A lost write whose length survived: zeros. */
const lengthAloneChance = 0.25
/** A surviving write whose length did not. */
const lengthLostChance = 0.1

/** The tree found after a crash of `state`, which is left as it is. The same draws give the same tree. */
export const crashImage = (state: DurableState, prng: Prng, nextInode: number, options: CrashOptions = {}): MemoryTree => {
  const mode = options.mode ?? "random"
  const sectors = options.sectorBytes ?? defaultSectorBytes
  const entriesOf = survivingNames(state, prng, mode)
  const contents = new Map<number, ChunkedBytes>()
  const build = (inode: number): MemoryDirectory => {
    const directory: MemoryDirectory = { kind: "directory", inode, entries: new Map() }
    for (const [name, child] of entriesOf(inode)) {
      const file = state.files.get(child)
      if (file === undefined) {
        if (state.directories.has(child)) directory.entries.set(name, build(child))
        continue
      }
      // Two names of one inode show one content.
      let content = contents.get(child)
      if (content === undefined) contents.set(child, (content = survivingContent(file, prng, mode, sectors)))
      directory.entries.set(name, { kind: "file", inode: child, content })
    }
    return directory
  }
  return new MemoryTree(state.chunkBytes, build(rootInode), nextInode)
}

const survivingNames = (state: DurableState, prng: Prng, mode: CrashMode): ((directory: number) => ReadonlyMap<string, number>) => {
  const changed = new Map<number, Map<string, number>>()
  const read = (directory: number): ReadonlyMap<string, number> => changed.get(directory) ?? state.directories.get(directory) ?? new Map()
  const write = (directory: number): Map<string, number> => {
    let entries = changed.get(directory)
    if (entries === undefined) changed.set(directory, (entries = new Map(read(directory))))
    return entries
  }
  if (mode !== "worst" && state.pendingNames.length > 0) {
    const keep = mode === "all" ? 1 : keepChances[drawInt(prng, keepChances.length)]!
    for (const { event } of state.pendingNames) if (mode === "all" || prng() < keep) applyName(event, read, write)
  }
  return read
}

const applyName = (
  event: NameEvent,
  read: (directory: number) => ReadonlyMap<string, number>,
  write: (directory: number) => Map<string, number>
): void => {
  switch (event.kind) {
    case "remove":
      if (read(event.directory).get(event.name) === event.inode) write(event.directory).delete(event.name)
      return
    case "rename":
      if (read(event.fromDirectory).get(event.fromName) !== event.inode) return
      write(event.fromDirectory).delete(event.fromName)
      write(event.directory).set(event.name, event.inode)
      return
    default:
      if (!read(event.directory).has(event.name)) write(event.directory).set(event.name, event.inode)
  }
}

const survivingContent = (file: DurableFile, prng: Prng, mode: CrashMode, sectors: ReadonlyArray<number>): ChunkedBytes => {
  const content = file.synced.fork()
  if (mode === "worst" || file.pending.length === 0) return content
  const keep = mode === "all" ? 1 : keepChances[drawInt(prng, keepChances.length)]!
  for (const { event } of file.pending) {
    if (mode === "all") applyContent(content, event)
    else surviveEvent(content, event, keep, prng, sectors)
  }
  return content
}

const surviveEvent = (content: ChunkedBytes, event: ContentEvent, keep: number, prng: Prng, sectors: ReadonlyArray<number>): void => {
  const kept = prng() < keep
  if (event.kind === "truncate") {
    if (kept) content.truncate(event.lengthBytes)
    return
  }
  const end = event.position + event.bytes.length
  const sectorBytes = sectors[drawInt(prng, sectors.length)]!
  // A file of which everything survives keeps its writes whole: that, too, must be drawn often.
  const torn = kept && keep < 1 && prng() < tornChance
  if (end > content.lengthBytes) {
    const grown = survivingLength(content.lengthBytes, end, kept, torn, keep, prng, sectorBytes)
    if (grown > content.lengthBytes) content.truncate(grown)
  }
  if (!kept) return
  const limit = Math.min(end, content.lengthBytes)
  if (!torn) return writeClipped(content, event, event.position, limit)
  for (let start = event.position; start < limit;) {
    const sectorEnd = Math.min(limit, (Math.floor(start / sectorBytes) + 1) * sectorBytes)
    if (prng() < 0.5) writeClipped(content, event, start, sectorEnd)
    start = sectorEnd
  }
}

const survivingLength = (length: number, end: number, kept: boolean, torn: boolean, keep: number, prng: Prng, sectorBytes: number): number => {
  if (!kept) return prng() < lengthAloneChance && keep > 0 ? end : length
  if (!torn) return keep < 1 && prng() < lengthLostChance ? length : end
  const sectorsGrown = Math.ceil((end - length) / sectorBytes)
  const boundary = (Math.floor(length / sectorBytes) + drawInt(prng, sectorsGrown + 1)) * sectorBytes
  return prng() < 0.5 ? end : Math.min(end, Math.max(length, boundary))
}

const writeClipped = (content: ChunkedBytes, event: Extract<ContentEvent, { readonly kind: "write" }>, start: number, end: number): void => {
  if (start < end) content.write(event.bytes.subarray(start - event.position, end - event.position), start)
}
