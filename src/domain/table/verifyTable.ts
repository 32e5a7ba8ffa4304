import { CursorState } from "../EntryCursor.ts"
import { Damage } from "../failures.ts"
import { compareInternal } from "../keys/compareInternal.ts"
import { compareRanges } from "../keys/compareBytes.ts"
import { keyHash } from "../keys/keyHash.ts"
import { keyspaceSeed } from "../keys/keyspaceSeed.ts"
import { defaultKeyspace, Kind, systemKeyspace } from "../keys/kinds.ts"
import type { Crc32 } from "../seams.ts"
import type { StepMachine } from "../steps.ts"
import { checkLeaf } from "./checkLeaf.ts"
import { LeafFlag, leafHeaderBytes, leafTag } from "./leaf.ts"
import { decodeTableFooter, decodeTableHeader, tableFooterBytes, tableHeaderBytes } from "./tableFormat.ts"
import { MalformedBytes } from "../bytes/varint.ts"
import type { PointerCheck } from "../values/PointerCheck.ts"
import { decodeValuePointer, type ValuePointer } from "../values/ValuePointer.ts"
import { TableCursor } from "./TableCursor.ts"
import { problemWithMeta, type TableExpectation } from "./TableExpectation.ts"
import type { TableReader } from "./TableReader.ts"
import { TableTally } from "./TableTally.ts"

export interface TableVerification {
  readonly entryCount: number
  readonly leafCount: number
  readonly rangeTombstoneCount: number
}

const readBytes = 256 * 1024

/** What a table is held against besides itself. */
export interface VerifyAgainst {
  /** What the manifest says of it. */
  readonly expected?: TableExpectation | undefined
  /** Follows its pointers. */
  readonly pointers?: PointerCheck | undefined
}

/**
 * Reads every byte of an open table and checks that all of it agrees: header and footer, sums, layout and order of the leaves, fences, filter, hash tags, counts, bounds, sequences,
 * references; and, where they are given, the manifest's record of it and the value files it points into. (Its opening has verified the blocks above the leaves.) Throws `Damage` that
 * names the block. Pauses between reads.
 */
