import type { DatabaseStats, Health } from "../../../services/Database.ts"
import { escapeText } from "../format/bytesText.ts"
import { formatBytes, formatCount, formatDuration, formatNoun } from "../format/numbers.ts"
import type { Paint } from "../format/paint.ts"
import { formatTable } from "../format/table.ts"
import { keptText, type KeyspaceSize } from "../verbs/keyspaces.ts"

interface Report {
  readonly values: DatabaseStats
  readonly keyspaces: ReadonlyArray<KeyspaceSize>
  readonly health: Health
}

export interface StatsStyle {
  readonly style: Paint
  /** Whether the numbers come from the database that writes: caches, amplification and the like are then shown; a reader's own would mislead. */
  readonly ownCounters: boolean
}

type Rows = ReadonlyArray<ReadonlyArray<string>>

/** That a look from outside is read-only goes without saying: it is no state of the database. */
const healthText = ({ reasons, state }: Health, own: boolean): string => {
  const told = own ? reasons : reasons.filter((reason) => !reason.startsWith("opened with readOnly"))
  return told.length > 0 ? `${state}: ${told.join("; ")}` : !own && state === "readOnly" ? "seen from outside, read-only" : state
}

/** Sections of aligned lines, for a person. */
export const formatStats = (report: Report, { ownCounters, style }: StatsStyle): Array<string> => {
  const { health, keyspaces, values } = report
  const section = (title: string, rows: Rows): Array<string> =>
    rows.length === 0 ? [] : ["", style("bold", title), ...formatTable(rows, ["left", "right", "right", "right"], "  ")]
  return [
    `${style("bold", escapeText(values.path))}  ${healthText(health, ownCounters)}`,
    ...section("commits", commitRows(values)),
    ...section("space on disk", spaceRows(values)),
    ...section("levels", levelRows(values)),
    ...section("kept of the past", retentionRows(values)),
    ...section("keyspaces", keyspaceRows(keyspaces)),
    ...(ownCounters
      ? [
          ...section("caches", cacheRows(values)),
          ...section("writing", writingRows(values)),
          ...section("readers and transactions", holderRows(values)),
          ...section("scrubbing", scrubRows(values))
        ]
      : []),
    // What it takes to look at it says how large an open is, whoever has it open.
    ...section(ownCounters ? "memory" : "memory of this look", memoryRows(values)),
    ...section("left alone after failures", breakerRows(values)),
    ...section("opening", openingRows(values)),
    ...(ownCounters
      ? []
      : [
          "",
          "The writer's memory, its caches, write amplification, transactions, snapshots and scrubbing are counted in the process that writes, and not visible from outside: ask db.stats there."
        ])
  ].map((line) => line.trimEnd())
}

const commitRows = ({ flushedSequence, memtables, visibleSequence }: DatabaseStats): Rows => [
  ["visible up to sequence", formatCount(visibleSequence)],
  ["in tables up to", formatCount(flushedSequence)],
  ["not yet in tables", formatNoun(memtables.entries, "entry", "entries")]
]

const shareOf = (part: number, whole: number): string => (whole === 0 ? "" : `${((100 * part) / whole).toFixed(1)} %`)

const spaceRows = ({ disk, space }: DatabaseStats): Rows => [
  ["tables", formatBytes(disk.tables), shareOf(disk.tables, disk.total)],
  [
    "value files",
    formatBytes(disk.valueFiles),
    shareOf(disk.valueFiles, disk.total),
    disk.valueFiles === 0 ? "" : `${formatBytes(disk.valueFilesLive)} live`
  ],
  ["log", formatBytes(disk.log), shareOf(disk.log, disk.total)],
  ["manifest", formatBytes(disk.manifest), shareOf(disk.manifest, disk.total)],
  ["total", formatBytes(disk.total)],
  ["set aside", space.reserve === 0 ? "nothing" : formatBytes(space.reserve), "", space.low ? "no room: writes are refused" : ""]
]

const levelRows = ({ levels }: DatabaseStats): Rows =>
  levels
    .filter((level) => level.tables > 0)
    .map((level) => [
      `level ${level.level}`,
      formatNoun(level.tables, "table"),
      formatBytes(level.bytes),
      formatNoun(level.entries, "entry", "entries")
    ])

const retentionRows = ({ retention }: DatabaseStats): Rows => [
  [
    "log",
    formatNoun(retention.logSegments, "file"),
    retention.logFromSequence === undefined ? "" : `commits from ${formatCount(retention.logFromSequence)} on`
  ],
  ["default keyspace readable from", retention.historyFromSequence === 0 ? "the beginning" : formatCount(retention.historyFromSequence)]
]

