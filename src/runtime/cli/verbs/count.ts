import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { explain } from "../explain.ts"
import { formatBytes, formatCount } from "../format/numbers.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { openReader, printResult, type Shared } from "../shared.ts"
import { type BoundFlags, boundsOf } from "./rangeOf.ts"

export interface CountOptions extends BoundFlags {
  readonly estimate: boolean
  readonly salvage: boolean
}

/** The number of entries within the bounds, as of one moment: exact, from the keys alone; or about, without reading them. */
export const count = Effect.fnUntraced(function* (shared: Shared, options: CountOptions) {
  const bounds = yield* boundsOf(shared, options)
  const output = yield* Output
  const { salvaged, target } = yield* openReader(shared, { bulk: true, salvage: options.salvage })
  // A number alone where a program reads it; grouped digits where a person does.
  if (options.estimate) {
    const { bytes, entries } = yield* Effect.mapError(target.estimate(bounds), explain)
    return yield* printResult(shared, [output.stdoutIsTerminal ? `about ${formatCount(entries)}, ${formatBytes(bytes)}` : String(entries)], {
      count: entries,
      bytes,
      estimated: true,
      ...salvaged
    })
  }
  let entries = 0
  yield* withProgress(
    () => ({ verb: "counting", done: entries, noun: ["entry", "entries"], bytes: 0 }),
    shared.json,
    Stream.runForEachArray(Stream.mapError(target.scan({ ...bounds, keysOnly: true }), explain), (chunk) =>
      Effect.sync(() => {
        entries += chunk.length
      })
    )
  )
  yield* printResult(shared, [output.stdoutIsTerminal ? formatCount(entries) : String(entries)], { count: entries, ...salvaged })
})