export function* verifyTable(crc32: Crc32, table: TableReader, against: VerifyAgainst = {}): StepMachine<TableVerification> {
  const { expected, pointers } = against
  const { path, fileId, fileBytes, properties, fences } = table
  const read = function* (offset: number, length: number): StepMachine<Uint8Array> {
    return (yield { step: "read", kind: "table", fileId, offset, length })!
  }
  const header = decodeTableHeader(crc32, yield* read(0, tableHeaderBytes), path)
  const footerAt = fileBytes - tableFooterBytes
  const footer = decodeTableFooter(crc32, yield* read(footerAt, tableFooterBytes), path, footerAt)
  for (const [identity, offset] of [
    [header, 0],
    [footer, footerAt]
  ] as const) {
    if (identity.fileId !== fileId || identity.uuid.some((byte, i) => byte !== properties.uuid[i]))
      throw new Damage(path, offset, "Unexpected", "header or footer of another table")
  }
  const leavesEnd = table.leafCount === 0 ? tableHeaderBytes : fences.offset(table.leafCount)
  if (table.leafCount > 0 && fences.offset(0) !== tableHeaderBytes)
    throw new Damage(path, fences.offset(0), "Malformed", "the first leaf is out of place")
  let sectionAt = leavesEnd
  for (const section of [...table.sections, footer.root]) {
    if (section.offset !== sectionAt) throw new Damage(path, section.offset, "Malformed", "blocks that do not follow one another")
    sectionAt += section.storedLength
  }
  if (sectionAt !== footerAt) throw new Damage(path, footerAt, "Malformed", "the file is longer than its blocks")

  const cursor = new TableCursor(table)
  let chunk: Uint8Array = new Uint8Array(0)
  let chunkAt = 0
  let leaf = -1
  let indexInLeaf = 0
  let block: Uint8Array = chunk
  const tally = new TableTally()
  let entryCount = 0
  let lastKeyspace = -1
  let lastKey = new Uint8Array(0)
  let lastSequence = 0
  let hash = 0
  const wrong = (detail: string): Damage => new Damage(path, leaf < 0 ? tableHeaderBytes : fences.offset(leaf), "Malformed", detail)
  for (cursor.seekFirst(); ; cursor.next()) {
    if (cursor.state === CursorState.needsBlock) {
      const need = cursor.need!
      leaf = need.leaf
      if (need.offset + need.storedLength > chunkAt + chunk.length) {
        const last = table.lastLeafWithin(leaf, readBytes)
        yield { step: "pause" }
        chunkAt = need.offset
        chunk = yield* read(chunkAt, fences.offset(last) + fences.storedLength(last) - chunkAt)
      }
      block = table.verifyLeaf(leaf, chunk.subarray(need.offset - chunkAt, need.offset - chunkAt + need.storedLength))
      const problem = checkLeaf(block)
      if (problem !== undefined) throw wrong(problem)
      indexInLeaf = 0
      cursor.supply(block)
      if (cursor.keyspace !== fences.keyspace(leaf)) throw wrong("a leaf of another keyspace than its fence")
      const fence = fences.fence(leaf)
      const fenceSequence = fences.fenceSequence(leaf)
      const fenceOrder = (keyspace: number, key: Uint8Array, keyEnd: number, sequence: number): number =>
        compareInternal(
          keyspace,
          key,
          0,
          keyEnd,
          sequence,
          fences.keyspace(leaf),
          fence,
          0,
          fence.length,
          fenceSequence < 0 ? Number.MAX_SAFE_INTEGER : fenceSequence
        )
      if (fenceOrder(cursor.keyspace, cursor.keyBytes, cursor.keyEnd, cursor.sequence) < 0) throw wrong("an entry before its leaf's fence")
      if (entryCount > 0 && fenceOrder(lastKeyspace, lastKey, lastKey.length, lastSequence) >= 0)
        throw wrong("a fence that does not separate two leaves")
    }
    if (cursor.state === CursorState.atEnd) break
    const sameKey = cursor.keyspace === lastKeyspace && compareRanges(lastKey, 0, lastKey.length, cursor.keyBytes, 0, cursor.keyEnd) === 0
    if (
      entryCount > 0 &&
      compareInternal(lastKeyspace, lastKey, 0, lastKey.length, lastSequence, cursor.keyspace, cursor.keyBytes, 0, cursor.keyEnd, cursor.sequence) >=
        0
    ) {
      throw wrong("entries out of order")
    }
    if (!sameKey) {
      hash = keyHash(keyspaceSeed(properties.hashSeed, cursor.keyspace), cursor.keyBytes, 0, cursor.keyEnd)
      if (!table.mayContain(hash)) throw wrong("a key that the filter denies")
      lastKey = cursor.keyBytes.slice(0, cursor.keyEnd)
      lastKeyspace = cursor.keyspace
    }
    if ((block[0]! & LeafFlag.tagged) !== 0 && block[leafHeaderBytes + indexInLeaf] !== leafTag(hash)) throw wrong("a hash tag that is not its key's")
    const { expiresAt, isPointer, keyspace, kind, sequence } = cursor
    if (kind !== Kind.put && kind !== Kind.delete && kind !== Kind.expire) throw wrong(`an entry of kind ${kind}`)
    if (isPointer && kind !== Kind.put) throw wrong("a pointer that is not the value of a put")
    if (sequence === 0 && expected !== undefined) {
      if (expiresAt !== 0) throw wrong("an entry that expires, without its sequence")
      if (isHistoryWhole(expected, keyspace)) throw wrong("an entry without its sequence, where history is whole")
    }
    const pointer = isPointer ? pointerOf(cursor, wrong) : undefined
    tally.add(cursor, lastKey, !sameKey, pointer)
    if (pointer !== undefined && pointers !== undefined) {
      pointers.add(pointer, keyspace, lastKey, sequence, expiresAt, fences.offset(leaf))
      if (pointers.isFull) yield* pointers.follow()
    }
    lastSequence = sequence
    entryCount++
    indexInLeaf++
  }
  if (pointers !== undefined) yield* pointers.follow()
  for (const fragment of table.tombstones.fragments()) tally.addFragment(fragment)
  const problem =
    tally.problemWith(properties, table.leafCount) ??
    (table.filter === undefined && properties.filterBitsPerKey > 0 && tally.keyCount > 0 ? "the filter is missing" : undefined) ??
    (expected === undefined ? undefined : problemWithMeta(expected, table, footer.root))
  if (problem !== undefined) throw new Damage(path, footer.root.offset, "Unexpected", problem)
  return { entryCount, leafCount: table.leafCount, rangeTombstoneCount: tally.rangeTombstoneCount }
}

const pointerOf = (cursor: TableCursor, wrong: (detail: string) => Damage): ValuePointer => {
  try {
    return decodeValuePointer(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
  } catch (cause) {
    if (cause instanceof MalformedBytes) throw wrong(cause.message)
    throw cause
  }
}

/** Sequences are given up only below what history still needs, and the edit that does so says it. A keyspace that nobody can name any more needs no note. */
const isHistoryWhole = ({ state }: TableExpectation, keyspace: number): boolean =>
  (keyspace === systemKeyspace || keyspace === defaultKeyspace) && !state.historyFrom.has(keyspace)
