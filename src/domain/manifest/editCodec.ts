import { ByteReader } from "../bytes/ByteReader.ts"
import { ByteWriter } from "../bytes/ByteWriter.ts"
import { copyOf } from "../bytes/fixed.ts"
import { MalformedBytes } from "../bytes/varint.ts"
import { Damage } from "../failures.ts"
import type { FlushedThrough, Identity, KeyspaceSequence, KeyspaceVersions, LostRange, ManifestEdit, ManifestSnapshot } from "./ManifestEdit.ts"
import type { SegmentMeta, SegmentSealing } from "./SegmentMeta.ts"
import { readSegmentMeta, readSegmentSealing, writeSegmentMeta, writeSegmentSealing } from "./SegmentMeta.ts"
import type { TableMeta, ValueFileMeta } from "./TableMeta.ts"
import { readTableMeta, readValueFileMeta, writeTableMeta, writeValueFileMeta } from "./TableMeta.ts"

/**
 * The payload of a manifest record: fields of tag, length and body, tags ascending (docs/format/manifest.md). Tags are stored: never renumber, never
 * reuse. A reader refuses an even tag it does not know and skips an odd one; those of lists repeat, one field an item.
 */
const Tag = {
  identity: 2,
  engineTimeMs: 4,
  fileIdsThrough: 6,
  sequencesThrough: 8,
  flushedThrough: 10,
  addLostRanges: 12,
  historyFrom: 14,
  removeSegments: 16,
  addSegments: 18,
  sealSegments: 20,
  removeTables: 22,
  addTables: 24,
  removeValueFiles: 26,
  addValueFiles: 28,
  dropKeyspaces: 30,
  forgetKeyspaces: 32,
  keepVersions: 34,
  fileIdsUsed: 36
} as const
/** The first tag that repeats; those below it stand at most once. */
const firstListTag = Tag.addLostRanges

/** Encodes an edit, or the snapshot at the head of a file. Throws `RangeError` for a number that cannot be stored. */
export const encodeEdit = (edit: ManifestEdit & Partial<ManifestSnapshot>): Uint8Array => {
  const out = new ByteWriter(1024)
  const body = new ByteWriter(256)
  const each = <A>(tag: number, items: ReadonlyArray<A> | undefined, write: (writer: ByteWriter, item: A) => void): void => {
    for (const item of items ?? []) {
      body.clear()
      write(body, item)
      out.varint(tag).lengthPrefixed(body.bytes)
    }
  }
  const once = <A>(tag: number, item: A | undefined, write: (writer: ByteWriter, item: A) => void): void =>
    each(tag, item === undefined ? undefined : [item], write)
  once(Tag.identity, edit.identity, writeIdentity)
  once(Tag.engineTimeMs, edit.engineTimeMs, writeNumber)
  once(Tag.fileIdsThrough, edit.fileIdsThrough, writeNumber)
  once(Tag.sequencesThrough, edit.sequencesThrough, writeNumber)
  once(Tag.flushedThrough, edit.flushedThrough, (writer, { position, sequence }) => writer.varint(sequence).varint(position))
  each(Tag.addLostRanges, edit.addLostRanges, (writer, { from, to }) => writer.varint(from).varint(to))
  each(Tag.historyFrom, edit.historyFrom, writeKeyspaceSequence)
  each(Tag.removeSegments, edit.removeSegments, writeNumber)
  each(Tag.addSegments, edit.addSegments, writeSegmentMeta)
  each(Tag.sealSegments, edit.sealSegments, writeSegmentSealing)
  each(Tag.removeTables, edit.removeTables, writeNumber)
  each(Tag.addTables, edit.addTables, writeTableMeta)
  each(Tag.removeValueFiles, edit.removeValueFiles, writeNumber)
  each(Tag.addValueFiles, edit.addValueFiles, writeValueFileMeta)
  each(Tag.dropKeyspaces, edit.dropKeyspaces, writeKeyspaceSequence)
  each(Tag.forgetKeyspaces, edit.forgetKeyspaces, writeNumber)
  each(Tag.keepVersions, edit.keepVersions, (writer, { count, keyspace, sequence }) => writer.varint(keyspace).varint(sequence).varint(count))
  once(Tag.fileIdsUsed, edit.fileIdsUsed, writeNumber)
  return out.bytes
}

interface Draft {
  identity?: Identity
  engineTimeMs?: number
  fileIdsThrough?: number
  sequencesThrough?: number
  flushedThrough?: FlushedThrough
  addLostRanges?: Array<LostRange>
  historyFrom?: Array<KeyspaceSequence>
  removeSegments?: Array<number>
  addSegments?: Array<SegmentMeta>
  sealSegments?: Array<SegmentSealing>
  removeTables?: Array<number>
  addTables?: Array<TableMeta>
  removeValueFiles?: Array<number>
  addValueFiles?: Array<ValueFileMeta>
  dropKeyspaces?: Array<KeyspaceSequence>
  forgetKeyspaces?: Array<number>
  keepVersions?: Array<KeyspaceVersions>
  fileIdsUsed?: number
}

