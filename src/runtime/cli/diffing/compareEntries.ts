import * as Effect from "effect/Effect"
import { compareBytes } from "../../../domain/keys/compareBytes.ts"
import type { Entry } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import type { EntryPull } from "./Side.ts"

export interface Counts {
  added: number
  removed: number
  changed: number
  same: number
  /** Of keys and values looked at, both sides together. */
  bytes: number
}

export const noCounts = (): Counts => ({ added: 0, removed: 0, changed: 0, same: 0, bytes: 0 })

/** What one key is on the two sides: at least one is there. */
export interface Difference {
  readonly a: Entry | undefined
  readonly b: Entry | undefined
}

/** The same value, for as long. */
const isSame = (a: Entry, b: Entry): boolean =>
  a.expiresAt === b.expiresAt && a.value.length === b.value.length && Buffer.compare(a.value, b.value) === 0

/** How many entries are compared before the event loop turns. */
const slice = 4096

/**
 * Walks both sides in key order, once, and hands over what differs, a batch at a time: also an empty one, so that a long stretch without a difference can be stopped.
 */
export const compareEntries = Effect.fnUntraced(function* <E>(
  left: EntryPull,
  right: EntryPull,
  counts: Counts,
  onDifferences: (differences: ReadonlyArray<Difference>) => Effect.Effect<void, E>
): Effect.fn.Return<void, E | CliFailure> {
  let a = yield* left.next
  let b = yield* right.next
  let ai = 0
  let bi = 0
  while (a !== undefined || b !== undefined) {
    const differences: Array<Difference> = []
    for (let n = 0; n < slice; n++) {
      const entryA = a?.[ai]
      const entryB = b?.[bi]
      // The end of a chunk is not the end of a side.
      if ((a !== undefined && entryA === undefined) || (b !== undefined && entryB === undefined)) break
      const order = entryA === undefined ? 1 : entryB === undefined ? -1 : compareBytes(entryA.key, entryB.key)
      if (entryA !== undefined && order <= 0) {
        ai++
        counts.bytes += entryA.key.length + entryA.value.length
      }
      if (entryB !== undefined && order >= 0) {
        bi++
        counts.bytes += entryB.key.length + entryB.value.length
      }
      if (entryA === undefined && entryB === undefined) break
      if (order < 0) {
        counts.removed++
        differences.push({ a: entryA, b: undefined })
      } else if (order > 0) {
        counts.added++
        differences.push({ a: undefined, b: entryB })
      } else if (entryA !== undefined && entryB !== undefined && !isSame(entryA, entryB)) {
        counts.changed++
        differences.push({ a: entryA, b: entryB })
      } else counts.same++
    }
    yield* onDifferences(differences)
    if (a !== undefined && ai === a.length) {
      a = yield* left.next
      ai = 0
    }
    if (b !== undefined && bi === b.length) {
      b = yield* right.next
      bi = 0
    }
  }
})
