/**
 * The value of an event's row: flags u8 (1: has a type, 2: has metadata) ‖ time in ms (varint) ‖ [type: length (varint) ‖ UTF-8] ‖ [metadata: length (varint) ‖ bytes] ‖ data ‖
 * versionstamp (10 bytes), which the commit appends.
 */
import { ByteReader } from "../../domain/bytes/ByteReader.ts"
import { ByteWriter } from "../../domain/bytes/ByteWriter.ts"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import { MalformedBytes } from "../../domain/bytes/varint.ts"
import * as Versionstamp from "./Versionstamp.ts"

const hasType = 1
const hasMetadata = 2

const utf8 = new TextEncoder()

export interface EventRow {
  readonly type: string | undefined
  readonly metadata: Uint8Array | undefined
  /** When it was appended, by the clock of the program that did. */
  readonly timeMs: number
  readonly data: Uint8Array
}

export interface StoredRow extends EventRow {
  readonly position: Versionstamp.Versionstamp
}

/** The row as it is handed to the commit, which appends the versionstamp. */
export const encodeRow = ({ type, metadata, timeMs, data }: EventRow): Uint8Array => {
  const writer = new ByteWriter(32 + data.length)
  writer.u8((type === undefined ? 0 : hasType) | (metadata === undefined ? 0 : hasMetadata)).varint(timeMs)
  if (type !== undefined) writer.lengthPrefixed(utf8.encode(type))
  if (metadata !== undefined) writer.lengthPrefixed(metadata)
  return writer.raw(data).bytes
}

/** Undefined where the bytes are no event's. Metadata and data are views of `value`. */
export const decodeRow = (value: Uint8Array): StoredRow | undefined => {
  const end = value.length - Versionstamp.bytesLength
  if (end < 0) return undefined
  const reader = new ByteReader(value, 0, end)
  try {
    const flags = reader.u8()
    if (flags > (hasType | hasMetadata)) return undefined
    const timeMs = reader.varint()
    const type = (flags & hasType) === 0 ? undefined : decodeText(reader.lengthPrefixed())
    const metadata = (flags & hasMetadata) === 0 ? undefined : reader.lengthPrefixed()
    return { type, metadata, timeMs, data: reader.take(reader.remaining), position: Versionstamp.decode(value, end) }
  } catch (cause) {
    if (cause instanceof MalformedBytes) return undefined
    throw cause
  }
}
