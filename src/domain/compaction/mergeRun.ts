import { CursorState } from "../EntryCursor.ts"
import type { BlockNeed, EntryCursor } from "../EntryCursor.ts"
import { compareRanges, equalRanges } from "../keys/compareBytes.ts"
import { Kind, sequenceMax } from "../keys/kinds.ts"
import type { StepMachine, StepRequest } from "../steps.ts"
import { successor } from "./KeySpan.ts"
import type { KeyRange } from "./KeySpan.ts"
import type { OutputTables } from "./OutputTables.ts"
import { Verdict } from "./stripes.ts"
import type { VersionRule } from "./stripes.ts"

/** About 1 to 2 ms of work between two pauses. */
const entriesPerPause = 1_024
const bytesPerPause = 512 * 1024

const pause: StepRequest = { step: "pause" }
const none = new Uint8Array(0)

/** What becomes of values on their way through a job. */
export interface ValuePlacer {
  /** Whether the put at the cursor gets a new place. Cheap: asked for each. */
  readonly wants: (entry: EntryCursor) => boolean
  /** Writes the value and returns its encoded pointer, good until the next call. */
  readonly place: (entry: EntryCursor) => StepMachine<Uint8Array>
}

export interface MergeRun {
  readonly cursor: EntryCursor
  readonly range: KeyRange
  readonly rule: VersionRule
  readonly output: OutputTables
  readonly values: ValuePlacer
  /** The verified content of a block the cursor waits for; left out where all is in memory. */
  readonly block?: (need: BlockNeed) => StepMachine<Uint8Array>
}

/** The loop of flush and compaction: every entry of the range in order, judged, and what is kept written. Returns how many entries were read. */
export function* mergeRun({ block, cursor, output, range, rule, values }: MergeRun): StepMachine<number> {
  const { from, to } = range
  let key = new Uint8Array(64)
  let keyLength = -1
  let keyspace = -1
  let entriesRead = 0
  let entriesLeft = entriesPerPause
  let bytesLeft = bytesPerPause
  if (from === undefined) cursor.seekFirst()
  else cursor.seek(from.keyspace, from.key, sequenceMax)
  for (;;) {
    if (cursor.state !== CursorState.atEntry) {
      if (cursor.state === CursorState.atEnd) break
      cursor.supply(yield* block!(cursor.need!))
      continue
    }
    const { keyBytes, keyEnd, keyStart } = cursor
    const length = keyEnd - keyStart
    if (length !== keyLength || cursor.keyspace !== keyspace || !equalRanges(keyBytes, keyStart, key, 0, length)) {
      if (to !== undefined && (cursor.keyspace - to.keyspace || compareRanges(keyBytes, keyStart, keyEnd, to.key, 0, to.key.length)) >= 0) break
      if (output.mustCut(cursor.keyspace, keyBytes, keyStart, keyEnd)) {
        // Directly after the last key, so that a range tombstone cut here ends at a bound that is known to be inclusive.
        yield* output.endBefore(
          cursor.keyspace === keyspace ? successor({ keyspace, key: key.subarray(0, keyLength) }) : { keyspace: cursor.keyspace, key: none }
        )
      }
      if (length > key.length) key = new Uint8Array(length * 2)
      for (let i = 0; i < length; i++) key[i] = keyBytes[keyStart + i]!
      keyLength = length
      keyspace = cursor.keyspace
      rule.startKey(keyspace, key, 0, length)
    }
    entriesRead++
    const verdict = rule.decide(cursor.sequence, cursor.kind, cursor.expiresAt)
    if (verdict !== Verdict.drop) {
      const sequence = verdict === Verdict.keepElided ? 0 : cursor.sequence
      if (cursor.kind === Kind.put && values.wants(cursor)) {
        const pointer = yield* values.place(cursor)
        output.add(cursor, sequence, true, pointer, 0, pointer.length)
      } else output.add(cursor, sequence, cursor.isPointer, cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
      if (output.isWriteDue) yield* output.write()
    }
    bytesLeft -= cursor.valueEnd - cursor.valueStart
    if (--entriesLeft <= 0 || bytesLeft <= 0) {
      entriesLeft = entriesPerPause
      bytesLeft = bytesPerPause
      yield pause
    }
    cursor.next()
  }
  yield* output.endBefore(undefined)
  return entriesRead
}
