import { Slab } from "../../domain/bytes/Slab.ts"
import { compareRanges } from "../../domain/keys/compareBytes.ts"
import { Kind, sequenceMax, systemKeyspace } from "../../domain/keys/kinds.ts"
import type { Tables } from "../../services/Tables.ts"
import type { View } from "../reading/View.ts"
import { VersionReader } from "./VersionReader.ts"

/** Bytes belong to the receiver. `value` undefined is a delete. `sequence` 0: so old that it was elided. */
export interface RowVersion {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
  readonly sequence: number
}

/**
 * All versions of the rows of keyspace 0 from `lower` (inclusive) to `upper` (exclusive) up to the view's sequence, in key order, of each row the newest first. Blocks: for opening.
 * Of range deletes only what they leave is seen. The view's version must be pinned. Throws `Damage`, `IoFailure`.
 */
export const readVersions = (tables: Tables["Service"], view: View, lower: Uint8Array, upper: Uint8Array): ReadonlyArray<RowVersion> => {
  const rows: Array<RowVersion> = []
  const slab = new Slab()
  const reader = new VersionReader(tables, view, systemKeyspace, lower, upper)
  const { cursor, tombstones } = reader
  cursor.seek(systemKeyspace, lower, sequenceMax)
  for (; reader.settle(true) === "entry"; cursor.next()) {
    const { keyBytes, keyEnd, keyStart, sequence } = cursor
    if (cursor.keyspace !== systemKeyspace || compareRanges(keyBytes, keyStart, keyEnd, upper, 0, upper.length) >= 0) break
    if (sequence > view.sequence) continue
    if (tombstones.some((some) => some.covering(systemKeyspace, keyBytes, keyStart, keyEnd, view.sequence) > sequence)) continue
    const value =
      cursor.kind !== Kind.put
        ? undefined
        : cursor.isPointer
          ? tables.readValue(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
          : slab.copy(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
    rows.push({ key: slab.copy(keyBytes, keyStart, keyEnd), value, sequence })
  }
  return rows
}
