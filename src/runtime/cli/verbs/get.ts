import * as Effect from "effect/Effect"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { decodeText, formatHex, jsonField } from "../format/bytesText.ts"
import { Output } from "../Output.ts"
import { openReader, parseKey, type Shared } from "../shared.ts"

/** How much of a value that is not text a terminal is shown. */
const hexBytesMax = 1024

/** Prints the value byte for byte; a line break is added on a terminal only, so that a pipe receives exactly what is stored. */
export const get = Effect.fnUntraced(function* (shared: Shared, options: { readonly key: string }) {
  const output = yield* Output
  const key = yield* parseKey(shared, options.key)
  const { target } = yield* openReader(shared)
  const value = yield* Effect.mapError(target.get(key), explain)
  if (value === undefined) {
    return yield* new CliFailure({
      tag: "KeyNotFound",
      message: `There is no key ${JSON.stringify(options.key)}`,
      hint: "`lightning scan --prefix …` shows which keys there are.",
      exitCode: ExitCode.notFound,
      details: { key: options.key }
    })
  }
  if (shared.json) return yield* output.write(`${JSON.stringify({ key: options.key, ...jsonField("value", value), bytes: value.length })}\n`)
  if (!output.stdoutIsTerminal) return yield* output.write(value)
  const text = decodeText(value)
  if (text === undefined) {
    yield* output.write(`${formatHex(value, hexBytesMax)}\n`)
    return yield* output.note("The value is not text and is shown in hexadecimal; redirect the output to a file to get its bytes.")
  }
  // oxlint-disable-next-line no-control-regex
  yield* output.write(text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd") + (text.endsWith("\n") ? "" : "\n"))
})
