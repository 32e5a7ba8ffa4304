/** JSON lines as events: bytes in, one entry or one problem for each line that is not blank. */
import { isUtf8 } from "node:buffer"
import { formatBytes } from "../format/numbers.ts"
import type { ImportEvent } from "./batches.ts"
import { type EntryLimits, itemOfEntry, recordBytesMax } from "./entry.ts"
import type { ParseLine } from "./jsonLine.ts"
import { lineBlocks } from "./lineBlocks.ts"
import { EntryScanner } from "./scanEntry.ts"

/** Where text begins to be read: bytes of it before that, and lines. */
export interface TextPlace {
  readonly end: number
  readonly line: number
}

export interface JsonLinesOptions {
  /** What problems are called by. */
  readonly file: string
  readonly from: TextPlace
  readonly limits: EntryLimits
  readonly parse: ParseLine
  /** The lines are those that `export` writes, so the common shape is looked for first. */
  readonly standard: boolean
  /** A longer line is a problem. */
  readonly lineBytesMax?: number
}

const lineFeed = 10
const carriageReturn = 13

const hasMark = (bytes: Uint8Array): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf

const isBlank = (bytes: Uint8Array, from: number, to: number): boolean => {
  for (let at = from; at < to; at++) if (bytes[at] !== 32 && bytes[at] !== 9) return false
  return true
}

/** Yields the events of each block of the input together. A byte order mark at its beginning is dropped; the last line needs no line break. */
export async function* jsonLineEvents(
  source: AsyncIterable<Uint8Array>,
  options: JsonLinesOptions
): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
  const { file, limits, parse } = options
  const scanner = new EntryScanner(limits.valueBytesMax)
  const lineBytesMax = options.lineBytesMax ?? recordBytesMax
  let { end, line } = options.from
  for await (const block of lineBlocks(source, lineBytesMax)) {
    const { bytes } = block
    if (block.tooLong) {
      line++
      end += block.inputBytes
      yield [{ type: "problem", file, line, reason: `the line is longer than ${formatBytes(lineBytesMax)}`, end, lines: line }]
      continue
    }
    const events: Array<ImportEvent> = []
    // A line break is never part of a longer character, so the lines of a block are UTF-8 exactly if the block is.
    const scans = options.standard && isUtf8(bytes)
    let from = end === 0 && hasMark(bytes) ? 3 : 0
    const base = end
    while (from < bytes.length) {
      line++
      if (scans) {
        const next = scanner.scan(bytes, from)
        if (next >= 0) {
          const { key, value } = scanner
          events.push({ type: "item", operations: [{ type: "put", key, value }], bytes: key.length + value.length, end: base + next, lines: line })
          from = next
          continue
        }
      }
      const found = bytes.indexOf(lineFeed, from)
      const next = found < 0 ? bytes.length : found + 1
      let to = found < 0 ? bytes.length : found
      if (to > from && bytes[to - 1] === carriageReturn) to--
      if (!isBlank(bytes, from, to)) {
        const entry = parse(bytes.subarray(from, to), limits)
        if (typeof entry === "string") events.push({ type: "problem", file, line, reason: entry, end: base + next, lines: line })
        else events.push(itemOfEntry(entry, base + next, line))
      }
      from = next
    }
    end += block.inputBytes
    if (events.length > 0) yield events
  }
}
