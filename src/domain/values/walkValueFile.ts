import { readU32 } from "../bytes/fixed.ts"
import { MalformedBytes } from "../bytes/varint.ts"
import { Damage } from "../failures.ts"
import type { Codecs, Crc32 } from "../seams.ts"
import type { StepMachine } from "../steps.ts"
import { verifyStored } from "../table/storedBlock.ts"
import { decodeRecordHead, decodeValueFooter, decodeValueHeader, recordStartBytes, valueFooterBytes, valueHeaderBytes } from "./valueFormat.ts"
import type { ValueFileTotals, ValueRecord } from "./valueFormat.ts"
import type { ValuePointer } from "./ValuePointer.ts"

export interface ValueFileOpening {
  readonly crc32: Crc32
  readonly codecs: Codecs
  readonly fileId: number
  /** For messages. */
  readonly path: string
  readonly fileBytes: number
  /** Of the database; when given, another database's file is refused. */
  readonly uuid?: Uint8Array | undefined
}

const windowBytes = 64 * 1024
/** Records between two places to pause. */
const recordsPerPause = 256

/**
 * Reads a whole value file: header, every record (head and value verified), footer, totals. `each` sees every record with the pointer that a table would hold; its bytes are
 * views that the next record overwrites. Throws `Damage` at the first thing that is wrong; what `each` saw until then is good, which is what repair lives on.
 */
export function* walkValueFile(
  opening: ValueFileOpening,
  each?: (record: ValueRecord, pointer: ValuePointer, value: Uint8Array) => void
): StepMachine<ValueFileTotals> {
  const { crc32, codecs, fileId, path, fileBytes, uuid } = opening
  const footerAt = fileBytes - valueFooterBytes
  if (footerAt < valueHeaderBytes) throw new Damage(path, 0, "Truncated", `a value file of ${fileBytes} bytes`)
  let window: Uint8Array = new Uint8Array(0)
  let windowAt = 0
  function* bytesAt(unit: number, offset: number, length: number, end: number): StepMachine<Uint8Array> {
    if (offset + length > end) throw new Damage(path, unit, "Malformed", "a record beyond the end of its file")
    if (offset < windowAt || offset + length > windowAt + window.length) {
      window = (yield { step: "read", kind: "values", fileId, offset, length: Math.min(end - offset, Math.max(length, windowBytes)) })!
      windowAt = offset
    }
    return window.subarray(offset - windowAt, offset - windowAt + length)
  }
  const header = decodeValueHeader(crc32, yield* bytesAt(0, 0, valueHeaderBytes, fileBytes), path)
  if (header.fileId !== fileId) throw new Damage(path, 0, "Unexpected", `this is value file ${header.fileId}, not ${fileId}`)
  if (uuid !== undefined && !same(uuid, header.uuid)) throw new Damage(path, 0, "Unexpected", "a value file of another database")
  let recordCount = 0
  let valueBytes = 0
  for (let at = valueHeaderBytes; at < footerAt;) {
    const headLength = readU32(yield* bytesAt(at, at, recordStartBytes, footerAt), 4)
    if (headLength < recordStartBytes) throw new Damage(path, at, "Malformed", "a record without head")
    const head = yield* bytesAt(at, at, headLength, footerAt)
    if (crc32(head.subarray(4)) !== readU32(head, 0)) throw new Damage(path, at, "ChecksumMismatch", "record head")
    const record = decode(head, path, at)
    const { storedLength, rawLength, codec, sum } = record
    const pointer: ValuePointer = { fileId, offset: at + headLength, storedLength, rawLength, codec, sum }
    const value = verifyStored(crc32, codecs, path, pointer, yield* bytesAt(at, pointer.offset, storedLength, footerAt))
    each?.(record, pointer, value)
    at = pointer.offset + storedLength
    recordCount++
    valueBytes += storedLength
    if (recordCount % recordsPerPause === 0) yield { step: "pause" }
  }
  const footer = decodeValueFooter(crc32, yield* bytesAt(footerAt, footerAt, valueFooterBytes, fileBytes), path, footerAt)
  if (footer.fileId !== fileId || !same(footer.uuid, header.uuid)) throw new Damage(path, footerAt, "Unexpected", "the footer of another value file")
  if (footer.recordCount !== recordCount || footer.valueBytes !== valueBytes)
    throw new Damage(path, footerAt, "Unexpected", "the totals differ from the records")
  return { recordCount, valueBytes }
}

const decode = (head: Uint8Array, path: string, at: number): ValueRecord => {
  try {
    return decodeRecordHead(head)
  } catch (error) {
    if (error instanceof MalformedBytes) throw new Damage(path, at, "Malformed", error.message)
    throw error
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean => {
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false
  return a.length === b.length
}
