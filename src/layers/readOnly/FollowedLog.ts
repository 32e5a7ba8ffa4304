import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { HistoryDiverged } from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { decodeCurrent } from "../../domain/manifest/current.ts"
import { currentFileName, fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { SegmentMeta } from "../../domain/manifest/SegmentMeta.ts"
import type { RetainedSegment } from "../../services/LogSegment.ts"
import type { LogPin, LogTip, LogView } from "../../services/LogView.ts"
import { crc32 } from "../crc32.ts"
import type { SegmentFile } from "../feed/LogReader.ts"
import { readCurrentManifest, readWhole } from "../recovery/readState.ts"
import { openSegment } from "../recovery/scanLog.ts"
import { isSameDatabase } from "./openReadOnly.ts"
import { emptySegment, readOn, type SegmentEnd } from "./growingSegment.ts"

/** How often a look starts again because the writer moved on between two of its steps. */
const attemptsMax = 100
/** Files that are held for readers which have not come to them yet. */
const heldFilesMax = 64

/** A segment, by what the manifest last said of it and what was read. */
interface Followed extends SegmentEnd {
  readonly fileId: number
  /** As the manifest sealed it: its end is certain. */
  readonly isSealed: boolean
  readonly epoch: number
}

interface Pin extends LogPin {
  readonly onDropped: () => void
}

/** Open for all who read it, and for as long as it is held for those who will. */
interface SharedFile {
  readonly file: SegmentFile
  users: number
  isHeld: boolean
}

const noTip: LogTip = { fileId: 0, firstSequence: 0, basePosition: 0, endOffset: 0, lastSum: 0 }

/**
 * The log of a database that another process may be writing, as far as it was looked at: `look` goes on from there. It takes no lock and pins nothing of the writer's: what the
 * writer lets go of stays readable only where a reader here needs it and its file was opened before it went, as far as `heldBytesMax`.
 *
 * What is being written is never damage: the log ends before it, until a later look. A segment ends for certain where the manifest seals it, or where the next one says that the last
 * group before it was.
 */
export class FollowedLog implements LogView {
  state: ManifestState
  private readonly disk: SyncDisk
  private readonly directory: string
  private readonly heldBytesMax: number
  /** Runs when somebody begins to need what comes, and when nobody does any longer. */
  private readonly onFollowed: (isFollowed: boolean) => void
  /** Which manifest `state` is, and how much of it. */
  private manifest = ""
  /** In log order, those with groups and those that may still get some. */
  private followed: ReadonlyArray<Followed> = []
  private retained: ReadonlyArray<RetainedSegment> = []
  private end: LogTip = noTip
  private lastSequence = 0
  private readonly files = new Map<number, SharedFile>()
  private readonly pins = new Set<Pin>()
  private readonly listeners = new Set<() => void>()
  private failure: { readonly cause: unknown } | undefined = undefined

  /** `state` is that of an open; nothing of the log is looked at yet. */
  constructor(disk: SyncDisk, directory: string, state: ManifestState, heldBytesMax: number, onFollowed: (isFollowed: boolean) => void) {
    this.disk = disk
    this.directory = directory
    this.state = state
    this.heldBytesMax = heldBytesMax
    this.onFollowed = onFollowed
  }

  readonly segments = (): ReadonlyArray<RetainedSegment> => this.retained
  readonly tip = (): LogTip => this.end

  /** The last sequence the log is known to hold, or the tables do. */
  readonly visibleSequence = (): number => Math.max(this.lastSequence, this.state.flushedThrough.sequence)

  /** Where the next commit may be. */
  readonly nextSequence = (): number => {
    let next = this.visibleSequence() + 1
    for (const range of this.state.lostRanges) if (range.from <= next && next < range.to) next = range.to
    return next
  }

  /** Throws what the last look failed with. */
  readonly check = (): void => {
    if (this.failure !== undefined) throw this.failure.cause
  }

  /**
   * Goes on to where the log ends now. Bytes that are being written may look like damage, and a file that has gone like a missing one: such is believed when it stays so. Throws
   * `Damage`, `IoFailure`, `HistoryDiverged` where another database was put in its place, and then whoever follows the log fails with it too.
   */
  look(): void {
    try {
      this.lookPatiently()
      this.failure = undefined
    } catch (cause) {
      this.failure = { cause }
      this.moved()
      throw cause
    }
  }

  /** The file of a segment, shared with all who read it. Throws `Damage`, `IoFailure`. */
  readonly openSegment = (fileId: number): SegmentFile => {
    const shared = this.shared(fileId)
    shared.users++
    let isOpen = true
    const close = () => {
      if (!isOpen) return
      isOpen = false
      shared.users--
      this.closeUnused(fileId, shared)
    }
    return { ...shared.file, close }
  }

  readonly pin = (next: number, onDropped: () => void): LogPin => {
    const pin: Pin = {
      next,
      onDropped,
      release: () => {
        if (this.pins.delete(pin)) this.left()
      }
    }
    this.pins.add(pin)
    this.joined()
    return pin
  }

  readonly onMoved = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    this.joined()
    return () => {
      if (this.listeners.delete(listener)) this.left()
    }
  }

  readonly moved = (): void => {
    for (const listener of [...this.listeners]) listener()
  }

  /** Nothing is held for anybody any more; those who wait look around. */
  close(): void {
    this.letGo()
    this.moved()
  }

  // What is kept of the log is the writer's business.
  readonly keepFor = (): void => undefined
  readonly lessNeeded = (): void => undefined
  readonly droppable = (): ReadonlyArray<number> => []
  readonly forget = (): void => undefined

  /** Who has a pin and does not wait yet needs to be looked for as well: what it will come to may go before. */
  private get isFollowed(): boolean {
    return this.listeners.size + this.pins.size > 0
  }

  private joined(): void {
    if (this.listeners.size + this.pins.size === 1) this.onFollowed(true)
  }

  private left(): void {
    if (this.isFollowed) return
    this.onFollowed(false)
    this.letGo()
  }

  private lookPatiently(): void {
    let believed: string | undefined
    for (let attempt = 1; ; attempt++) {
      try {
        this.readManifest()
        this.readSegments()
        return
      } catch (cause) {
        const isMoving = cause instanceof IoFailure ? cause.code === "ENOENT" : cause instanceof Damage && cause.reason === "Missing"
        if (attempt < attemptsMax && isMoving) continue
        if (attempt < attemptsMax && cause instanceof Damage) {
          const seen = `${cause.file} ${cause.offsetBytes} ${cause.reason}`
          if (seen !== believed) {
            believed = seen
            continue
          }
        }
        throw cause
      }
    }
  }

  /** Only where it has changed: `CURRENT` names another one, or it has grown. */
  private readManifest(): void {
    const currentPath = `${this.directory}/${currentFileName}`
    const fileId = decodeCurrent(crc32, currentPath, readWhole(this.disk, currentPath))
    const path = `${this.directory}/${fileName("manifest", fileId)}`
    const stat = this.disk.stat(path)
    const manifest = `${path} ${stat?.sizeBytes}`
    if (stat !== undefined && manifest === this.manifest) return
    const content = readCurrentManifest(this.disk, this.directory, "read")
    if (content === undefined) throw new Damage(currentPath, 0, "Missing", "it was there a moment ago")
    if (!isSameDatabase(content.state, this.state)) {
      throw new HistoryDiverged({ sequence: this.visibleSequence(), detail: "another database is in the directory now" })
    }
    this.state = content.state
    // Named before it was read, so that what is written meanwhile is seen by the next look; one that was being written is looked at again.
    this.manifest = content.fileId === fileId && !content.torn ? manifest : ""
  }

  private readSegments(): void {
    const before = new Map(this.followed.map((segment) => [segment.fileId, segment]))
    const found: Array<Followed> = []
    for (const meta of [...this.state.segments.values()].sort((a, b) => a.fileId - b.fileId)) {
      const segment = this.read(meta, before.get(meta.fileId))
      const last = found.findLast(({ lastSequence }) => lastSequence !== 0)
      if (
        segment.lastSequence !== 0 &&
        last !== undefined &&
        !last.isSealed &&
        last.epoch === segment.epoch &&
        last.lastSum !== segment.firstPreviousSum
      ) {
        // Or it was read before its last groups were there: then another look finds them.
        const path = `${this.directory}/${fileName("log", last.fileId)}`
        throw new Damage(path, last.endOffset, "ChecksumMismatch", `no valid group, and segment ${segment.fileId} says that there is one`)
      }
      found.push(segment)
    }
    const named = new Set(found.map(({ fileId }) => fileId))
    // Let go of by the writer, and still open here. What an earlier epoch never sealed was written again by the open that followed, or is lost.
    const gone: Array<Followed> = []
    for (const segment of this.followed) {
      const shared = named.has(segment.fileId) ? undefined : this.files.get(segment.fileId)
      if (shared === undefined || segment.lastSequence === 0) continue
      if (segment.isSealed) gone.push(segment)
      else if (segment.epoch === this.state.epoch) gone.push({ ...segment, ...readOn(shared.file, segment), isSealed: true })
    }
    this.arrange([...gone, ...found])
  }

  private read(meta: SegmentMeta, known: Followed | undefined): Followed {
    const { basePosition = 0, epoch, fileId, sealed } = meta
    if (sealed !== undefined) {
      const isEmpty = sealed.firstSequence > sealed.lastSequence
      const { firstSequence, lastSequence, lastSum, lengthBytes } = sealed
      const ends = isEmpty ? { firstSequence: 0, lastSequence: 0 } : { firstSequence, lastSequence }
      return { fileId, epoch, isSealed: true, basePosition, endOffset: lengthBytes, lastSum, firstPreviousSum: known?.firstPreviousSum ?? 0, ...ends }
    }
    const { file } = this.shared(fileId)
    return { fileId, epoch, isSealed: false, ...readOn(file, known ?? emptySegment(file)) }
  }

  private arrange(followed: ReadonlyArray<Followed>): void {
    const isNamed = (fileId: number) => this.state.segments.has(fileId)
    const filled = followed.filter(({ fileId, lastSequence }) => lastSequence !== 0 && (isNamed(fileId) || this.files.has(fileId)))
    // Between two looks the writer may have let go of more than was open here: what is before such a hole is of no use.
    const hole = filled.findLastIndex(
      ({ fileId, lastSequence }, i) =>
        !isNamed(fileId) && this.afterLost(lastSequence + 1) < (filled[i + 1]?.firstSequence ?? this.state.flushedThrough.sequence + 1)
    )
    const kept = filled.slice(hole + 1)
    const before = this.end
    this.followed = followed
    this.end = kept.at(-1) ?? noTip
    this.lastSequence = kept.at(-1)?.lastSequence ?? 0
    this.hold(kept)
    this.retained = kept.slice(0, -1).map(({ endOffset, ...segment }) => ({ ...segment, bytes: endOffset, lastCommitMs: 0 }))
    const oldest = kept[0]?.firstSequence ?? this.nextSequence()
    let dropped = false
    for (const pin of this.pins) {
      if (this.afterLost(pin.next) >= oldest) continue
      dropped = true
      this.pins.delete(pin)
      pin.onDropped()
    }
    if (dropped) this.left()
    if (dropped || this.end.fileId !== before.fileId || this.end.endOffset !== before.endOffset) this.moved()
  }

  /** Opens what readers have not come to yet, oldest first, and closes what none of them needs any more. */
  private hold(filled: ReadonlyArray<Followed>): void {
    let floor = Infinity
    for (const pin of this.pins) if (pin.next < floor) floor = pin.next
    const wanted = new Set<number>()
    // The one that is written is read at each look, whoever waits.
    for (const { fileId, isSealed } of this.followed) if (!isSealed && this.isFollowed) wanted.add(fileId)
    let bytes = 0
    for (const { endOffset, fileId, lastSequence } of filled) {
      if (lastSequence < floor) continue
      bytes += endOffset
      if (bytes > this.heldBytesMax || wanted.size >= heldFilesMax) break
      wanted.add(fileId)
    }
    for (const fileId of wanted) this.shared(fileId).isHeld = true
    for (const [fileId, shared] of this.files) {
      if (wanted.has(fileId)) continue
      shared.isHeld = false
      this.closeUnused(fileId, shared)
    }
  }

  private shared(fileId: number): SharedFile {
    const open = this.files.get(fileId)
    if (open !== undefined) return open
    const meta = this.state.segments.get(fileId)
    if (meta === undefined) {
      const path = `${this.directory}/${fileName("log", fileId)}`
      throw new Damage(path, 0, "Missing", "the manifest does not name this log segment")
    }
    const file = openSegment(this.disk, this.directory, this.state, meta)
    const shared = { file: { ...file, close: () => file.handle.close() }, users: 0, isHeld: false }
    this.files.set(fileId, shared)
    return shared
  }

  private letGo(): void {
    for (const [fileId, shared] of this.files) {
      shared.isHeld = false
      this.closeUnused(fileId, shared)
    }
  }

  private closeUnused(fileId: number, shared: SharedFile): void {
    if (shared.isHeld || shared.users > 0 || this.files.get(fileId) !== shared) return
    this.files.delete(fileId)
    shared.file.close()
  }

  private afterLost(sequence: number): number {
    let after = sequence
    for (const range of this.state.lostRanges) if (range.from <= after && after < range.to) after = range.to
    return after
  }
}
