import * as Effect from "effect/Effect"
import { alignUp, isZero } from "../../domain/bytes/fixed.ts"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { HistoryGone } from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { type GroupHeader, groupHeaderBytes, readGroupHeader, verifyGroup } from "../../domain/wal/GroupHeader.ts"
import type { VerifiedGroup } from "../../domain/wal/LoggedTransaction.ts"
import { type SegmentHeader, segmentHeaderBytes } from "../../domain/wal/SegmentHeader.ts"
import type { Disk } from "../../services/Disk.ts"
import type { RetainedSegment } from "../../services/LogSegment.ts"
import type { LogPin, LogView } from "../../services/LogView.ts"
import { crc32 } from "../crc32.ts"
import type { LogPositions } from "./LogPositions.ts"

/** Read at a time while there is that much; a group that is larger is read in one piece. */
const windowBytes = 1 << 20
/** What is read in place: about as long as handing it to the pool takes. */
const inlineBytesMax = 1 << 16

/** A segment's file, checked to be the one that is meant, until `close`. */
export interface SegmentFile {
  readonly path: string
  readonly handle: FileHandle
  readonly header: SegmentHeader
  readonly close: () => void
}

export interface LogReaderParts {
  readonly disk: Pick<Disk["Service"], "read">
  readonly log: LogView
  readonly positions: LogPositions
  /** Throws `Damage`, `IoFailure`. */
  readonly openSegment: (fileId: number) => SegmentFile
}

interface OpenedSegment extends SegmentFile {
  readonly fileId: number
  readonly groupsFrom: number
  readonly basePosition: number
  /** Once it is no longer written. */
  sealed: RetainedSegment | undefined
}

const noBytes = new Uint8Array(0)

/**
 * Walks the log from a sequence on, group by group, with handles of its own: each group is verified by its sum and its chain, and nothing is looked at that is not visible yet.
 * It pins the log from the next sequence on; owned by one stream, and closed by it.
 */
export class LogReader {
  /** After `advance` said so: the group, whose bytes are good until the next call. */
  group: VerifiedGroup | undefined = undefined
  private readonly parts: LogReaderParts
  private readonly pin: LogPin
  private segment: OpenedSegment | undefined = undefined
  private offset = 0
  /** Sum of the group before `offset` in this segment; undefined where nothing of it was read. */
  private lastSum: number | undefined = undefined
  /** The sequence after the last group that was read; undefined before the first one. */
  private follows: number | undefined = undefined
  private window = noBytes
  private from = 0
  private until = 0
  private need = { offset: 0, length: 0, limit: 0 }
  private dropped = false
  private loading = false
  private closed = false

  /** `next` is in what the log holds, or the next commit: see `LogPositions`. Pins it in this very step. */
  constructor(parts: LogReaderParts, next: number) {
    this.parts = parts
    this.pin = parts.log.pin(next, () => {
      this.dropped = true
      // The file is gone from the directory, and its space would be held for as long as the handle is.
      this.closeSegment()
    })
  }

  /** Opens the log where the next sequence is, or will be: cheapest in the step in which the reader was made. Throws `Damage`, `IoFailure`. */
  begin(): void {
    if (this.segment === undefined && !this.dropped && this.holdsAnything) this.open()
  }

  /** A log beside which this reads may be there without a segment that holds a group. */
  private get holdsAnything(): boolean {
    return this.parts.log.tip().fileId !== 0
  }

  /** The next sequence that is wanted: transactions before it were shown, or not asked for. */
  get next(): number {
    return this.pin.next
  }

  /** Everything before it is done with. */
  moveTo(next: number): void {
    if (next > this.pin.next) this.pin.next = next
  }

