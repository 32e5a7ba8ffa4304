import type { ByteReader } from "../bytes/ByteReader.ts"
import { MalformedBytes } from "../bytes/varint.ts"
import type { ByteWriter } from "../bytes/ByteWriter.ts"

/** How a segment ended: nothing beyond `lengthBytes` counts, nothing before it may be missing. */
export interface SegmentSeal {
  /** Of the file, to the end of the last group: the header's length where there is none. */
  readonly lengthBytes: number
  /** Sum of the last group; where there is none, that of the last group before the segment. */
  readonly lastSum: number
  /** The last sequence in it; 0 where there is no transaction. */
  readonly lastSequence: number
  /** The first sequence in it; above the last one where there is no transaction. What the feed can still show begins here. */
  readonly firstSequence: number
  /** Engine time in ms that no commit in it is later than: how long it is kept for the feed counts from there. */
  readonly lastCommitMs: number
}

/** A segment of the log. `scanSegment` takes `sealed`, `basePosition` and `floorPosition` as they are. */
export interface SegmentMeta {
  readonly fileId: number
  /** `headerSum` of the segment's header. */
  readonly headerSum: number
  readonly epoch: number
  /** Position of the first group, where it was known when the segment was named; from the seal on always. */
  readonly basePosition?: number | undefined
  /** Position through which the segment was durable when it was named: the end of the groups an open rewrote into it. */
  readonly floorPosition?: number | undefined
  readonly sealed?: SegmentSeal | undefined
}

/** Seals a segment that the manifest names. */
export interface SegmentSealing extends SegmentSeal {
  readonly fileId: number
  readonly basePosition: number
}

const hasBase = 1
const hasFloor = 2
const hasSeal = 4

export const writeSegmentMeta = (writer: ByteWriter, segment: SegmentMeta): void => {
  const { basePosition, floorPosition, sealed } = segment
  writer.varint(segment.fileId).u32(segment.headerSum).u32(segment.epoch)
  writer.u8((basePosition === undefined ? 0 : hasBase) | (floorPosition === undefined ? 0 : hasFloor) | (sealed === undefined ? 0 : hasSeal))
  if (basePosition !== undefined) writer.varint(basePosition)
  if (floorPosition !== undefined) writer.varint(floorPosition)
  if (sealed !== undefined) writeSeal(writer, sealed)
}

/** Throws `MalformedBytes`. */
export const readSegmentMeta = (reader: ByteReader): SegmentMeta => {
  const fileId = reader.varint()
  const headerSum = reader.u32()
  const epoch = reader.u32()
  const flags = reader.u8()
  if (flags > 7) throw new MalformedBytes(`segment flags ${flags}`)
  return {
    fileId,
    headerSum,
    epoch,
    ...((flags & hasBase) === 0 ? {} : { basePosition: reader.varint() }),
    ...((flags & hasFloor) === 0 ? {} : { floorPosition: reader.varint() }),
    ...((flags & hasSeal) === 0 ? {} : { sealed: readSeal(reader) })
  }
}

export const writeSegmentSealing = (writer: ByteWriter, sealing: SegmentSealing): void => {
  writer.varint(sealing.fileId).varint(sealing.basePosition)
  writeSeal(writer, sealing)
}

export const readSegmentSealing = (reader: ByteReader): SegmentSealing => ({
  fileId: reader.varint(),
  basePosition: reader.varint(),
  ...readSeal(reader)
})

const writeSeal = (writer: ByteWriter, seal: SegmentSeal): void => {
  writer.varint(seal.lengthBytes).u32(seal.lastSum).varint(seal.lastSequence).varint(seal.firstSequence).varint(seal.lastCommitMs)
}

const readSeal = (reader: ByteReader): SegmentSeal => ({
  lengthBytes: reader.varint(),
  lastSum: reader.u32(),
  lastSequence: reader.varint(),
  firstSequence: reader.varint(),
  lastCommitMs: reader.varint()
})
