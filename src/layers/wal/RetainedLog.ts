import type { ResolvedOptions } from "../../domain/options/Options.ts"
import type { RetainedSegment } from "../../services/LogSegment.ts"
import type { LogPin, LogTip, LogView } from "../../services/LogView.ts"

interface Pin extends LogPin {
  readonly onDropped: () => void
}

/** The segments that are no longer written, and for whom they are kept: recovery, the retention, durable cursors, readers of the feed. */
export class RetainedLog implements LogView {
  readonly tip: () => LogTip
  private readonly retention: ResolvedOptions["retention"]
  private retained: ReadonlyArray<RetainedSegment>
  private readonly pins = new Set<Pin>()
  private readonly listeners = new Set<() => void>()
  private cursorFloor: (() => number) | undefined = undefined
  private onLess: (() => void) | undefined = undefined

  constructor(retention: ResolvedOptions["retention"], retained: ReadonlyArray<RetainedSegment>, tip: () => LogTip) {
    this.retention = retention
    this.retained = retained
    this.tip = tip
  }

  readonly segments = (): ReadonlyArray<RetainedSegment> => this.retained

  get bytes(): number {
    return this.retained.reduce((sum, segment) => sum + segment.bytes, 0)
  }

  push(segment: RetainedSegment): void {
    this.retained = [...this.retained, segment]
  }

  readonly lessNeeded = (): void => {
    this.onLess?.()
  }

  readonly pin = (next: number, onDropped: () => void): LogPin => {
    const pin: Pin = {
      next,
      onDropped,
      release: () => {
        if (this.pins.delete(pin)) this.onLess?.()
      }
    }
    this.pins.add(pin)
    return pin
  }

  readonly onMoved = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly moved = (): void => {
    if (this.listeners.size > 0) for (const listener of [...this.listeners]) listener()
  }

  readonly keepFor = (floor: () => number, onLess: () => void): void => {
    this.cursorFloor = floor
    this.onLess = onLess
  }

  readonly droppable = (flushed: number, nowMs: number): ReadonlyArray<number> => {
    if (this.cursorFloor === undefined) return []
    const { retained } = this
    let kept = 0
    while (kept < retained.length && retained[kept]!.lastSequence <= flushed && nowMs - retained[kept]!.lastCommitMs >= this.retention.logMs) kept++
    let needed = this.cursorFloor()
    for (const pin of this.pins) if (pin.next < needed) needed = pin.next
    // What is before `kept` stays for cursors and readers only. Where that is too much, the oldest goes: a reader that fell behind must not fill the disk.
    let bytes = 0
    while (kept > 0 && retained[kept - 1]!.lastSequence >= needed) {
      bytes += retained[kept - 1]!.bytes
      if (bytes > this.retention.cursorBytes) break
      kept--
    }
    return retained.slice(0, kept).map((segment) => segment.fileId)
  }

  readonly forget = (fileIds: ReadonlyArray<number>): void => {
    if (fileIds.length === 0) return
    let lost = 0
    for (const segment of this.retained) if (fileIds.includes(segment.fileId)) lost = Math.max(lost, segment.lastSequence)
    this.retained = this.retained.filter((segment) => !fileIds.includes(segment.fileId))
    for (const pin of this.pins) {
      if (pin.next > lost) continue
      this.pins.delete(pin)
      pin.onDropped()
    }
    // Those that wait must hear of it too.
    this.moved()
  }
}
