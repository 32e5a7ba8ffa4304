import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { DatabaseShape, DatabaseStats } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration, formatRate } from "../format/numbers.ts"
import { paint } from "../format/paint.ts"
import { Output } from "../Output.ts"
import type { Shared } from "../shared.ts"
import { gatherStats, statsJson, type StatsReport } from "../verbs/stats.ts"
import { formatStats } from "./formatStats.ts"
import { openScreen } from "./screen.ts"

export interface WatchOptions {
  readonly intervalMs: number
  /** How many times at most. */
  readonly count: number
}

interface Sample extends StatsReport {
  readonly atMs: number
}

/** What happened between two samples, per second; nothing where there is no earlier one. */
export interface StatsRates {
  readonly seconds: number
  readonly commitsPerSecond: number
  /** Of each part of the disk: negative where it shrinks. */
  readonly bytesPerSecond: { readonly tables: number; readonly valueFiles: number; readonly log: number; readonly total: number }
}

export const ratesBetween = (before: { readonly atMs: number; readonly values: DatabaseStats }, now: typeof before): StatsRates | undefined => {
  const seconds = (now.atMs - before.atMs) / 1000
  if (seconds <= 0) return undefined
  const perSecond = (read: (values: DatabaseStats) => number): number => (read(now.values) - read(before.values)) / seconds
  return {
    seconds,
    commitsPerSecond: perSecond((values) => values.visibleSequence),
    bytesPerSecond: {
      tables: perSecond((values) => values.disk.tables),
      valueFiles: perSecond((values) => values.disk.valueFiles),
      log: perSecond((values) => values.disk.log),
      total: perSecond((values) => values.disk.total)
    }
  }
}

/** Looks at the database again and again: a view that is redrawn on a terminal, a line (or an object) each time elsewhere. Ends by `count`, by q, or by Ctrl-C. */
export const watchStats = Effect.fnUntraced(function* (shared: Shared, db: DatabaseShape, options: WatchOptions) {
  const output = yield* Output
  const sample = Effect.gen(function* () {
    yield* Effect.mapError(db.refresh, explain)
    return { ...(yield* gatherStats(db)), atMs: performance.now() } satisfies Sample
  })
  const isView = output.stdoutIsTerminal && !shared.json
  yield* isView ? view(sample, options) : lines(shared, sample, options)
})

const lines = <E, R>(shared: Shared, sample: Effect.Effect<Sample, E, R>, options: WatchOptions) =>
  Effect.gen(function* () {
    const output = yield* Output
    let before: Sample | undefined
    for (let left = options.count; left > 0; left--) {
      const now = yield* sample
      const rates = before === undefined ? undefined : ratesBetween(before, now)
      const time = new Date(yield* Clock.currentTimeMillis).toISOString()
      yield* output.write(
        shared.json
          ? `${JSON.stringify({ time, ...statsJson(now), ...(rates === undefined ? {} : { rates }) })}\n`
          : `${plainLine(time, now, rates)}\n`
      )
      before = now
      if (left > 1) yield* Effect.sleep(options.intervalMs)
    }
  })

const plainLine = (time: string, { values }: Sample, rates: StatsRates | undefined): string =>
  [
    time,
    `sequence ${values.visibleSequence}`,
    `commits ${rates === undefined ? "-" : formatRate(rates.commitsPerSecond, 1000)}`,
    `tables ${formatBytes(values.disk.tables)}`,
    `values ${formatBytes(values.disk.valueFiles)}`,
    `log ${formatBytes(values.disk.log)}`,
    `total ${formatBytes(values.disk.total)}`,
    `growth ${rates === undefined ? "-" : signedByteRate(rates.bytesPerSecond.total)}`
  ].join("  ")

const signedByteRate = (bytesPerSecond: number): string => `${bytesPerSecond < 0 ? "-" : "+"}${formatByteRate(Math.abs(bytesPerSecond), 1000)}`

const view = <E, R>(sample: Effect.Effect<Sample, E, R>, options: WatchOptions) =>
  Effect.gen(function* () {
    const output = yield* Output
    const style = paint(output.stdoutColours)
    // Before the screen is opened: what goes wrong at first belongs on the one that stays.
    const first = yield* sample
    const last = yield* Effect.scoped(
      Effect.gen(function* () {
        let before: Sample | undefined
        let now = first
        if (options.count === 1) return now
        const screen = yield* openScreen
        for (let left = options.count; ; left--) {
          const rates = before === undefined ? undefined : ratesBetween(before, now)
          const shown = now
          const frame = () => [...rateLines(shown, rates, options.intervalMs, style), ...formatStats(shown, { style, ownCounters: false })]
          if ((yield* screen.drawUntil(frame, options.intervalMs)) === "quit") return undefined
          before = now
          now = yield* sample
          if (left <= 2) return now
        }
      })
    )
    // Whoever asked for so many looks finds the last one where the terminal goes on.
    if (last !== undefined) yield* output.write(`${formatStats(last, { style, ownCounters: false }).join("\n")}\n`)
  })

const rateLines = (now: Sample, rates: StatsRates | undefined, intervalMs: number, style: ReturnType<typeof paint>): ReadonlyArray<string> => {
  const head = `every ${formatDuration(intervalMs)}, q ends`
  if (rates === undefined) return [style("dim", head), `commits -  sequence ${formatCount(now.values.visibleSequence)}`]
  const { log, tables, total, valueFiles } = rates.bytesPerSecond
  return [
    style("dim", head),
    `commits ${formatRate(rates.commitsPerSecond, 1000)}  log ${signedByteRate(log)}  tables ${signedByteRate(tables)}  values ${signedByteRate(valueFiles)}  total ${signedByteRate(total)}`
  ]
}
