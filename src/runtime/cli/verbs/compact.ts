import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { WorkOptions, WorkProgress } from "../../../services/WorkProgress.ts"
import { explain } from "../explain.ts"
import { formatBytes, formatDuration } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { openWriter, parseKey, printResult, type Shared } from "../shared.ts"

export interface CompactOptions {
  readonly gte: Option.Option<string>
  readonly lt: Option.Option<string>
}

/** Moves the range to its lowest level, which gives the space of deleted and overwritten entries back. Reads and the data are the same before and after. */
export const compact = Effect.fnUntraced(function* (shared: Shared, options: CompactOptions) {
  const output = yield* Output
  const gte = Option.isSome(options.gte) ? { gte: yield* parseKey(shared, options.gte.value, "bound --gte") } : {}
  const lt = Option.isSome(options.lt) ? { lt: yield* parseKey(shared, options.lt.value, "bound --lt") } : {}
  const { db } = yield* openWriter(shared, { create: false })
  const before = yield* db.stats
  const startMs = performance.now()
  const range = { ...gte, ...lt, ...(Option.isSome(shared.keyspace) ? { keyspace: shared.keyspace.value } : {}) }
  let progress: WorkProgress | undefined
  const watch: WorkOptions = {
    onStart: (started) => {
      progress = started
    }
  }
  yield* withProgress(
    () => ({
      verb: `compacting ${shared.path}`,
      done: 0,
      noun: ["file", "files"],
      bytes: progress?.bytes() ?? 0,
      bytesTotal: progress?.bytesTotal(),
      bytesOnly: true
    }),
    shared.json,
    Effect.mapError(db.compact(Object.keys(range).length === 0 ? undefined : range, watch), explain)
  ).pipe(
    Effect.onInterrupt(() =>
      output.note("Stopped. Nothing is lost: the tables are as they were or as they should be. Run the same command to go on.")
    )
  )
  const ms = performance.now() - startMs
  const after = yield* db.stats
  yield* printResult(
    shared,
    [
      `compacted ${shared.path} in ${formatDuration(ms)}`,
      ...formatTable(
        [
          ["", "before", "after"],
          ["tables", formatBytes(before.disk.tables), formatBytes(after.disk.tables)],
          ["value files", formatBytes(before.disk.valueFiles), formatBytes(after.disk.valueFiles)],
          ["log", formatBytes(before.disk.log), formatBytes(after.disk.log)],
          ["total", formatBytes(before.disk.total), formatBytes(after.disk.total)]
        ],
        ["left", "right", "right"],
        "  "
      )
    ],
    { durationMs: Math.round(ms), before: before.disk, after: after.disk }
  )
})
