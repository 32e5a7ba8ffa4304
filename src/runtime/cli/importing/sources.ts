/** What can be imported, as sequences of events: a directory tree, or lines of JSON from a file or a stream. */
import { isUtf8 } from "node:buffer"
import { readFile } from "node:fs/promises"
import { keyBytesMax } from "../../../domain/keys/kinds.ts"
import type { WriteOperation } from "../../../services/Database.ts"
import { ioReason } from "../explain.ts"
import { formatBytes, formatCount } from "../format/numbers.ts"
import type { ImportEvent, ImportItem, ImportProblem } from "./batches.ts"
import type { LineLimits, ParsedEntry } from "./jsonLine.ts"
import { splitLines } from "./lines.ts"
import { prefetch } from "./prefetch.ts"
import { type TreeFile, type TreeOptions, type TreeProblem, type TreeSkip, walkTree } from "./tree.ts"

/** The engine's default limit of a value. */
export const valueBytesMax = 64 * 1024 * 1024

/** A value may double in length when it is escaped, and the key and other fields come on top. */
const lineBytesMax = 2 * valueBytesMax + 1024 * 1024

/** Bytes taken from the input so far: read by progress, written by the source. */
export interface InputMeter {
  bytes: number
}

export async function* lineEvents(
  source: AsyncIterable<Uint8Array>,
  file: string,
  parse: (bytes: Uint8Array, limits: LineLimits) => ParsedEntry | string,
  meter: InputMeter
): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
  const limits: LineLimits = { valueBytesMax }
  const metered = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      yield chunk
      meter.bytes += chunk.length
    }
  }
  const chunks = splitLines(metered(), lineBytesMax)
  try {
    for await (const lines of chunks) {
      const events: Array<ImportEvent> = []
      for (const line of lines) {
        if (line.tooLong) {
          events.push({ type: "problem", file, line: line.number, reason: `the line is longer than ${formatBytes(lineBytesMax)}` })
          continue
        }
        if (isBlank(line.bytes)) continue
        const entry = parse(line.bytes, limits)
        if (typeof entry === "string") events.push({ type: "problem", file, line: line.number, reason: entry })
        else
          events.push({ type: "item", operations: [{ type: "put", key: entry.key, value: entry.value }], bytes: entry.keyBytes + entry.valueBytes })
      }
      if (events.length > 0) yield events
    }
  } catch (error) {
    // Reading the input failed; a fault of our own is not an I/O error and goes on as it is.
    if (!(error instanceof Error && "code" in error)) throw error
    yield [{ type: "problem", file, reason: `reading failed: ${ioReason(error)}` }]
  }
}

const isBlank = (bytes: Uint8Array): boolean => {
  for (const byte of bytes) if (byte !== 32 && byte !== 9) return false
  return true
}

export interface TreeSourceOptions extends TreeOptions {
  /** Put before each path to make the key. */
  readonly keyPrefix: string
  /** The keyspace of the metadata, where it is wanted. */
  readonly metadata: string | undefined
  /** Files read ahead of the writer, and the bytes they may hold. */
  readonly filesMax: number
  readonly readBytesMax: number
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

export async function* treeEvents(
  root: string,
  options: TreeSourceOptions,
  meter: InputMeter
): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
  const read = async (found: TreeFile | ImportEvent): Promise<ImportEvent> => {
    if (found.type !== "file") return found
    let content: Uint8Array
    try {
      content = await readFile(found.path)
    } catch (error) {
      return { type: "problem", file: found.path, reason: ioReason(error) }
    }
    // It may have grown since it was listed.
    if (content.length > valueBytesMax) return tooLarge(found.path, content.length)
    return itemOf(found, content, options)
  }
  const classify = (entry: TreeFile | TreeSkip | TreeProblem): TreeFile | ImportEvent => {
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
  const classified = async function* (): AsyncGenerator<TreeFile | ImportEvent, void, undefined> {
    for await (const entry of walkTree(root, options)) yield classify(entry)
  }
  const events = prefetch(classified(), read, {
    itemsMax: options.filesMax,
    bytesMax: options.readBytesMax,
    bytesOf: (found) => (found.type === "file" ? found.bytes : 0)
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

const itemOf = (file: TreeFile, content: Uint8Array, options: TreeSourceOptions): ImportItem => {
  const key = options.keyPrefix + file.name
  const operations: Array<WriteOperation> = [{ type: "put", key, value: content }]
  if (options.metadata !== undefined) {
    operations.push({ type: "put", key, value: JSON.stringify(metadataOf(content, file.modifiedMs)), keyspace: options.metadata })
  }
  return { type: "item", operations, bytes: Buffer.byteLength(key) + content.length }
}

/** Bytes of the files that a walk would import, for the time left. Stops when nobody wants to know any more. */
export const measureTree = async (root: string, options: TreeOptions, signal: AbortSignal): Promise<number> => {
  let bytes = 0
  for await (const entry of walkTree(root, options)) {
    if (signal.aborted) break
    if (entry.type === "file") bytes += entry.bytes
  }
  return bytes
}