  /**
   * To the next group that holds something wanted. "needs": first run `load`. "end": there is nothing more that is visible. Throws `Damage`, `IoFailure`, `HistoryGone`.
   */
  advance(): "group" | "needs" | "end" {
    for (;;) {
      if (this.dropped) throw new HistoryGone({ sequence: this.pin.next, oldestSequence: this.parts.positions.oldest() })
      if (this.segment === undefined && !this.holdsAnything) return "end"
      const segment = this.segment ?? this.open()
      const tip = this.parts.log.tip()
      if (segment.sealed === undefined && segment.fileId !== tip.fileId) {
        segment.sealed = this.parts.log.segments().find(({ fileId }) => fileId === segment.fileId)
        if (segment.sealed === undefined || segment.sealed.bytes < this.offset) {
          // Dropped, but not under this reader: nothing in it was wanted any more. Or the writer crashed, and the next one sealed it at what was proven durable: what was read
          // beyond that was written again further on, or is lost, and then whoever saw it must hear of it.
          this.moveTo(this.parts.positions.ahead(this.pin.next))
          this.closeSegment()
          if (this.holdsAnything) this.open(segment.fileId)
          continue
        }
      }
      const limit = segment.sealed?.bytes ?? tip.endOffset
      if (this.offset >= limit) {
        if (segment.sealed === undefined) {
          // Nothing is held while there is nothing to do: thousands may wait for the next commit.
          this.window = noBytes
          this.from = this.until = 0
          return "end"
        }
        this.leave(segment, segment.sealed)
        continue
      }
      const found = this.find(segment, limit)
      if (found === "needs") return found
      const { header, offset } = found
      this.chain(segment.path, offset, header)
      this.offset = offset + header.lengthBytes
      this.lastSum = header.sum
      this.follows = Math.max(this.follows ?? 0, header.firstSequence + header.transactionCount)
      if (this.follows <= this.pin.next) continue
      this.group = { path: segment.path, offset, bytes: this.window, at: offset - this.from, header }
      return "group"
    }
  }

  /** Brings the bytes that `advance` needs. Uninterruptible while the system holds the window. */
  get load(): Effect.Effect<void, Damage | IoFailure> {
    return Effect.suspend(() => {
      const { segment } = this
      // Dropped or closed since: `advance` says so.
      if (segment === undefined) return Effect.void
      const { length, limit, offset } = this.need
      const wanted = Math.max(length, Math.min(windowBytes, limit - offset))
      // Groups of the window before belong to a stream that has decoded them.
      if (this.window.length < wanted || this.window.length > Math.max(wanted, windowBytes)) this.window = new Uint8Array(wanted)
      const into = this.window.subarray(0, wanted)
      this.from = this.until = 0
      const took = (count: number) => {
        if (count < wanted) throw new IoFailure("read", segment.path, "EIO", `read ${segment.path}: ${count} of ${wanted} bytes at ${offset}`)
        this.from = offset
        this.until = offset + wanted
      }
      if (wanted <= inlineBytesMax) {
        try {
          took(segment.handle.readAt(into, offset))
          return Effect.void
        } catch (cause) {
          return cause instanceof IoFailure ? Effect.fail(cause) : Effect.die(cause)
        }
      }
      // From the moment on in which it counts as loading, somebody sees to its end: a fiber may be interrupted between any two steps.
      return Effect.acquireUseRelease(
        Effect.sync(() => {
          this.loading = this.segment === segment
          return this.loading
        }),
        (isOpen) =>
          isOpen
            ? Effect.flatMap(this.parts.disk.read(segment.handle, into, offset), (count) => {
                try {
                  took(count)
                  return Effect.void
                } catch (cause) {
                  return cause instanceof IoFailure ? Effect.fail(cause) : Effect.die(cause)
                }
              })
            : Effect.void,
        () =>
          Effect.sync(() => {
            this.loading = false
            if (this.dropped || this.closed) this.closeSegment()
          })
      )
    })
  }

  /** Lets go of the log and of the file. */
  close(): void {
    this.closed = true
    this.pin.release()
    this.closeSegment()
  }

