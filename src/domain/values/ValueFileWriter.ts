import { writeU32 } from "../bytes/fixed.ts"
import { varintBytesMax, writeVarint } from "../bytes/varint.ts"
import type { ValueFileMeta } from "../manifest/TableMeta.ts"
import type { Codec, Crc32 } from "../seams.ts"
import { OutputChunks } from "../table/OutputChunks.ts"
import { AdaptiveCompression } from "../table/AdaptiveCompression.ts"
import type { ValuePointer } from "./ValuePointer.ts"
import { encodeValueFooter, encodeValueHeader, recordStartBytes } from "./valueFormat.ts"
import type { ValueFileIdentity } from "./valueFormat.ts"

export interface ValueFileWriterOptions extends ValueFileIdentity {
  readonly crc32: Crc32
  /** Undefined: nothing is compressed. */
  readonly codec?: Codec | undefined
}

export interface FinishedValueFile {
  /** What `takeOutput` had not yet handed out, to be written at `position`. */
  readonly buffers: ReadonlyArray<Uint8Array>
  readonly position: number
  readonly meta: ValueFileMeta
}

const chunkBytes = 256 * 1024
/** A key no longer than this is copied by a loop: the call of `set`, and the view it needs, cost more. */
const loopCopyBytesMax = 40
const headBytesMax = recordStartBytes + 1 + 5 * varintBytesMax + 4

/** Writes a value file: pure, buffers out. All bytes given are copied. Records may come in any order. */
export class ValueFileWriter {
  recordCount = 0
  /** Stored bytes of all values so far. */
  valueBytes = 0
  readonly #options: ValueFileWriterOptions
  readonly #compression: AdaptiveCompression
  readonly #output = new OutputChunks(chunkBytes)

  constructor(options: ValueFileWriterOptions) {
    this.#options = options
    this.#compression = new AdaptiveCompression(options.codec)
    this.#output.append(encodeValueHeader(options.crc32, options))
  }

  /** Adds a value and returns the pointer for the table. */
  add(
    keyspace: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    expiresAt: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number
  ): ValuePointer {
    const { codec, crc32 } = this.#options
    const raw = value.subarray(valueStart, valueEnd)
    const compressed = this.#compression.compress(raw)
    const stored = compressed ?? raw
    return this.addStored(
      keyspace,
      key,
      keyStart,
      keyEnd,
      sequence,
      expiresAt,
      stored,
      raw.length,
      compressed === undefined ? 0 : codec!.id,
      crc32(stored)
    )
  }

  /** Adds a value as another file stored it (verified by the caller): what collection moves is not compressed anew. */
  addStored(
    keyspace: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    expiresAt: number,
    stored: Uint8Array,
    rawLength: number,
    codec: number,
    sum: number
  ): ValuePointer {
    const output = this.#output
    output.reserve(headBytesMax + keyEnd - keyStart + stored.length)
    const bytes = output.bytes
    const start = output.used
    let at = start + recordStartBytes
    bytes[at++] = codec
    at = writeVarint(bytes, at, keyspace)
    at = writeVarint(bytes, at, sequence)
    at = writeVarint(bytes, at, expiresAt)
    at = writeVarint(bytes, at, stored.length)
    at = writeVarint(bytes, at, rawLength)
    writeU32(bytes, at, sum)
    at += 4
    if (keyEnd - keyStart > loopCopyBytesMax) {
      bytes.set(key.subarray(keyStart, keyEnd), at)
      at += keyEnd - keyStart
    } else {
      for (let i = keyStart; i < keyEnd; i++) bytes[at++] = key[i]!
    }
    writeU32(bytes, start + 4, at - start)
    writeU32(bytes, start, this.#options.crc32(bytes.subarray(start + 4, at)))
    bytes.set(stored, at)
    const offset = output.position + at - start
    output.commit(at - start + stored.length)
    this.recordCount++
    this.valueBytes += stored.length
    return { fileId: this.#options.fileId, offset, storedLength: stored.length, rawLength, codec, sum }
  }

  /** Length of the file so far, without the footer. */
  get estimatedBytes(): number {
    return this.#output.position
  }

  /** Where the buffers that `takeOutput` returns next belong. */
  get outputPosition(): number {
    return this.#output.takenPosition
  }

  /** Bytes that `takeOutput` would return. */
  get pendingBytes(): number {
    return this.#output.position - this.#output.takenPosition
  }

  /** The file's bytes since the last call; the writer never touches them again. */
  takeOutput(): Array<Uint8Array> {
    return this.#output.take()
  }

  finish(): FinishedValueFile {
    const { crc32, uuid, fileId } = this.#options
    this.#output.append(encodeValueFooter(crc32, { uuid, fileId, recordCount: this.recordCount, valueBytes: this.valueBytes }))
    const position = this.#output.takenPosition
    return { position, buffers: this.#output.take(), meta: { fileId, fileBytes: this.#output.position, valueBytes: this.valueBytes } }
  }
}
