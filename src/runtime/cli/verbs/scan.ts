import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Entry } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { formatHex, formatLine, formatLineCut, jsonField } from "../format/bytesText.ts"
import { hexdump } from "../format/hexdump.ts"
import { paint } from "../format/paint.ts"
import { Output } from "../Output.ts"
import { openReader, type Shared, usage } from "../shared.ts"
import { type BoundFlags, boundsOf } from "./rangeOf.ts"
import { entryTable } from "./scanTable.ts"

export interface ScanOptions extends BoundFlags {
  readonly reverse: boolean
  readonly limit: Option.Option<number>
  readonly keysOnly: boolean
  readonly format: Option.Option<"table" | "json" | "raw" | "hex">
  readonly separator: Option.Option<string>
  readonly nul: boolean
  readonly salvage: boolean
}

/** What is handed to standard output at a time, in characters or bytes: few system calls, and `head` is noticed soon. */
const chunkMax = 32 * 1024

/** Entries as text or bytes. A batch comes as the engine has it, so that a format may look at the first ones together. */
type Formatter = (entries: ReadonlyArray<Entry>) => Iterable<string | Uint8Array>

/**
 * One entry a line: key, tab, value, both escaped so that they stay on it; cut to the width of a terminal. With `--json` one object a line, which `import` reads back; or in another
 * format.
 */
export const scan = Effect.fnUntraced(function* (shared: Shared, options: ScanOptions) {
  if (Option.isSome(options.limit) && options.limit.value < 0) return yield* usage("--limit is negative", "Give 0 or more.")
  const output = yield* Output
  const format = yield* formatterOf(shared, options, output)
  const bounds = yield* boundsOf(shared, options)
  const { target } = yield* openReader(shared, { bulk: true, salvage: options.salvage })
  const range = {
    ...bounds,
    reverse: options.reverse,
    keysOnly: options.keysOnly,
    ...(Option.isSome(options.limit) ? { limit: options.limit.value } : {})
  }
  yield* Stream.runForEachArray(
    Stream.mapError(target.scan(range), explain),
    Effect.fnUntraced(function* (entries) {
      let text = ""
      for (const part of format(entries)) {
        if (typeof part !== "string") {
          yield* output.write(part)
          continue
        }
        text += part
        if (text.length < chunkMax) continue
        yield* output.write(text)
        text = ""
      }
      if (text !== "") yield* output.write(text)
    })
  )
})

const formatterOf = Effect.fnUntraced(function* (
  shared: Shared,
  options: ScanOptions,
  output: Output["Service"]
): Effect.fn.Return<Formatter, CliFailure> {
  const format = Option.getOrUndefined(options.format)
  if (format !== "raw" && (Option.isSome(options.separator) || options.nul))
    return yield* usage(`--${options.nul ? "null" : "separator"} goes with --format raw`, "The other formats say themselves where an entry ends.")
  if (shared.json && format !== undefined && format !== "json")
    return yield* usage(`--json and --format ${format} are both given`, "Give one of them.")
  if (shared.json || format === "json") return eachLine(jsonLine(shared, options))
  switch (format) {
    case "raw":
      return rawBytes(options, yield* separatorOf(options.separator))
    case "hex":
      return hexLines(shared, options, output)
    case "table":
      return entryTable({ keysOnly: options.keysOnly, hex: shared.hex, output })
    case undefined:
      return eachLine(plainLine(shared, options, output))
  }
})

const eachLine =
  (line: (entry: Entry) => string): Formatter =>
  (entries) =>
    entries.map(line)

const jsonLine =
  (shared: Shared, options: ScanOptions) =>
  ({ key, value }: Entry): string => {
    const fields = shared.hex ? { keyHex: formatHex(key).slice(2) } : jsonField("key", key)
    return `${JSON.stringify(options.keysOnly ? fields : { ...fields, ...jsonField("value", value) })}\n`
  }

const keyTextOf = (shared: Shared): ((key: Uint8Array) => string) => (shared.hex ? (key) => formatHex(key) : formatLine)

const plainLine = (shared: Shared, options: ScanOptions, output: Output["Service"]): ((entry: Entry) => string) => {
  const keyText = keyTextOf(shared)
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

const lineBreak = new Uint8Array([0x0a])
const zero = new Uint8Array([0])

const rawBytes = (options: ScanOptions, separator: Uint8Array): Formatter => {
  const end = options.nul ? zero : lineBreak
  return function* (entries) {
    let parts: Array<Uint8Array> = []
    let bytes = 0
    for (const { key, value } of entries) {
      for (const part of options.keysOnly ? [key, end] : [key, separator, value, end]) {
        parts.push(part)
        bytes += part.length
      }
      if (bytes < chunkMax) continue
      yield Buffer.concat(parts, bytes)
      parts = []
      bytes = 0
    }
    if (bytes > 0) yield Buffer.concat(parts, bytes)
  }
}

const escapes: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", "0": "\0", "\\": "\\" }

/** The bytes between key and value: UTF-8, with the usual escapes. */
const separatorOf = (given: Option.Option<string>): Effect.Effect<Uint8Array, CliFailure> => {
  if (Option.isNone(given)) return Effect.succeed(Buffer.from("\t"))
  const text = given.value
  const wrong = /\\(?!x[0-9a-fA-F]{2}|[tnr0\\])/.exec(text.replaceAll("\\\\", "__"))
  if (wrong !== null)
    return Effect.fail(usage(`The separator ${JSON.stringify(text)} is not understood`, "Escapes are \\t, \\n, \\r, \\0, \\\\ and \\xHH."))
  const bytes = text.split(/(\\x[0-9a-fA-F]{2}|\\[tnr0\\])/).map((part) => {
    if (part.startsWith("\\x")) return Buffer.from(part.slice(2), "hex")
    return Buffer.from(part.startsWith("\\") ? escapes[part.slice(1)]! : part)
  })
  return Effect.succeed(Buffer.concat(bytes))
}

/** The key, how long the value is, and a dump of it. */
const hexLines = (shared: Shared, options: ScanOptions, output: Output["Service"]): Formatter => {
  const keyText = keyTextOf(shared)
  const style = paint(output.stdoutColours)
  return function* (entries) {
    const columns = output.stdoutIsTerminal ? output.columns() : Number.POSITIVE_INFINITY
    for (const { key, value } of entries) {
      if (options.keysOnly) {
        yield `${[...hexdump(key, columns)].join("\n")}\n`
        continue
      }
      yield `${style("cyan", keyText(key))}  ${value.length} B\n`
      for (const line of hexdump(value, columns, "  ")) yield `${line}\n`
    }
  }
}
