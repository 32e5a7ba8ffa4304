/**
 * Reads a recovered database as a whole, synchronously and without any layer: what a crash state is judged by. The rule of what is visible is written here a second time, as
 * plainly as it can be: of each key the newest version, unless it is a delete, or a range tombstone above it covers the key, or its keyspace is not in the catalog. Time is left
 * out: what has expired counts until an `expire` record says so.
 */
import type { FileHandle, SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import { CursorState, type EntryCursor } from "../../src/domain/EntryCursor.ts"
import { Damage } from "../../src/domain/failures.ts"
import { compareBytes } from "../../src/domain/keys/compareBytes.ts"
import { decodeKeyspaceRow, nameInRowKey } from "../../src/domain/keys/catalogRows.ts"
import { defaultKeyspace, Kind, systemKeyspace } from "../../src/domain/keys/kinds.ts"
import { fileName } from "../../src/domain/manifest/fileNames.ts"
import type { ManifestState } from "../../src/domain/manifest/ManifestState.ts"
import type { TableMeta, ValueFileMeta } from "../../src/domain/manifest/TableMeta.ts"
import type { Memtable } from "../../src/domain/memtable/Memtable.ts"
import { mergeCursors } from "../../src/domain/merge/MergeCursor.ts"
import type { FragmentedTombstones } from "../../src/domain/table/RangeTombstones.ts"
import { TableCursor } from "../../src/domain/table/TableCursor.ts"
import { TableReader } from "../../src/domain/table/TableReader.ts"
import { readValue } from "../../src/domain/values/readValue.ts"
import { decodeValuePointer } from "../../src/domain/values/ValuePointer.ts"
import { codecs } from "../../src/layers/codecs.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import { entryDigest, isJudgedRow, type OracleEntry, StateDigest } from "./Oracle.ts"

export interface Everything {
  readonly disk: SyncDisk
  readonly directory: string
  readonly state: ManifestState
  readonly memtables: ReadonlyArray<Memtable>
  readonly sequence: number
}

/** A file read whole. */
const contentOf = (disk: SyncDisk, path: string): Uint8Array => {
  const handle: FileHandle = disk.open(path, "read")
  try {
    const bytes = new Uint8Array(handle.sizeBytes())
    const count = handle.readAt(bytes, 0)
    if (count !== bytes.length) throw new Damage(path, count, "Truncated", "the file is shorter than it says")
    return bytes
  } finally {
    handle.close()
  }
}

interface VerifiedTable {
  readonly reader: TableReader
  readonly content: Uint8Array
}

/**
 * Files that were read and verified already: thousands of states of one run share them. A file is known by its id, length and sum, so that one that came back with other
 * bytes is verified anew (and found damaged).
 */
export class VerifiedFiles {
  readonly #tables = new Map<string, VerifiedTable>()
  readonly #values = new Map<string, Uint8Array>()

  table(disk: SyncDisk, directory: string, meta: TableMeta): VerifiedTable {
    const path = `${directory}/${fileName("table", meta.fileId)}`
    const content = contentOf(disk, path)
    if (content.length !== meta.fileBytes) throw new Damage(path, content.length, "Truncated", `${content.length} of ${meta.fileBytes} bytes`)
    const known = `${meta.fileId}:${content.length}:${crc32(content)}:${meta.root.sum}`
    const found = this.#tables.get(known)
    if (found !== undefined) return found
    const reader = TableReader.open(crc32, codecs, meta.fileId, path, meta.fileBytes, meta.root, (offset, length) =>
      content.subarray(offset, offset + length)
    )
    for (let leaf = 0; leaf < reader.leafCount; leaf++) {
      const offset = reader.leafOffset(leaf)
      reader.verifyLeaf(leaf, content.slice(offset, offset + reader.leafStoredLength(leaf)))
    }
    const verified = { reader, content }
    this.#tables.set(known, verified)
    return verified
  }

  values(disk: SyncDisk, directory: string, meta: ValueFileMeta): Uint8Array {
    const path = `${directory}/${fileName("values", meta.fileId)}`
    const content = contentOf(disk, path)
    if (content.length !== meta.fileBytes) throw new Damage(path, content.length, "Truncated", `${content.length} of ${meta.fileBytes} bytes`)
    const known = `${meta.fileId}:${content.length}:${crc32(content)}`
    const found = this.#values.get(known)
    if (found !== undefined) return found
    this.#values.set(known, content)
    return content
  }
}

/** Calls `visit` with every visible entry in order. Keys and values are views. Throws `Damage` where a named file is missing, short or does not verify. */
export const visitEverything = (
  { directory, disk, memtables, sequence, state }: Everything,
  files: VerifiedFiles,
  visit: (keyspace: number, key: Uint8Array, value: Uint8Array) => void
): void => {
  const cursors: Array<EntryCursor> = []
  const tombstones: Array<FragmentedTombstones> = []
  const tables = new Map<number, VerifiedTable>()
  const values = new Map<number, Uint8Array>()
  for (const memtable of memtables) {
    cursors.push(memtable.cursor())
    tombstones.push(...memtable.tombstones())
  }
  for (const meta of state.valueFiles.values()) values.set(meta.fileId, files.values(disk, directory, meta))
  for (const meta of [...state.tables.values()].sort((a, b) => a.level - b.level || b.fileId - a.fileId)) {
    const table = files.table(disk, directory, meta)
    tables.set(meta.fileId, table)
    cursors.push(new TableCursor(table.reader))
    tombstones.push(table.reader.tombstones)
  }
  const cursor = mergeCursors(cursors)
  const settle = () => {
    while (cursor.state === CursorState.needsBlock) {
      const need = cursor.need!
      const table = tables.get(need.tableId)!
      cursor.supply(table.reader.verifyBlock(need, table.content.slice(need.offset, need.offset + need.storedLength)))
    }
  }
  const live = new Set<number>([systemKeyspace, defaultKeyspace])
  let decided: { readonly keyspace: number; readonly key: Uint8Array } | undefined
  for (cursor.seekFirst(), settle(); cursor.state === CursorState.atEntry; cursor.next(), settle()) {
    if (cursor.sequence > sequence) continue
    const key = cursor.keyBytes.subarray(cursor.keyStart, cursor.keyEnd)
    if (decided !== undefined && decided.keyspace === cursor.keyspace && compareBytes(decided.key, key) === 0) continue
    decided = { keyspace: cursor.keyspace, key: key.slice() }
    if (cursor.kind !== Kind.put || !live.has(cursor.keyspace)) continue
    if (cursor.keyspace === systemKeyspace && !isJudgedRow(key)) continue
    if (tombstones.some((some) => some.covering(cursor.keyspace, cursor.keyBytes, cursor.keyStart, cursor.keyEnd, sequence) > cursor.sequence))
      continue
    let value = cursor.valueBytes.subarray(cursor.valueStart, cursor.valueEnd)
    if (cursor.isPointer) {
      const pointer = decodeValuePointer(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
      const path = `${directory}/${fileName("values", pointer.fileId)}`
      const content = values.get(pointer.fileId)
      if (content === undefined) throw new Damage(path, pointer.offset, "Missing", "a table points into a value file that the manifest does not name")
      value = readValue(crc32, codecs, path, pointer, content.slice(pointer.offset, pointer.offset + pointer.storedLength))
    }
    const named = cursor.keyspace === systemKeyspace && nameInRowKey(key) !== undefined ? decodeKeyspaceRow(value)?.id : undefined
    if (named !== undefined) live.add(named)
    visit(cursor.keyspace, key, value)
  }
}

/** The digest of everything visible: compare with `Oracle.digestAt`. */
export const digestEverything = (everything: Everything, files: VerifiedFiles): string => {
  const digest = new StateDigest()
  visitEverything(everything, files, (keyspace, key, value) => digest.add(entryDigest(keyspace, key, value)))
  return digest.toString()
}

/** Copies of everything visible, for a message. */
export const listEverything = (everything: Everything, files: VerifiedFiles): ReadonlyArray<OracleEntry> => {
  const entries: Array<OracleEntry> = []
  visitEverything(everything, files, (keyspace, key, value) => entries.push({ keyspace, key: key.slice(), value: value.slice() }))
  return entries
}
