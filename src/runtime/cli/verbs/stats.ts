import * as Effect from "effect/Effect"
import type { DatabaseStats, Health, KeyspaceInfo } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import { escapeText } from "../format/bytesText.ts"
import { formatBytes, formatCount, formatDuration, formatNoun } from "../format/numbers.ts"
import { type Paint, paint } from "../format/paint.ts"
import { formatTable } from "../format/table.ts"
import { Output } from "../Output.ts"
import { openReader, printResult, type Shared } from "../shared.ts"

export const stats = Effect.fnUntraced(function* (shared: Shared) {
  const output = yield* Output
  const { db } = yield* openReader(shared)
  const values = yield* db.stats
  const keyspaces = yield* Effect.mapError(db.keyspaces, explain)
  const health = yield* db.health
  yield* printResult(shared, formatStats(values, keyspaces, health, paint(output.stdoutColours)), { ...values, keyspaces, health })
})

/** What a read-only open can know of a database: its files, and what opening it found. Counters of a live writer are the writer's own. */
export const formatStats = (values: DatabaseStats, keyspaces: ReadonlyArray<KeyspaceInfo>, health: Health, style: Paint): Array<string> => {
  const { disk, memtables, recovery } = values
  const section = (title: string, rows: ReadonlyArray<ReadonlyArray<string>>): Array<string> =>
    rows.length === 0 ? [] : ["", style("bold", title), ...formatTable(rows, ["left", "right", "right"], "  ")]
  return [
    `${style("bold", values.path)}  ${health.state}${health.reasons.length === 0 ? "" : `: ${health.reasons.join("; ")}`}`,
    ...section("commits", [
      ["visible up to sequence", formatCount(values.visibleSequence)],
      ["in tables up to", formatCount(values.flushedSequence)],
      ["not yet in tables", formatNoun(memtables.entries, "entry", "entries"), `${formatBytes(memtables.bytes)} of memory`]
    ]),
    ...section("space on disk", [
      ["tables", formatBytes(disk.tables)],
      ["value files", formatBytes(disk.valueFiles), disk.valueFiles === 0 ? "" : `${formatBytes(disk.valueFilesLive)} live`],
      ["log", formatBytes(disk.log)],
      ["manifest", formatBytes(disk.manifest)],
      ["total", formatBytes(disk.total)]
    ]),
    ...section(
      "levels",
      values.levels
        .filter((level) => level.tables > 0)
        .map((level) => [`level ${level.level}`, formatNoun(level.tables, "table"), formatBytes(level.bytes)])
    ),
    ...section(
      "keyspaces",
      keyspaces.map((keyspace) => [escapeText(keyspace.name), formatBytes(keyspace.tableBytes)])
    ),
    ...section("opening", [
      ["transactions replayed from the log", formatCount(recovery.replayedTransactions), formatBytes(recovery.replayedBytes)],
      ...(recovery.cutBytes === 0 ? [] : [["torn tail ignored", formatBytes(recovery.cutBytes), formatNoun(recovery.laterGroupsCut, "later group")]]),
      ["took", formatDuration(recovery.durationMs)]
    ])
  ].map((line) => line.trimEnd())
}