/**
 * Decodes a verified payload; keeps no view of it. Throws `Damage`: `UnsupportedVersion` for an even tag this reader does not know, `Malformed` where the
 * bytes do not follow the grammar. `path` and `offset` are those of the record.
 */
export const decodeEdit = (path: string, offset: number, payload: Uint8Array): ManifestEdit & Partial<ManifestSnapshot> => {
  const draft: Draft = {}
  const fields = new ByteReader(payload)
  let lastTag = 0
  try {
    while (fields.remaining > 0) {
      const tag = fields.varint()
      if (tag < lastTag || (tag === lastTag && tag < firstListTag)) throw new MalformedBytes(`tag ${tag} after ${lastTag}`)
      lastTag = tag
      const body = new ByteReader(fields.lengthPrefixed())
      if (!readField(draft, tag, body)) {
        if (tag % 2 === 0) throw new Damage(path, offset, "UnsupportedVersion", `field ${tag}`)
      } else if (body.remaining > 0) throw new MalformedBytes(`${body.remaining} bytes too many in field ${tag}`)
    }
  } catch (error) {
    if (error instanceof MalformedBytes) throw new Damage(path, offset, "Malformed", error.message)
    throw error
  }
  return draft
}

/** Whether the tag is known. */
const readField = (draft: Draft, tag: number, reader: ByteReader): boolean => {
  switch (tag) {
    case Tag.identity: {
      draft.identity = { uuid: copyOf(reader.take(16)), lineageId: copyOf(reader.take(16)), epoch: reader.u32(), hashSeed: reader.u32() }
      return true
    }
    case Tag.engineTimeMs: {
      draft.engineTimeMs = reader.varint()
      return true
    }
    case Tag.fileIdsThrough: {
      draft.fileIdsThrough = reader.varint()
      return true
    }
    case Tag.sequencesThrough: {
      draft.sequencesThrough = reader.varint()
      return true
    }
    case Tag.flushedThrough: {
      draft.flushedThrough = { sequence: reader.varint(), position: reader.varint() }
      return true
    }
    case Tag.addLostRanges: {
      draft.addLostRanges = append(draft.addLostRanges, { from: reader.varint(), to: reader.varint() })
      return true
    }
    case Tag.historyFrom: {
      draft.historyFrom = append(draft.historyFrom, readKeyspaceSequence(reader))
      return true
    }
    case Tag.removeSegments: {
      draft.removeSegments = append(draft.removeSegments, reader.varint())
      return true
    }
    case Tag.addSegments: {
      draft.addSegments = append(draft.addSegments, readSegmentMeta(reader))
      return true
    }
    case Tag.sealSegments: {
      draft.sealSegments = append(draft.sealSegments, readSegmentSealing(reader))
      return true
    }
    case Tag.removeTables: {
      draft.removeTables = append(draft.removeTables, reader.varint())
      return true
    }
    case Tag.addTables: {
      draft.addTables = append(draft.addTables, readTableMeta(reader))
      return true
    }
    case Tag.removeValueFiles: {
      draft.removeValueFiles = append(draft.removeValueFiles, reader.varint())
      return true
    }
    case Tag.addValueFiles: {
      draft.addValueFiles = append(draft.addValueFiles, readValueFileMeta(reader))
      return true
    }
    case Tag.dropKeyspaces: {
      draft.dropKeyspaces = append(draft.dropKeyspaces, readKeyspaceSequence(reader))
      return true
    }
    case Tag.forgetKeyspaces: {
      draft.forgetKeyspaces = append(draft.forgetKeyspaces, reader.varint())
      return true
    }
    case Tag.keepVersions: {
      draft.keepVersions = append(draft.keepVersions, { ...readKeyspaceSequence(reader), count: reader.varint() })
      return true
    }
    case Tag.fileIdsUsed: {
      if (draft.fileIdsUsed !== undefined) throw new MalformedBytes(`tag ${tag} twice`)
      draft.fileIdsUsed = reader.varint()
      return true
    }
    default:
      return false
  }
}

const append = <A>(list: Array<A> | undefined, item: A): Array<A> => {
  if (list === undefined) return [item]
  list.push(item)
  return list
}

const writeNumber = (writer: ByteWriter, n: number): void => {
  writer.varint(n)
}

const writeKeyspaceSequence = (writer: ByteWriter, { keyspace, sequence }: KeyspaceSequence): void => {
  writer.varint(keyspace).varint(sequence)
}

const readKeyspaceSequence = (reader: ByteReader): KeyspaceSequence => ({ keyspace: reader.varint(), sequence: reader.varint() })

const writeIdentity = (writer: ByteWriter, { epoch, hashSeed, lineageId, uuid }: Identity): void => {
  if (uuid.length !== 16 || lineageId.length !== 16) throw new RangeError("uuid and lineage id are 16 bytes each")
  writer.raw(uuid).raw(lineageId).u32(epoch).u32(hashSeed)
}
