/**
 * What a table keeps in place of a large value: file id, offset, stored length, raw length, codec as varints, then the sum u32 of the stored bytes. It is the
 * value's parent: whoever follows it notices a stale or misdirected record. docs/format/values.md, "Pointer".
 */
import { MalformedBytes, readVarint, varintBytesMax, varintEnd, writeVarint } from "../bytes/varint.ts"
import { readU32, writeU32 } from "../bytes/fixed.ts"

export interface ValuePointer {
  readonly fileId: number
  /** Of the stored value itself, not of its record. */
  readonly offset: number
  readonly storedLength: number
  readonly rawLength: number
  /** `CodecId`. */
  readonly codec: number
  /** CRC-32 of the stored bytes. */
  readonly sum: number
}

/** Room for any encoded pointer. */
export const valuePointerBytesMax = 5 * varintBytesMax + 4

/** Writes the pointer at `at` and returns where it ends. */
export const writeValuePointer = (bytes: Uint8Array, at: number, pointer: ValuePointer): number => {
  at = writeVarint(bytes, at, pointer.fileId)
  at = writeVarint(bytes, at, pointer.offset)
  at = writeVarint(bytes, at, pointer.storedLength)
  at = writeVarint(bytes, at, pointer.rawLength)
  at = writeVarint(bytes, at, pointer.codec)
  writeU32(bytes, at, pointer.sum)
  return at + 4
}

export const encodeValuePointer = (pointer: ValuePointer): Uint8Array => {
  const bytes = new Uint8Array(valuePointerBytesMax)
  return bytes.slice(0, writeValuePointer(bytes, 0, pointer))
}

/** Reads the pointer that fills `bytes[start, end)`. Throws `MalformedBytes`; the caller knows which block it stood in. */
export const decodeValuePointer = (bytes: Uint8Array, start: number, end: number): ValuePointer => {
  const fileId = readVarint(bytes, start, end)
  const offset = readVarint(bytes, varintEnd(), end)
  const storedLength = readVarint(bytes, varintEnd(), end)
  const rawLength = readVarint(bytes, varintEnd(), end)
  const codec = readVarint(bytes, varintEnd(), end)
  const at = varintEnd()
  if (end - at !== 4) throw new MalformedBytes(`a value pointer of ${end - start} bytes`)
  return { fileId, offset, storedLength, rawLength, codec, sum: readU32(bytes, at) }
}
