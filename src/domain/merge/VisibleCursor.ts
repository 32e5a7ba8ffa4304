import { CursorState } from "../EntryCursor.ts"
import type { BlockNeed, EntryCursor } from "../EntryCursor.ts"
import { compareRanges, equalRanges } from "../keys/compareBytes.ts"
import { Kind, sequenceMax } from "../keys/kinds.ts"
import type { FragmentedTombstones } from "../table/RangeTombstones.ts"

const none = new Uint8Array(0)
/** So many hidden versions of one key are stepped over one by one; then a seek is cheaper. */
const stepsBeforeSeek = 16

/** Bounds of a scan, as bytes. `gt` wins over `gte`, `lt` over `lte`, where both are given. */
export interface Bounds {
  readonly gte?: Uint8Array | undefined
  readonly gt?: Uint8Array | undefined
  readonly lte?: Uint8Array | undefined
  readonly lt?: Uint8Array | undefined
}

export interface VisibleOptions {
  readonly keyspace: number
  readonly bounds?: Bounds | undefined
  /** The snapshot: versions above it do not exist. */
  readonly sequence: number
  /** Engine time of the snapshot in ms: a version is visible iff it has no expiry or `expiresAt > timeMs`. */
  readonly timeMs: number
  readonly reverse?: boolean | undefined
  /** At most so many entries. */
  readonly limit?: number | undefined
  /** Range tombstones of all sources. Empty ones are left aside; without any they cost nothing. */
  readonly tombstones?: ReadonlyArray<FragmentedTombstones> | undefined
}

const successor = (key: Uint8Array): Uint8Array => {
  const after = new Uint8Array(key.length + 1)
  after.set(key)
  return after
}

/**
 * What a user sees at a snapshot: of each key the newest version at or below the snapshot's sequence, if that is a put, not covered by a newer range tombstone
 * of the snapshot, and not expired. An expired or deleted newest version hides the older ones.
 *
 * `advance` moves to the next visible entry (the first one, at first) and returns the state; at `needsBlock` answer `need` by `supply`, which returns the new state. At
 * `atEntry` the fields below describe the entry until the next `advance`.
 *
 * Going backward the oldest version of a key comes first, and which one is visible is only known at the key's end: a copy of the key and the *range* of the best
 * value so far are kept while the source moves on; that value is copied only where the source leaves the block it lies in.
 */
export class VisibleCursor {
  state: CursorState = CursorState.atEnd
  need: BlockNeed | undefined = undefined
  keyBytes: Uint8Array = none
  keyStart = 0
  keyEnd = 0
  sequence = 0
  expiresAt = 0
  isPointer = false
  valueBytes: Uint8Array = none
  valueStart = 0
  valueEnd = 0

  readonly #source: EntryCursor
  readonly #keyspace: number
  readonly #low: Uint8Array
  readonly #high: Uint8Array | undefined
  readonly #snapshot: number
  readonly #timeMs: number
  readonly #reverse: boolean
  readonly #tombstones: ReadonlyArray<FragmentedTombstones>
  #left: number
  #started = false
  #done = false
  /** Forward: the source stands on an entry that was already handled and must be left before anything else. */
  #consumed = false
  /** The user key being decided, copied; `#keyLength` is -1 before the first. */
  #key = new Uint8Array(64)
  #keyLength = -1
  /** Forward: hidden versions passed one by one since the last decision or seek. */
  #passed = 0
  /** Backward: the newest version of `#key` within the snapshot so far. */
  #candidate = false
  #candidateKind = 0

  constructor(source: EntryCursor, options: VisibleOptions) {
    const bounds = options.bounds ?? {}
    this.#source = source
    this.#keyspace = options.keyspace
    // x‖00 is the direct successor of x in byte order: every bound becomes [low, high).
    this.#low = bounds.gt !== undefined ? successor(bounds.gt) : (bounds.gte ?? none)
    this.#high = bounds.lt ?? (bounds.lte !== undefined ? successor(bounds.lte) : undefined)
    this.#snapshot = options.sequence
    this.#timeMs = options.timeMs
    this.#reverse = options.reverse ?? false
    this.#tombstones = (options.tombstones ?? []).filter((tombstones) => !tombstones.isEmpty)
    this.#left = options.limit ?? Infinity
  }

