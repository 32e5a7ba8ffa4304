/** A directory tree as events: path -> content, and its metadata where that is wanted. */
import { isUtf8 } from "node:buffer"
import { setImmediate } from "node:timers/promises"
import { crc32 } from "node:zlib"
import { keyBytesMax } from "../../../domain/keys/kinds.ts"
import type { WriteOperation } from "../../../services/Database.ts"
import { ioReason } from "../explain.ts"
import { formatBytes, formatCount } from "../format/numbers.ts"
import type { ImportEvent, ImportItem, ImportProblem } from "./batches.ts"
import { valueBytesMax } from "./entry.ts"
import type { InputMeter } from "./input.ts"
import { prefetch } from "./prefetch.ts"
import { makeReader } from "./readContent.ts"
import { type TreeFile, type TreeOptions, type TreeProblem, type TreeSkip, walkTree } from "./tree.ts"

export type { InputMeter } from "./input.ts"

export interface TreeSourceOptions extends TreeOptions {
  /** Put before each path to make the key. */
  readonly keyPrefix: string
  /** The keyspace of the metadata, where it is wanted. */
  readonly metadata: string | undefined
  /** Files read ahead of the writer, and the bytes they may hold. */
  readonly filesMax: number
  readonly readBytesMax: number
  /** How many things of the tree are left out because they are stored already. */
  readonly from?: number | undefined
}

/** Where in the tree an event is. */
interface TreePlace {
  readonly end: number
  readonly sum: number
}

/** A walk by itself gives way this often: within a directory it waits for nothing. */
const entriesPerTurn = 256

type TreeEntry = TreeFile | TreeSkip | TreeProblem

const sumOf = (entry: TreeEntry, before: number): number =>
  crc32(entry.type === "file" ? `${entry.name}\0${entry.bytes}\0${entry.modifiedMs}\0` : `${entry.name}\0${entry.reason}\0`, before)

/** The sum over the first `count` things of a tree, as the events have it, and the bytes of the files among them. Fewer things than that: `undefined`. */
export const sumTree = async (
  root: string,
  options: TreeOptions,
  count: number
): Promise<{ readonly sum: number; readonly bytes: number } | undefined> => {
  let sum = 0
  let bytes = 0
  let seen = 0
  if (count === 0) return { sum, bytes }
  for await (const entry of walkTree(root, options)) {
    if (seen % entriesPerTurn === 0) await setImmediate()
    sum = sumOf(entry, sum)
    if (entry.type === "file") bytes += entry.bytes
    if (++seen === count) return { sum, bytes }
  }
  return undefined
}

/** What `--metadata` stores about a file, as JSON. `lines`: line breaks, for text only. */
export interface FileMetadata {
  readonly size: number
  readonly mtime: string
  readonly lines?: number
}

export const metadataOf = (content: Uint8Array, modifiedMs: number): FileMetadata => {
  const mtime = new Date(modifiedMs).toISOString()
  return isUtf8(content) && !content.includes(0) ? { size: content.length, mtime, lines: countLines(content) } : { size: content.length, mtime }
}

const countLines = (content: Uint8Array): number => {
  let lines = 0
  for (let at = content.indexOf(10); at >= 0; at = content.indexOf(10, at + 1)) lines++
  return content.length > 0 && content[content.length - 1] !== 10 ? lines + 1 : lines
}

/** A file to read, or what there is to say instead. */
interface Found {
  readonly found: TreeFile | ImportEvent
  readonly place: TreePlace
}

export async function* treeEvents(
  root: string,
  options: TreeSourceOptions,
  meter: InputMeter
): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
  const readContent = makeReader()
  const read = async ({ found, place }: Found): Promise<ImportEvent> => {
    if (found.type !== "file") return { ...found, ...place }
    let content: Uint8Array
    try {
      content = await readContent(found.path, found.bytes)
    } catch (error) {
      return { type: "problem", file: found.path, reason: ioReason(error), ...place }
    }
    // It may have grown since it was listed.
    if (content.length > valueBytesMax) return { ...tooLarge(found.path, content.length), ...place }
    return itemOf(found, content, options, place)
  }
  const classify = (entry: TreeEntry): TreeFile | ImportEvent => {
    if (entry.type === "skip") return { type: "skip", reason: entry.reason }
    if (entry.type === "problem") return { type: "problem", file: entry.path, reason: entry.reason }
    const keyBytes = Buffer.byteLength(options.keyPrefix + entry.name)
    if (keyBytes > keyBytesMax) {
      return {
        type: "problem",
        file: entry.path,
        reason: `its path makes a key of ${formatCount(keyBytes)} bytes; at most ${formatCount(keyBytesMax)} are allowed`
      }
    }
    // Refused before it is read: the point of the limit is the memory.
    return entry.bytes > valueBytesMax ? tooLarge(entry.path, entry.bytes) : entry
  }
  const classified = async function* (): AsyncGenerator<Found, void, undefined> {
    let end = 0
    let sum = 0
    for await (const entry of walkTree(root, options)) {
      end++
      sum = sumOf(entry, sum)
      if (end > (options.from ?? 0)) yield { found: classify(entry), place: { end, sum } }
    }
  }
  const events = prefetch(classified(), read, {
    itemsMax: options.filesMax,
    bytesMax: options.readBytesMax,
    bytesOf: ({ found }) => (found.type === "file" ? found.bytes : 0)
  })
  for await (const event of events) {
    if (event.type === "item") meter.bytes += event.bytes
    yield [event]
  }
}

const tooLarge = (file: string, bytes: number): ImportProblem => ({
  type: "problem",
  file,
  reason: `it has ${formatBytes(bytes)}; a value has at most ${formatBytes(valueBytesMax)}`
})

const itemOf = (file: TreeFile, content: Uint8Array, options: TreeSourceOptions, place: TreePlace): ImportItem => {
  const key = options.keyPrefix + file.name
  const operations: Array<WriteOperation> = [{ type: "put", key, value: content }]
  if (options.metadata !== undefined) {
    operations.push({ type: "put", key, value: JSON.stringify(metadataOf(content, file.modifiedMs)), keyspace: options.metadata })
  }
  return { type: "item", operations, bytes: Buffer.byteLength(key) + content.length, ...place }
}

/** Bytes of the files that a walk would import, for the time left. Stops when nobody wants to know any more. */
export const measureTree = async (root: string, options: TreeOptions, signal: AbortSignal): Promise<number> => {
  let bytes = 0
  let seen = 0
  for await (const entry of walkTree(root, options)) {
    if (seen++ % entriesPerTurn === 0) await setImmediate()
    if (signal.aborted) break
    if (entry.type === "file") bytes += entry.bytes
  }
  return bytes
}
