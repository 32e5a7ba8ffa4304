/** What CSV needs to know of all entries before the first line: whether keys and values are text, whether any expires, what the fields of values are. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ScanRange } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import type { ColumnSurvey } from "./columns.ts"
import type { Space } from "./moment.ts"
import { entryOf, rangeAfter } from "./walk.ts"

export interface SurveyCount {
  entries: number
  dataBytes: number
}

/** Goes over the entries until the columns are known. How many there are, where it went over all of them. */
export const surveyEntries = (spaces: ReadonlyArray<Space>, range: ScanRange, survey: ColumnSurvey, count: SurveyCount) =>
  Effect.gen(function* () {
    for (const { name, reads } of spaces) {
      let last: Uint8Array | undefined
      const look = (within: ScanRange, until: () => boolean) =>
        Stream.mapError(reads.scan(within, { expiry: true }), explain).pipe(
          Stream.takeUntil(until),
          Stream.runForEachArray((chunk) =>
            Effect.suspend(() => {
              for (const entry of chunk) {
                survey.add(entryOf(entry, name))
                count.entries++
                count.dataBytes += entry.key.length + entry.value.length
                last = entry.key
              }
              // Nothing here waits for anything, and the collector finishes its work between turns.
              return Effect.yieldNow
            })
          )
        )
      if (survey.needsValues) yield* look(range, () => survey.isDecided || !survey.needsValues)
      // Values are half of the work, and not read any more.
      if (!survey.isDecided && !survey.needsValues) yield* look({ ...rangeAfter(range, last), keysOnly: true }, () => survey.isDecided)
      if (survey.isDecided) return undefined
    }
    return count.entries
  })
