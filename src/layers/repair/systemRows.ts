import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { CursorState } from "../../domain/EntryCursor.ts"
import { Damage } from "../../domain/failures.ts"
import { Kind, sequenceMax, systemKeyspace } from "../../domain/keys/kinds.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import { mergeCursors } from "../../domain/merge/MergeCursor.ts"
import { FragmentedTombstones } from "../../domain/table/RangeTombstones.ts"
import { TableCursor } from "../../domain/table/TableCursor.ts"
import { TableReader } from "../../domain/table/TableReader.ts"
import type { CatalogRow } from "../Catalog.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"

export interface SystemRows {
  /** All versions of the rows of keyspace 0, in key order, of each row the newest first. */
  readonly rows: ReadonlyArray<CatalogRow>
  /** Every keyspace that anything is left of. */
  readonly keyspaces: ReadonlySet<number>
}

/** Reads keyspace 0 from tables, without a database around them. Throws `Damage`, `IoFailure`. */
export const systemRows = (disk: SyncDisk, directory: string, state: ManifestState): SystemRows => {
  const handles: Array<FileHandle> = []
  const readers = new Map<number, { readonly reader: TableReader; readonly handle: FileHandle }>()
  const keyspaces = new Set<number>([systemKeyspace])
  const exactly = (handle: FileHandle, offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    if (handle.readAt(bytes, offset) !== length) throw new Damage(handle.path, offset, "Truncated")
    return bytes
  }
  try {
    for (const { fileBytes, fileId, largest, root, smallest } of state.tables.values()) {
      keyspaces.add(smallest.keyspace).add(largest.keyspace)
      if (smallest.keyspace === largest.keyspace && smallest.keyspace !== systemKeyspace) continue
      const path = `${directory}/${fileName("table", fileId)}`
      const handle = disk.open(path, "read")
      handles.push(handle)
      const reader = TableReader.open(crc32, codecs, fileId, path, fileBytes, root, (offset, length) => exactly(handle, offset, length))
      for (let leaf = 0; leaf < reader.leafCount; leaf++) keyspaces.add(reader.fences.keyspace(leaf))
      readers.set(fileId, { reader, handle })
    }
    const tombstones = FragmentedTombstones.merge([...readers.values()].map(({ reader }) => reader.tombstones))
    const cursor = mergeCursors([...readers.values()].map(({ reader }) => new TableCursor(reader)))
    const rows: Array<CatalogRow> = []
    cursor.seek(systemKeyspace, new Uint8Array(0), sequenceMax)
    for (;;) {
      if (cursor.state === CursorState.needsBlock) {
        const { leaf, offset, storedLength, tableId } = cursor.need!
        const { handle, reader } = readers.get(tableId)!
        cursor.supply(reader.verifyLeaf(leaf, exactly(handle, offset, storedLength)))
        continue
      }
      if (cursor.state === CursorState.atEnd || cursor.keyspace !== systemKeyspace) break
      const { isPointer, keyBytes, keyEnd, keyStart, kind, sequence, valueBytes, valueEnd, valueStart } = cursor
      if (!isPointer && tombstones.covering(systemKeyspace, keyBytes, keyStart, keyEnd, sequenceMax) <= sequence)
        rows.push({
          key: keyBytes.slice(keyStart, keyEnd),
          value: kind === Kind.put ? valueBytes.slice(valueStart, valueEnd) : undefined,
          sequence
        })
      cursor.next()
    }
    return { rows, keyspaces }
  } finally {
    for (const handle of handles) handle.close()
  }
}
