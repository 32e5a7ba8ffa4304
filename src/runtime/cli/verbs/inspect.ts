import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { fromReadFailure } from "../../../domain/errors.ts"
import { IoFailure } from "../../../domain/failures.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatNoun } from "../format/numbers.ts"
import { paint } from "../format/paint.ts"
import type { Items, Selection } from "../inspecting/Item.ts"
import { Output } from "../Output.ts"
import { parseKey, type Shared, usage } from "../shared.ts"

export interface InspectOptions {
  readonly what: Option.Option<string>
  readonly which: Option.Option<string>
  readonly record: Option.Option<number>
  readonly from: Option.Option<number>
  readonly limit: Option.Option<number>
  readonly block: Option.Option<number>
  readonly key: Option.Option<string>
  readonly entries: boolean
  readonly full: boolean
}

/** Text handed to standard output at a time. */
const chunkCharsMax = 32 * 1024
/** How long items are made before the event loop turns: Ctrl-C is noticed between two slices. */
const sliceMs = 20

const encoder = new TextEncoder()

/**
 * Shows what the files of a database hold. Reads the files themselves: no lock, no recovery, nothing written. Damage is shown where it is, the rest goes on, and exit code 5 says at the
 * end that there was some.
 */
export const inspect = Effect.fnUntraced(function* (shared: Shared, options: InspectOptions) {
  for (const name of ["record", "from", "limit", "block"] as const)
    if (Option.isSome(options[name]) && options[name].value < 0) return yield* usage(`--${name} is negative`, "Give 0 or more.")
  const key = Option.isSome(options.key) ? yield* parseKey(shared, options.key.value, "--key") : undefined
  const selection: Selection = {
    record: Option.getOrUndefined(options.record),
    from: Option.getOrUndefined(options.from),
    limit: Option.getOrUndefined(options.limit),
    block: Option.getOrUndefined(options.block),
    key: typeof key === "string" ? encoder.encode(key) : key,
    entries: options.entries
  }
  const output = yield* Output
  const render = { style: paint(output.stdoutColours), hex: shared.hex, full: options.full, columns: Math.max(20, output.columns()) }
  const { itemsOf, Refusal } = yield* Effect.promise(() => import("../inspecting/inspectTarget.ts"))
  const items = yield* attempt(() =>
    itemsOf(render, {
      directory: shared.path,
      what: Option.getOrUndefined(options.what),
      which: Option.getOrUndefined(options.which),
      selection
    })
  )
  if (items instanceof Refusal) {
    if (items.reason === "usage") return yield* usage(items.message, items.hint)
    return yield* new CliFailure({
      tag: items.reason === "notADatabase" ? "NotADatabase" : "UnknownFile",
      message: items.message,
      hint: items.hint,
      exitCode: ExitCode.failure
    })
  }
  const damaged = yield* Effect.ensuring(
    print(shared, items),
    Effect.sync(() => items.return())
  ).pipe(Effect.onInterrupt(() => output.note("Stopped. Nothing was changed. --record, --block, --key or --from show a part of a file.")))
  if (damaged.count > 0)
    return yield* new CliFailure({
      tag: "CorruptFile",
      message: `${formatNoun(damaged.count, "damaged place")} in ${[...damaged.files].slice(0, 5).join(", ")}${damaged.files.size > 5 ? ", …" : ""}`,
      hint: "Keep a copy of the directory before anything else. `lightning verify` checks all files against each other; a restore point (`lightning points`) or `lightning repair` brings them back.",
      exitCode: ExitCode.corrupt,
      details: { damagedPlaces: damaged.count, files: [...damaged.files] }
    })
})

const attempt = <A>(run: () => A): Effect.Effect<A, CliFailure> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (cause) {
      if (cause instanceof IoFailure) return Effect.fail(explain(fromReadFailure(cause)))
      throw cause
    }
  })

interface Damaged {
  count: number
  readonly files: Set<string>
}

interface Slice {
  readonly text: string
  readonly isDone: boolean
  /** What ended the reading of the files. */
  readonly failure: CliFailure | undefined
}

const nextSlice = (shared: Shared, items: Items, damaged: Damaged): Slice => {
  let text = ""
  const endMs = performance.now() + sliceMs
  try {
    while (text.length < chunkCharsMax && performance.now() < endMs) {
      const next = items.next()
      if (next.done === true) return { text, isDone: true, failure: undefined }
      const { damage, json, text: lines } = next.value
      if (damage !== undefined) {
        damaged.count++
        damaged.files.add(damage.file)
      }
      if (shared.json) text += `${JSON.stringify(json())}\n`
      else for (const line of lines()) text += `${line}\n`
    }
    return { text, isDone: false, failure: undefined }
  } catch (cause) {
    if (!(cause instanceof IoFailure)) throw cause
    return { text, isDone: true, failure: explain(fromReadFailure(cause)) }
  }
}

const print = Effect.fnUntraced(function* (shared: Shared, items: Items) {
  const output = yield* Output
  const damaged: Damaged = { count: 0, files: new Set() }
  for (;;) {
    const { failure, isDone, text } = nextSlice(shared, items, damaged)
    // What was shown before a disk that cannot be read any further is shown all the same.
    if (text !== "") yield* output.write(text)
    if (failure !== undefined) return yield* failure
    if (isDone) return damaged
    yield* Effect.yieldNow
  }
})
