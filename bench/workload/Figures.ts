import type { DatabaseStats, Durability } from "../../src/services/Database.ts"
import type { LatencyFigures } from "./Latency.ts"

/** What one run of a case measured: one line of JSON. */
export interface Figures {
  readonly case: string
  readonly about: string
  readonly entries: number
  readonly operations: number
  readonly valueBytes: number
  readonly durability: Durability
  readonly operationsPerSecond: number
  /** Writing cases: until everything is in tables and compaction is idle. */
  readonly operationsPerSecondUntilIdle: number
  readonly mebibytesPerSecondUntilIdle: number
  /** Until idle; as the CPU times and the delays of the event loop. */
  readonly seconds: number
  /** Of the main thread, for the operations alone. On a machine shared with others this says more than the time: it is what they take away that is missing. */
  readonly mainCpuSeconds: number
  readonly userCpuSeconds: number
  readonly systemCpuSeconds: number
  readonly loopDelayP99Ms: number
  readonly loopDelayMaxMs: number
  /** Of single operations, where the case times them. */
  readonly latencyUs?: LatencyFigures
  readonly peakResidentBytes: number
  readonly openMs: number
  readonly reopenMs: number
  readonly memtableBytes: number
  readonly cacheBytes: number
  readonly valueCacheBytes: number
  readonly levels: ReadonlyArray<{ readonly tables: number; readonly bytes: number }>
  readonly diskBytes: number
  readonly blockCache: { readonly hits: number; readonly misses: number }
  readonly writeAmplification: number
  readonly stalls: DatabaseStats["stalls"]
  readonly commits: DatabaseStats["commits"]
  readonly flushes: number
  readonly compactions: number
  readonly system: { readonly node: string; readonly arch: string; readonly cpus: number; readonly load: number }
}

const rate = (value: number): string =>
  value >= 1e6 ? `${(value / 1e6).toFixed(2)} M/s` : value >= 1e3 ? `${(value / 1e3).toFixed(1)} K/s` : `${value.toFixed(0)} /s`
const mebibytes = (bytes: number): string => (bytes / (1 << 20)).toFixed(0)

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >>> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const columns = [
  "case",
  "median",
  "lowest",
  "highest",
  "until idle",
  "p50 µs",
  "p99 µs",
  "p99.9 µs",
  "main CPU µs/op",
  "all CPU µs/op",
  "VmHWM MiB",
  "loop p99 ms",
  "loop max ms",
  "reopen ms",
  "memtable + cache MiB",
  "durability"
]

/** The table of all runs: a row for each case, medians over its runs. */
export const tableOf = (figures: ReadonlyArray<Figures>): string => {
  const byCase = Map.groupBy(figures, (one) => one.case)
  const rows = [...byCase.values()].map((runs) => {
    const first = runs[0]!
    const of = (pick: (one: Figures) => number) => median(runs.map(pick))
    const latency = (pick: (one: LatencyFigures) => number): string =>
      first.latencyUs === undefined ? "" : of((one) => (one.latencyUs === undefined ? 0 : pick(one.latencyUs))).toFixed(0)
    const rates = runs.map((one) => one.operationsPerSecond)
    return [
      first.case,
      rate(median(rates)),
      rate(Math.min(...rates)),
      rate(Math.max(...rates)),
      first.flushes === 0 ? "" : rate(of((one) => one.operationsPerSecondUntilIdle)),
      latency(({ p50 }) => p50),
      latency(({ p99 }) => p99),
      latency(({ p999 }) => p999),
      of((one) => (one.mainCpuSeconds / one.operations) * 1e6).toFixed(2),
      of((one) => ((one.userCpuSeconds + one.systemCpuSeconds) / one.operations) * 1e6).toFixed(2),
      mebibytes(of((one) => one.peakResidentBytes)),
      of((one) => one.loopDelayP99Ms).toFixed(1),
      of((one) => one.loopDelayMaxMs).toFixed(1),
      of((one) => one.reopenMs).toFixed(0),
      `${mebibytes(first.memtableBytes)} + ${mebibytes(first.cacheBytes)}`,
      first.durability
    ]
  })
  const widths = columns.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd()
  return [line(columns), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")
}
