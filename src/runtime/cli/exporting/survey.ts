/** What CSV needs to know of all entries before the first line: whether keys and values are text, whether any expires, what the fields of values are. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ScanRange } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import type { ColumnSurvey } from "./columns.ts"
import type { Space } from "./moment.ts"
import { entryOf } from "./walk.ts"

export interface SurveyCount {
  entries: number
  dataBytes: number
}

/** Goes over the entries until the columns are known. How many there are, where it went over all of them. */
export const surveyEntries = (spaces: ReadonlyArray<Space>, range: ScanRange, survey: ColumnSurvey, count: SurveyCount) =>
  Effect.gen(function* () {
    for (const { name, reads } of spaces) {
      if (survey.isDecided) return undefined
      const entries = Stream.mapError(reads.scan(range, { expiry: true }), explain)
      yield* entries.pipe(
        Stream.takeUntil(() => survey.isDecided),
        Stream.runForEachArray((chunk) =>
          Effect.suspend(() => {
            for (const entry of chunk) {
              survey.add(entryOf(entry, name))
              count.entries++
              count.dataBytes += entry.key.length + entry.value.length
            }
            // Nothing here waits for anything, and the collector finishes its work between turns.
            return Effect.yieldNow
          })
        )
      )
    }
    return survey.isDecided ? undefined : count.entries
  })
