import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DatabaseShape, DatabaseStats, Health } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { paint } from "../format/paint.ts"
import { Output } from "../Output.ts"
import { openReader, printResult, type Shared, usage } from "../shared.ts"
import { durationFlag } from "../timeText.ts"
import { formatStats } from "../watching/formatStats.ts"
import { keyspacesJson, type KeyspaceSize, keyspaceSizes } from "./keyspaces.ts"

export interface StatsOptions {
  readonly watch: boolean
  readonly interval: Option.Option<string>
  readonly count: Option.Option<number>
  readonly salvage: boolean
}

/** Everything that is told of a database, from one moment. */
export interface StatsReport {
  readonly values: DatabaseStats
  readonly keyspaces: ReadonlyArray<KeyspaceSize>
  readonly health: Health
}

export const gatherStats = Effect.fnUntraced(function* (db: DatabaseShape): Effect.fn.Return<StatsReport, CliFailure> {
  return { values: yield* db.stats, keyspaces: yield* keyspaceSizes(db), health: yield* db.health }
})

/** What counts within the process that writes: a read-only look at its files has no such numbers, and its own zeros would be none. */
const countersOfTheWriter = [
  "durableSequence",
  "blockCache",
  "valueCache",
  "commits",
  "flushes",
  "compactions",
  "writeAmplification",
  "stalls",
  "transactions",
  "snapshots",
  "scrub"
] as const

/** As JSON, with nothing that a read-only look cannot know. */
export const statsJson = ({ health, keyspaces, values }: StatsReport): Record<string, unknown> => {
  const known: Record<string, unknown> = { ...values }
  for (const name of countersOfTheWriter) delete known[name]
  // Memory of the reader's own.
  known["memtables"] = { entries: values.memtables.entries }
  return { ...known, keyspaces: keyspacesJson(keyspaces), health, notVisible: countersOfTheWriter }
}

const intervalDefaultMs = 1000
const intervalMinMs = 100

export const stats = Effect.fnUntraced(function* (shared: Shared, options: StatsOptions) {
  const output = yield* Output
  const intervalMs = Option.isSome(options.interval) ? yield* durationFlag("--interval", options.interval.value) : intervalDefaultMs
  if (!options.watch && (Option.isSome(options.interval) || Option.isSome(options.count)))
    return yield* usage(`--${Option.isSome(options.interval) ? "interval" : "count"} goes with --watch`, "Add --watch.")
  if (intervalMs < intervalMinMs) return yield* usage("--interval is too short", "Give 100ms or more.")
  if (Option.isSome(options.count) && options.count.value < 1) return yield* usage("--count is less than one", "Give 1 or more.")
  const { db, salvaged } = yield* openReader(shared, { salvage: options.salvage })
  if (!options.watch) {
    const report = yield* gatherStats(db)
    const lines = formatStats(report, { style: paint(output.stdoutColours), ownCounters: false })
    return yield* printResult(shared, lines, { ...statsJson(report), ...salvaged })
  }
  const { watchStats } = yield* Effect.promise(() => import("../watching/watchStats.ts"))
  yield* watchStats(shared, db, { intervalMs, count: Option.getOrElse(options.count, () => Number.POSITIVE_INFINITY) })
})