  advance(): CursorState {
    const source = this.#source
    if (this.#done || this.#left <= 0) return this.#end()
    if (!this.#started) {
      this.#started = true
      if (!this.#reverse) source.seek(this.#keyspace, this.#low, sequenceMax)
      else if (this.#high !== undefined) source.seekBefore(this.#keyspace, this.#high, sequenceMax)
      else source.seekBefore(this.#keyspace + 1, none, sequenceMax)
    } else if (this.#consumed) {
      this.#consumed = false
      source.next()
    }
    return this.#reverse ? this.#backward() : this.#forward()
  }

  supply(block: Uint8Array): CursorState {
    this.#source.supply(block)
    return this.#reverse ? this.#backward() : this.#forward()
  }

  #end(): CursorState {
    this.#done = true
    this.need = undefined
    return (this.state = CursorState.atEnd)
  }

  #wait(): CursorState {
    this.need = this.#source.need
    return (this.state = CursorState.needsBlock)
  }

  #emit(): CursorState {
    this.need = undefined
    this.#left--
    return (this.state = CursorState.atEntry)
  }

  #forward(): CursorState {
    const source = this.#source
    const high = this.#high
    for (;;) {
      if (source.state !== CursorState.atEntry) return source.state === CursorState.atEnd ? this.#end() : this.#wait()
      const bytes = source.keyBytes
      const start = source.keyStart
      const length = source.keyEnd - start
      if (source.keyspace !== this.#keyspace) return this.#end()
      if (length === this.#keyLength && equalRanges(bytes, start, this.#key, 0, length)) {
        if (++this.#passed < stepsBeforeSeek) source.next()
        else {
          // Sequence 0 is the oldest there can be: one more step leaves the key.
          this.#passed = 0
          if (source.sequence === 0) source.next()
          else source.seek(this.#keyspace, this.#key.subarray(0, length), 0)
        }
        continue
      }
      if (high !== undefined && compareRanges(bytes, start, source.keyEnd, high, 0, high.length) >= 0) return this.#end()
      if (source.sequence > this.#snapshot) {
        // Too new; the key is not decided yet, so it is not remembered. Many versions above an old snapshot are jumped over.
        if (++this.#passed < stepsBeforeSeek) source.next()
        else {
          this.#passed = 0
          source.seek(this.#keyspace, bytes.slice(start, start + length), this.#snapshot)
        }
        continue
      }
      this.#remember(bytes, start, length)
      this.#passed = 0
      if (this.#isVisible(source.kind, source.expiresAt, source.sequence, bytes, start, source.keyEnd)) {
        this.keyBytes = bytes
        this.keyStart = start
        this.keyEnd = source.keyEnd
        this.#take(source)
        this.#consumed = true
        return this.#emit()
      }
      source.next()
    }
  }

  #backward(): CursorState {
    const source = this.#source
    for (;;) {
      const state = source.state
      if (state === CursorState.needsBlock) {
        this.#keepValue()
        return this.#wait()
      }
      const within = state === CursorState.atEntry && source.keyspace === this.#keyspace
      const bytes = source.keyBytes
      const start = source.keyStart
      const length = source.keyEnd - start
      if (!within || length !== this.#keyLength || !equalRanges(bytes, start, this.#key, 0, length)) {
        // The key's versions are all seen (or there was none yet): this is the moment to decide. The source already stands on the next key and is not moved.
        if (this.#candidate) {
          this.#candidate = false
          const key = this.#key
          if (this.#isVisible(this.#candidateKind, this.expiresAt, this.sequence, key, 0, this.#keyLength)) {
            this.keyBytes = key
            this.keyStart = 0
            this.keyEnd = this.#keyLength
            // The key handed out stays as it is until the next move, which remembers another one elsewhere.
            return this.#emit()
          }
        }
        if (!within || compareRanges(bytes, start, source.keyEnd, this.#low, 0, this.#low.length) < 0) return this.#end()
        this.#remember(bytes, start, length)
      }
      if (source.sequence <= this.#snapshot) {
        this.#candidate = true
        this.#candidateKind = source.kind
        this.#take(source)
      }
      source.prev()
    }
  }

  #isVisible(kind: number, expiresAt: number, sequence: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (kind !== Kind.put || (expiresAt !== 0 && expiresAt <= this.#timeMs)) return false
    const tombstones = this.#tombstones
    for (let i = 0; i < tombstones.length; i++) {
      if (tombstones[i]!.covering(this.#keyspace, bytes, start, end, this.#snapshot) > sequence) return false
    }
    return true
  }

  /** The source is about to leave a block, after which that may change; the value it showed is copied, if it is still wanted. */
  #keepValue(): void {
    if (!this.#candidate) return
    this.valueBytes = this.valueBytes.slice(this.valueStart, this.valueEnd)
    this.valueEnd -= this.valueStart
    this.valueStart = 0
  }

  #take(source: EntryCursor): void {
    this.sequence = source.sequence
    this.expiresAt = source.expiresAt
    this.isPointer = source.isPointer
    this.valueBytes = source.valueBytes
    this.valueStart = source.valueStart
    this.valueEnd = source.valueEnd
  }

  #remember(bytes: Uint8Array, start: number, length: number): void {
    if (length > this.#key.length) this.#key = new Uint8Array(length * 2)
    const key = this.#key
    for (let i = 0; i < length; i++) key[i] = bytes[start + i]!
    this.#keyLength = length
  }
}