  /** Opens the segment that holds the next sequence; at the end of the log, right at its visible end. */
  private open(after = 0): OpenedSegment {
    const { log } = this.parts
    const tip = log.tip()
    const sealed = log.segments().find((segment) => segment.fileId > after && segment.lastSequence >= this.pin.next)
    const fileId = sealed?.fileId ?? tip.fileId
    const file = this.parts.openSegment(fileId)
    const opened = { ...file, fileId, groupsFrom: segmentHeaderBytes(file.header), basePosition: (sealed ?? tip).basePosition, sealed }
    this.segment = opened
    this.from = this.until = 0
    this.offset = opened.groupsFrom
    this.lastSum = undefined
    if (sealed === undefined && this.follows === undefined && this.pin.next > this.parts.positions.visible()) {
      this.offset = tip.endOffset
      this.lastSum = tip.endOffset === opened.groupsFrom ? undefined : tip.lastSum
      this.follows = this.parts.positions.visible() + 1
    }
    return opened
  }

  /** A segment was read to its end: it must be the one that was sealed. */
  private leave(segment: OpenedSegment, sealed: RetainedSegment): void {
    if (this.lastSum !== undefined && this.lastSum !== sealed.lastSum) {
      throw new Damage(segment.path, this.offset, "ChecksumMismatch", "the last group is not the sealed one")
    }
    this.moveTo(sealed.lastSequence + 1)
    this.closeSegment()
    this.open(segment.fileId)
    this.parts.log.lessNeeded()
  }

  private closeSegment(): void {
    // The pool still reads from it: closed now, another file could take its number.
    if (this.loading || this.segment === undefined) return
    const { close } = this.segment
    this.segment = undefined
    close()
  }

  /** The group at the offset, or, where a datasync lay between, at the next multiple of the alignment. */
  private find(segment: OpenedSegment, limit: number): "needs" | { readonly header: GroupHeader; readonly offset: number } {
    const direct = this.groupAt(segment, this.offset, limit)
    if (direct === "needs") return direct
    if (direct !== undefined) return { header: direct, offset: this.offset }
    const aligned = alignUp(this.offset, segment.header.alignment)
    const next = aligned === this.offset ? undefined : this.groupAt(segment, aligned, limit, this.offset)
    if (next === "needs") return next
    if (next !== undefined) {
      // What is not zero there is damage only in a segment that was sealed.
      if (segment.sealed === undefined || isZero(this.window, this.offset - this.from, aligned - this.from)) return { header: next, offset: aligned }
      throw new Damage(segment.path, this.offset, "Malformed", "padding is not zero")
    }
    throw new Damage(segment.path, this.offset, "ChecksumMismatch", `no valid group, in a segment that has them to byte ${limit}`)
  }

  /** With it the bytes from `start` on are in the window. */
  private groupAt(segment: OpenedSegment, offset: number, limit: number, start = offset): GroupHeader | "needs" | undefined {
    const before = offset - start
    if (offset + groupHeaderBytes > limit) return undefined
    if (!this.has(start, before + groupHeaderBytes, limit)) return "needs"
    const header = readGroupHeader(this.window, offset - this.from)
    if (header === undefined || header.epoch !== segment.header.epoch || offset + header.lengthBytes > limit) return undefined
    if (header.position !== segment.basePosition + offset - segment.groupsFrom) return undefined
    if (this.lastSum !== undefined && header.previousSum !== this.lastSum) return undefined
    if (!this.has(start, before + header.lengthBytes, limit)) return "needs"
    const at = offset - this.from
    return verifyGroup(crc32, segment.header.saltSum, segment.path, offset, this.window, at, header) ? header : undefined
  }

  private has(offset: number, length: number, limit: number): boolean {
    if (offset >= this.from && offset + length <= this.until) return true
    this.need = { offset, length, limit }
    return false
  }

  /** Sequences go on without a gap, but where the manifest says that an open gave some up. Groups written again may repeat what was read. */
  private chain(path: string, offset: number, header: GroupHeader): void {
    const { follows } = this
    if (follows === undefined || header.firstSequence <= follows || this.parts.positions.afterLost(follows) >= header.firstSequence) return
    throw new Damage(path, offset, "Malformed", `sequence ${header.firstSequence} follows ${follows - 1}`)
  }
}
