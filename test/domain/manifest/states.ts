import { crc32 as zlibCrc32 } from "node:zlib"
import { encodeManifest, encodeManifestEdit, type ManifestTail } from "../../../src/domain/manifest/manifestFile.ts"
import type { Identity, ManifestEdit } from "../../../src/domain/manifest/ManifestEdit.ts"
import type { ManifestState } from "../../../src/domain/manifest/ManifestState.ts"
import { applyEdit, blankState, sequenceBlock } from "../../../src/domain/manifest/ManifestState.ts"
import type { TableMeta, ValueFileMeta } from "../../../src/domain/manifest/TableMeta.ts"
import type { Crc32 } from "../../../src/domain/seams.ts"

export const crc32: Crc32 = (bytes, seed = 0) => zlibCrc32(bytes, seed)
export const text = (s: string): Uint8Array => new TextEncoder().encode(s)
export const counting = (from: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => from + i)

export const identity: Identity = { uuid: counting(0x10), lineageId: counting(0x30), epoch: 3, hashSeed: 0x5566_7788 }

/** File ids through 8192 and one block of sequences are reserved. */
export const fresh: ManifestState = applyEdit(blankState(identity), { fileIdsThrough: 8192, sequencesThrough: sequenceBlock, engineTimeMs: 1000 })

export const table = (fileId: number, more: Partial<TableMeta> = {}): TableMeta => ({
  fileId,
  level: 0,
  fileBytes: 4096,
  smallest: { keyspace: 1, key: text("a") },
  largest: { keyspace: 16, key: text("o") },
  smallestSequence: 40,
  largestSequence: 42,
  entryCount: 4,
  deleteCount: 2,
  rangeTombstoneCount: 1,
  root: { offset: 512, storedLength: 300, rawLength: 400, codec: 1, sum: 0xdead_beef },
  valueRefs: [],
  ...more
})

export const values = (fileId: number): ValueFileMeta => ({ fileId, fileBytes: 70_100, valueBytes: 70_000 })

/** A manifest file as the engine writes it. */
export const fileOf = (
  state: ManifestState,
  edits: ReadonlyArray<ManifestEdit>,
  fileId = 6
): { readonly bytes: Uint8Array; readonly tail: ManifestTail } => {
  const parts: Array<Uint8Array> = []
  let record = encodeManifest(crc32, fileId, state)
  parts.push(record.bytes)
  for (const edit of edits) {
    record = encodeManifestEdit(crc32, record, edit)
    parts.push(record.bytes)
  }
  return { bytes: new Uint8Array(Buffer.concat(parts)), tail: { lengthBytes: record.lengthBytes, lastSum: record.lastSum } }
}
