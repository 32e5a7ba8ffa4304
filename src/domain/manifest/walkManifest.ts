import { alignUp, isZero } from "../bytes/fixed.ts"
import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"
import { decodeEdit } from "./editCodec.ts"
import type { ManifestEdit, ManifestSnapshot } from "./ManifestEdit.ts"
import { manifestAlignment, manifestMagic, manifestRecordHeaderBytes, readHeader, recordAt, RecordType } from "./manifestFile.ts"
import { applyToDraft, blankState, draftOf, type ManifestState, type StateDraft } from "./ManifestState.ts"

export type ManifestPart =
  | { readonly type: "header"; readonly fileId: number; readonly sum: number; readonly uuid: Uint8Array }
  | { readonly type: "damagedHeader"; readonly problem: Damage }
  | {
      readonly type: "record"
      /** Counted from 0, the snapshot. */
      readonly index: number
      readonly offset: number
      readonly lengthBytes: number
      readonly sum: number
      readonly isSnapshot: boolean
      /** Whether it is chained to the record (or header) before. */
      readonly follows: boolean
      readonly edit: (ManifestEdit & Partial<ManifestSnapshot>) | undefined
      /** The sum holds, and the content is wrong or does not fit the state before it. */
      readonly problem: Damage | undefined
      /** After this record; undefined where something before it is missing. */
      readonly state: ManifestState | undefined
    }
  /** No record stands here. Ends at the next one or, with `laterRecords` false, at the end of the file: the last append was torn, or is being made. */
  | { readonly type: "gap"; readonly offset: number; readonly lengthBytes: number; readonly laterRecords: boolean }

/** Whether the bytes begin as a manifest file does. */
export const isManifest = (bytes: Uint8Array): boolean => manifestMagic.every((byte, i) => bytes[i] === byte)

/**
 * Every record of a manifest file and what lies between them, for looking at what an open would refuse. Unlike `readManifest` it goes on behind damage and never throws `Damage`.
 */
export function* walkManifest(crc32: Crc32, path: string, bytes: Uint8Array): Generator<ManifestPart, void, void> {
  let lastSum: number | undefined
  let uuid: Uint8Array | undefined
  try {
    const header = readHeader(crc32, path, bytes, "read")
    lastSum = header.sum
    uuid = header.uuid
    yield { type: "header", ...header }
  } catch (cause) {
    if (!(cause instanceof Damage)) throw cause
    yield { type: "damagedHeader", problem: cause }
  }
  let draft: StateDraft | undefined
  let index = 0
  let gapFrom: number | undefined
  for (let offset = manifestAlignment; offset < bytes.length;) {
    const record = recordAt(crc32, bytes, offset)
    if (record === undefined) {
      gapFrom ??= offset
      offset += manifestAlignment
      continue
    }
    if (gapFrom !== undefined) {
      yield { type: "gap", offset: gapFrom, lengthBytes: offset - gapFrom, laterRecords: true }
      gapFrom = undefined
    }
    const follows = lastSum === undefined || record.previousSum === lastSum
    // What is missing in between may have changed anything.
    if (!follows) draft = undefined
    const isSnapshot = record.type === RecordType.snapshot
    let edit: (ManifestEdit & Partial<ManifestSnapshot>) | undefined
    let problem: Damage | undefined
    try {
      edit = decodeEdit(path, offset, bytes.subarray(offset + manifestRecordHeaderBytes, offset + record.length))
      const isHead = index === 0 && offset === manifestAlignment
      if (record.type !== (isHead ? RecordType.snapshot : RecordType.edit) || isSnapshot !== (edit.identity !== undefined))
        throw new Damage(path, offset, "Malformed", `record type ${record.type} out of place`)
      if (edit.identity !== undefined) draft = draftOf(blankState(edit.identity))
      if (draft !== undefined) {
        const next = draftOf(draft)
        applyToDraft(next, edit, path, offset)
        draft = next
      }
      // It says all the same what the file is about: the state goes on.
      if (uuid !== undefined && edit.identity?.uuid.every((byte, i) => byte === uuid?.[i]) === false)
        problem = new Damage(path, offset, "Malformed", "the snapshot is of another database")
    } catch (cause) {
      if (!(cause instanceof Damage)) throw cause
      problem = cause
      draft = undefined
    }
    yield { type: "record", index: index++, offset, lengthBytes: record.length, sum: record.sum, isSnapshot, follows, edit, problem, state: draft }
    lastSum = record.sum
    offset = alignUp(offset + record.length, manifestAlignment)
  }
  if (gapFrom !== undefined && !isZero(bytes, gapFrom, bytes.length))
    yield { type: "gap", offset: gapFrom, lengthBytes: bytes.length - gapFrom, laterRecords: false }
}