const keyspaceRows = (keyspaces: ReadonlyArray<KeyspaceSize>): Rows =>
  keyspaces.map((size) => [
    escapeText(size.name),
    formatBytes(size.bytes),
    size.entries === undefined ? "not readable" : `about ${formatNoun(size.entries, "entry", "entries")}`,
    keptText(size) === "" ? "" : `history ${keptText(size)}`
  ])

const hitRate = (hits: number, misses: number): string =>
  hits + misses === 0 ? "not asked yet" : `${((100 * hits) / (hits + misses)).toFixed(1)} % hits`

const cacheRows = ({ blockCache, valueCache }: DatabaseStats): Rows =>
  (
    [
      ["blocks", blockCache],
      ["values", valueCache]
    ] as const
  ).map(([name, cache]) => [name, formatBytes(cache.bytes), `of ${formatBytes(cache.capacityBytes)}`, hitRate(cache.hits, cache.misses)])

const writingRows = ({ commits, compactions, flushes, stalls, writeAmplification }: DatabaseStats): Rows => [
  ["write amplification", writeAmplification === 0 ? "nothing written yet" : writeAmplification.toFixed(2)],
  ["transactions", formatCount(commits.transactions), `${formatNoun(commits.groups, "group")}`, formatNoun(commits.syncs, "sync")],
  ["flushes", formatCount(flushes.count), formatBytes(flushes.bytes)],
  ["compactions", formatCount(compactions.count), `${formatBytes(compactions.bytesWritten)} written`, `${compactions.running} running`],
  ...(stalls.slowed + stalls.stopped === 0 ? [] : [["stalls", formatCount(stalls.slowed + stalls.stopped), formatDuration(stalls.totalMs)]])
]

const holderRows = ({ snapshots, transactions }: DatabaseStats): Rows => [
  [
    "open transactions",
    formatCount(transactions.open),
    transactions.oldestAgeMs === undefined ? "" : `oldest ${formatDuration(transactions.oldestAgeMs)}`
  ],
  ["conflicts", formatCount(transactions.conflicts), `${formatCount(transactions.retries)} retries`],
  ["open snapshots", formatCount(snapshots.open), snapshots.oldestAgeMs === undefined ? "" : `oldest ${formatDuration(snapshots.oldestAgeMs)}`]
]

const memoryParts: { readonly [Part in keyof Omit<DatabaseStats["memory"]["used"], "total">]: string } = {
  memtables: "  memtables",
  spareMemtables: "  kept for later memtables",
  validation: "  kept to validate transactions",
  readMemtables: "  memtables that are read",
  pendingLog: "  log to be written",
  tableIndexes: "  indexes of tables",
  jobs: "  flushes and compactions",
  snapshots: "  snapshots and transactions",
  blockCache: "  blocks",
  valueCache: "  values"
}

const memoryRows = ({ memory }: DatabaseStats): Rows => {
  const { budget, cacheCapacity, pressure, used } = memory
  const { total, ...parts } = used
  return [
    ["in use", formatBytes(total), budget === undefined ? "no budget" : `of ${formatBytes(budget)}`, pressure === "none" ? "" : `short: ${pressure}`],
    ...Object.entries(parts)
      .filter(([, bytes]) => bytes > 0)
      .map(([name, bytes]) => [memoryParts[name as keyof typeof parts], formatBytes(bytes)]),
    ["left for caches", formatBytes(cacheCapacity)]
  ]
}

const breakerRows = ({ breakers }: DatabaseStats): Rows =>
  breakers.map(({ failures, resource, since, state }) => [
    escapeText(resource),
    state,
    formatNoun(failures, "failure"),
    `since ${new Date(since).toISOString()}`
  ])

const scrubRows = ({ scrub }: DatabaseStats): Rows => {
  const last = scrub.lastFinished === undefined ? "no pass has ended yet" : `last ended ${new Date(scrub.lastFinished).toISOString()}`
  if (scrub.lastStarted === undefined) return []
  return [
    [scrub.running ? "a pass is under way" : "between passes", formatBytes(scrub.bytes), last],
    ...(scrub.damaged === 0 ? [] : [["damaged", formatNoun(scrub.damaged, "file")]])
  ]
}

const openingRows = ({ recovery }: DatabaseStats): Rows => [
  ["transactions replayed from the log", formatCount(recovery.replayedTransactions), formatBytes(recovery.replayedBytes)],
  ...(recovery.cutBytes === 0 ? [] : [["torn tail ignored", formatBytes(recovery.cutBytes), formatNoun(recovery.laterGroupsCut, "later group")]]),
  ["took", formatDuration(recovery.durationMs)]
]
