import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Entry } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import { formatHex, formatLine, formatLineCut, jsonField } from "../format/bytesText.ts"
import { paint } from "../format/paint.ts"
import { Output } from "../Output.ts"
import { openReader, type Shared, usage } from "../shared.ts"
import { type BoundFlags, boundsOf } from "./rangeOf.ts"

export interface ScanOptions extends BoundFlags {
  readonly reverse: boolean
  readonly limit: Option.Option<number>
  readonly keysOnly: boolean
}

/** Text handed to standard output at a time: few system calls, and `head` is noticed soon. */
const chunkCharsMax = 32 * 1024

/**
 * One entry a line: key, tab, value, both escaped so that they stay on it; cut to the width of a terminal. With `--json` one object a line, which `import` reads back.
 */
export const scan = Effect.fnUntraced(function* (shared: Shared, options: ScanOptions) {
  if (Option.isSome(options.limit) && options.limit.value < 0) return yield* usage("--limit is negative", "Give 0 or more.")
  const bounds = yield* boundsOf(shared, options)
  const output = yield* Output
  const { target } = yield* openReader(shared)
  const line = lineOf(shared, options, output)
  const range = { ...bounds, reverse: options.reverse, ...(Option.isSome(options.limit) ? { limit: options.limit.value } : {}) }
  yield* Stream.runForEachArray(
    Stream.mapError(target.scan(range), explain),
    Effect.fnUntraced(function* (entries) {
      let text = ""
      for (const entry of entries) {
        text += line(entry)
        if (text.length >= chunkCharsMax) {
          yield* output.write(text)
          text = ""
        }
      }
      if (text !== "") yield* output.write(text)
    })
  )
})

const lineOf = (shared: Shared, options: ScanOptions, output: Output["Service"]): ((entry: Entry) => string) => {
  if (shared.json) {
    return ({ key, value }) => {
      const fields = shared.hex ? { keyHex: formatHex(key).slice(2) } : jsonField("key", key)
      return `${JSON.stringify(options.keysOnly ? fields : { ...fields, ...jsonField("value", value) })}\n`
    }
  }
  const keyText = shared.hex ? (key: Uint8Array) => formatHex(key) : formatLine
  if (!output.stdoutIsTerminal)
    return options.keysOnly ? ({ key }) => `${keyText(key)}\n` : ({ key, value }) => `${keyText(key)}\t${formatLine(value)}\n`
  const style = paint(output.stdoutColours)
  return ({ key, value }) => {
    const columns = Math.max(20, output.columns())
    const shown = keyText(key)
    if (options.keysOnly) return `${shown}\n`
    // A long key leaves the value a line of its own rather than three characters.
    const left = columns - shown.length - 2
    return left >= 16
      ? `${style("cyan", shown)}  ${formatLineCut(value, left)}\n`
      : `${style("cyan", shown)}\n    ${formatLineCut(value, columns - 4)}\n`
  }
}
