import * as Effect from "effect/Effect"
import { explain } from "../explain.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { withWaiting } from "../waiting.ts"
import { openReader, printResult, type Shared } from "../shared.ts"

/** Reads and checks every block of every file, the manifest and the log; the first damaged one ends it with exit code 5. */
export const verify = Effect.fnUntraced(function* (shared: Shared) {
  const { db } = yield* openReader(shared)
  const startMs = performance.now()
  const report = yield* withWaiting(`verifying ${shared.path}`, Effect.mapError(db.verify, explain))
  const ms = performance.now() - startMs
  yield* printResult(
    shared,
    [
      `${shared.path} is sound: every checksum holds`,
      ...formatTable(
        [
          ["tables", formatCount(report.tables)],
          ["value files", formatCount(report.valueFiles)],
          ["blocks", formatCount(report.blocks)],
          ["entries", formatCount(report.entries)],
          ["log segments", formatCount(report.logSegments)],
          ["read", formatBytes(report.bytes + report.logBytes)],
          ["took", formatDuration(ms)],
          ["rate", formatByteRate(report.bytes + report.logBytes, ms)]
        ],
        ["left", "right"],
        "  "
      )
    ],
    { sound: true, ...report, milliseconds: Math.round(ms) }
  )
})
