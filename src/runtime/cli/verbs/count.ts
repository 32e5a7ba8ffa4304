import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { explain } from "../explain.ts"
import { formatCount } from "../format/numbers.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { openReader, printResult, type Shared } from "../shared.ts"
import { type BoundFlags, boundsOf } from "./rangeOf.ts"

/** The exact number of entries within the bounds, as of one moment. */
export const count = Effect.fnUntraced(function* (shared: Shared, flags: BoundFlags) {
  const bounds = yield* boundsOf(shared, flags)
  const output = yield* Output
  const { target } = yield* openReader(shared)
  let entries = 0
  yield* withProgress(
    () => ({ verb: "counting", done: entries, noun: ["entry", "entries"], bytes: 0 }),
    shared.json,
    Stream.runForEachArray(Stream.mapError(target.scan(bounds), explain), (chunk) =>
      Effect.sync(() => {
        entries += chunk.length
      })
    )
  )
  // A number alone where a program reads it; grouped digits where a person does.
  yield* printResult(shared, [output.stdoutIsTerminal ? formatCount(entries) : String(entries)], { count: entries })
})
