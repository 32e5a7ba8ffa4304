import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { decodeText, formatHex, jsonField } from "../format/bytesText.ts"
import { hexdump } from "../format/hexdump.ts"
import { Output } from "../Output.ts"
import { openReader, parseKey, type Shared, usage } from "../shared.ts"
import { momentOf } from "../timeText.ts"

/** How much of a value that is not text a terminal is shown. */
const hexBytesMax = 1024

export interface GetOptions {
  readonly key: string
  readonly format: Option.Option<"raw" | "hex" | "json" | "pretty">
  readonly at: Option.Option<string>
  readonly salvage: boolean
}

const momentFlag = (at: Option.Option<string>): Effect.Effect<number | Date | undefined, CliFailure> => {
  if (Option.isNone(at)) return Effect.succeed(undefined)
  return Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
    const moment = momentOf(at.value, nowMs)
    return moment === undefined
      ? Effect.fail(
          usage(
            `--at ${JSON.stringify(at.value)} is no moment`,
            "Give a sequence, a date such as 2026-11-21 or 2026-11-21T18:00:00Z, or a time such as '10m ago'."
          )
        )
      : Effect.succeed(moment)
  })
}

/** A JSON value over several lines, with its control characters escaped as JSON has them. */
const indented = (key: string, text: string | undefined): Effect.Effect<string, CliFailure> =>
  Effect.suspend(() => {
    try {
      if (text !== undefined) return Effect.succeed(JSON.stringify(JSON.parse(text), null, 2))
    } catch {
      // Said below.
    }
    return Effect.fail(
      new CliFailure({
        tag: "NotJson",
        message: `The value of ${JSON.stringify(key)} is not JSON`,
        hint: "Leave out --format pretty.",
        exitCode: ExitCode.failure,
        details: { key }
      })
    )
  })

/** Prints the value byte for byte; a line break is added on a terminal only, so that a pipe receives exactly what is stored. */
export const get = Effect.fnUntraced(function* (shared: Shared, options: GetOptions) {
  const output = yield* Output
  const format = Option.getOrUndefined(options.format)
  if (shared.json && format !== undefined && format !== "json")
    return yield* usage(`--json and --format ${format} are both given`, "Give one of them.")
  const key = yield* parseKey(shared, options.key)
  const moment = yield* momentFlag(options.at)
  const { salvaged, target } = yield* openReader(shared, { salvage: options.salvage })
  const reads = moment === undefined ? target : yield* Effect.mapError(target.at(moment), explain)
  const value = yield* Effect.mapError(reads.get(key), explain)
  if (value === undefined) {
    return yield* new CliFailure({
      tag: "KeyNotFound",
      message: `There is no key ${JSON.stringify(options.key)}`,
      hint: "`lightning scan --prefix …` shows which keys there are.",
      exitCode: ExitCode.notFound,
      details: { key: options.key }
    })
  }
  if (shared.json || format === "json")
    return yield* output.write(`${JSON.stringify({ key: options.key, ...jsonField("value", value), bytes: value.length, ...salvaged })}\n`)
  if (format === "hex") {
    for (const line of hexdump(value, output.stdoutIsTerminal ? output.columns() : Number.POSITIVE_INFINITY)) yield* output.write(`${line}\n`)
    return
  }
  const text = decodeText(value)
  if (format === "pretty") return yield* output.write(`${yield* indented(options.key, text)}\n`)
  if (format === "raw" || !output.stdoutIsTerminal) return yield* output.write(value)
  if (text === undefined) {
    yield* output.write(`${formatHex(value, hexBytesMax)}\n`)
    return yield* output.note("The value is not text and is shown in hexadecimal; redirect the output to a file to get its bytes.")
  }
  // oxlint-disable-next-line no-control-regex
  yield* output.write(text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd") + (text.endsWith("\n") ? "" : "\n"))
})
