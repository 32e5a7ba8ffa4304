/** Progress of long work: one line that is redrawn on a terminal, a plain line every few seconds elsewhere. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { formatByteRate, formatBytes, formatDuration, formatNoun, formatRate } from "./format/numbers.ts"
import { Output } from "./Output.ts"

export interface ProgressState {
  /** "importing", "counting" */
  readonly verb: string
  /** Entries, files, … done so far. */
  readonly done: number
  readonly noun: readonly [singular: string, plural: string]
  /** Bytes of input or data done so far. */
  readonly bytes: number
  /** Bytes of the whole work where that is known: it gives the share done and the time left. */
  readonly bytesTotal?: number | undefined
  /** The work is told in bytes alone: `done` is not shown. */
  readonly bytesOnly?: boolean | undefined
}

interface Sample {
  readonly ms: number
  readonly bytes: number
  readonly done: number
}

const windowMs = 10_000

/** Rates over the last ten seconds: an average since the start would hide that the disk has become slow, one over the last redraw would jump. */
export class ProgressRates {
  readonly #samples: Array<Sample> = []

  /** Takes a sample at `ms` since the start and returns what happened per millisecond since the oldest one in the window. */
  sample(ms: number, done: number, bytes: number): { readonly donePerMs: number; readonly bytesPerMs: number } {
    const samples = this.#samples
    while (samples.length > 1 && samples[0]!.ms < ms - windowMs) samples.shift()
    samples.push({ ms, done, bytes })
    // The work began at nothing done, which is the first sample's base.
    const base = samples.length > 1 ? samples[0]! : { ms: 0, done: 0, bytes: 0 }
    const elapsedMs = ms - base.ms
    return elapsedMs <= 0
      ? { donePerMs: 0, bytesPerMs: 0 }
      : { donePerMs: (done - base.done) / elapsedMs, bytesPerMs: (bytes - base.bytes) / elapsedMs }
  }
}

/** "importing  12,345 entries  101 MB  82.3 MB/s  43 %  12 s left", cut to `columns` so that it never wraps (a wrapped line cannot be redrawn). */
export const formatProgress = (state: ProgressState, rates: { readonly donePerMs: number; readonly bytesPerMs: number }, columns: number): string => {
  const parts = state.bytesOnly === true ? [state.verb] : [state.verb, formatNoun(state.done, ...state.noun)]
  if (state.bytes > 0) parts.push(formatBytes(state.bytes), formatByteRate(rates.bytesPerMs, 1))
  else if (state.bytesOnly !== true) parts.push(formatRate(rates.donePerMs, 1))
  if (state.bytesTotal !== undefined && state.bytesTotal > 0) {
    const share = Math.min(1, state.bytes / state.bytesTotal)
    parts.push(`${Math.floor(share * 100)} %`)
    if (rates.bytesPerMs > 0 && share < 1) parts.push(`${formatTimeLeft((state.bytesTotal - state.bytes) / rates.bytesPerMs)} left`)
  }
  const line = parts.join("  ")
  return line.length < columns ? line : line.slice(0, Math.max(0, columns - 1))
}

/** Whole seconds: more would only flicker. */
const formatTimeLeft = (ms: number): string => (ms < 60_000 ? `${Math.max(1, Math.round(ms / 1000))} s` : formatDuration(ms))

const terminalEveryMs = 100
const plainEveryMs = 5_000

/** Runs `work` and shows `read()` meanwhile. `quiet` (for `--json`) keeps plain lines out of a log that a program reads; a terminal still sees progress. */
export const withProgress = <A, E, R>(read: () => ProgressState, quiet: boolean, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Output> =>
  Effect.gen(function* () {
    const output = yield* Output
    if (!output.stderrIsTerminal && quiet) return yield* work
    const rates = new ProgressRates()
    const startMs = performance.now()
    const show = Effect.suspend(() => {
      const state = read()
      const line = formatProgress(
        state,
        rates.sample(performance.now() - startMs, state.done, state.bytes),
        output.stderrIsTerminal ? output.columns() : 200
      )
      return output.stderrIsTerminal ? output.status(line) : output.note(line)
    })
    // The first line waits as long as the others: work that is over at once shows nothing.
    const everyMs = output.stderrIsTerminal ? terminalEveryMs : plainEveryMs
    const loop = yield* Effect.forkChild(Effect.forever(Effect.andThen(Effect.sleep(everyMs), show)))
    return yield* Effect.ensuring(work, Effect.andThen(Fiber.interrupt(loop), output.status("")))
  })
