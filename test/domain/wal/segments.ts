import { crc32 as zlibCrc32 } from "node:zlib"
import { alignUp } from "../../../src/domain/bytes/fixed.ts"
import { Damage } from "../../../src/domain/failures.ts"
import type { Crc32 } from "../../../src/domain/seams.ts"
import { GroupBuilder } from "../../../src/domain/wal/GroupBuilder.ts"
import type { ScanOptions, SegmentScan } from "../../../src/domain/wal/scanSegment.ts"
import { scanSegment } from "../../../src/domain/wal/scanSegment.ts"
import type { SegmentHeader } from "../../../src/domain/wal/SegmentHeader.ts"
import { decodeSegmentHeader, encodeSegmentHeader } from "../../../src/domain/wal/SegmentHeader.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"

export const crc32: Crc32 = (bytes, seed = 0) => zlibCrc32(bytes, seed)
export const text = (s: string): Uint8Array => new TextEncoder().encode(s)
export const counting = (from: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => from + i)

interface GroupOptions {
  /** A datasync lay before it. */
  readonly aligned?: boolean
  readonly durableThrough?: number
  readonly firstSequence?: number
  readonly previousSum?: number
  readonly epoch?: number
  readonly saltSum?: number
  readonly position?: number
  readonly rewritten?: boolean
  readonly values?: ReadonlyArray<Uint8Array>
}

/** Writes a segment the way the engine does: the file in memory, and where every group went. */
export class SegmentWriter {
  readonly header: SegmentHeader
  readonly base: number
  bytes: Uint8Array
  readonly groups: Array<{
    readonly offset: number
    readonly end: number
    readonly position: number
    readonly endPosition: number
    readonly sum: number
  }> = []
  nextSequence = 1
  lastSum: number

  constructor(
    options: { readonly base?: number; readonly epoch?: number; readonly salt?: number; readonly previousSum?: number; readonly fileId?: number } = {}
  ) {
    this.bytes = encodeSegmentHeader(crc32, {
      uuid: counting(0x10),
      fileId: options.fileId ?? 7,
      epoch: options.epoch ?? 3,
      salt: counting(options.salt ?? 0xa0),
      alignment: 512
    })
    this.header = decodeSegmentHeader(crc32, "segment", this.bytes)
    this.base = options.base ?? 0
    this.lastSum = options.previousSum ?? 0x0102_0304
  }

  /** Appends a group of one transaction per value. */
  group(options: GroupOptions = {}): this {
    const { values = [text("value")] } = options
    const builder = new GroupBuilder(crc32)
    for (const value of values) {
      builder.beginTransaction(1000)
      builder.put(1, text("key"), value)
      builder.endTransaction()
    }
    const offset = options.aligned === true ? alignUp(this.bytes.length, 512) : this.bytes.length
    const position = this.base + offset - 512
    const { bytes, sum } = builder.finish({
      saltSum: options.saltSum ?? this.header.saltSum,
      epoch: options.epoch ?? this.header.epoch,
      position: options.position ?? position,
      firstSequence: options.firstSequence ?? this.nextSequence,
      durableThrough: options.durableThrough ?? 0,
      previousSum: options.previousSum ?? this.lastSum,
      rewritten: options.rewritten ?? false
    })
    const grown = new Uint8Array(offset + bytes.length)
    grown.set(this.bytes)
    grown.set(bytes, offset)
    this.bytes = grown
    this.groups.push({ offset, end: grown.length, position, endPosition: position + bytes.length, sum })
    this.nextSequence = (options.firstSequence ?? this.nextSequence) + values.length
    this.lastSum = sum
    return this
  }

  zeros(count: number): this {
    const grown = new Uint8Array(this.bytes.length + count)
    grown.set(this.bytes)
    this.bytes = grown
    return this
  }

  /** A copy of the file with one byte of group `index` changed, `at` bytes after its start. */
  damaged(index: number, at = 70): Uint8Array {
    const copy = this.bytes.slice()
    copy[this.groups[index]!.offset + at]! ^= 0x10
    return copy
  }

  scan(options: ScanOptions = {}, bytes = this.bytes): SegmentScan {
    return scanSegment(crc32, this.header, bytesSource("segment", bytes), { basePosition: this.base, ...options })
  }
}

export const damageOf = (run: () => unknown): Damage => {
  try {
    run()
  } catch (error) {
    if (error instanceof Damage) return error
    throw error
  }
  throw new Error("no damage was found")
}
