/** Entries in each of the shell's formats. Keys and values are untrusted: on a terminal no byte of them is more than text, whatever the format. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Entry } from "../../../services/Database.ts"
import { decodeText, escapeText, formatHex, formatLine, formatLineCut, jsonField } from "../format/bytesText.ts"
import { paint } from "../format/paint.ts"
import type { Session } from "./Session.ts"
import { textWidth, cutToWidth, padToWidth } from "../format/textWidth.ts"
import type { Writer } from "./Writer.ts"
import { jsonText } from "./jsonText.ts"

/** Text handed on at a time. */
const chunkCharsMax = 32 * 1024
/** How long a walk keeps the event loop to itself: Ctrl-C is heard between two of these. */
const turnMs = 10

/** Lets timers, keys and signals have their turn. */
const turn: Effect.Effect<void> = Effect.callback((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Hands the chunks of a stream to `use`, and leaves the event loop room. */
export const walk = <A, E, E2>(stream: Stream.Stream<A, E>, use: (chunk: ReadonlyArray<A>) => Effect.Effect<void, E2>): Effect.Effect<void, E | E2> =>
  Effect.suspend(() => {
    let turnBegan = performance.now()
    return Stream.runForEachArray(stream, (chunk) =>
      Effect.andThen(
        use(chunk),
        Effect.suspend(() => {
          if (performance.now() - turnBegan < turnMs) return Effect.void
          return Effect.tap(turn, () => Effect.sync(() => (turnBegan = performance.now())))
        })
      )
    )
  })

export const keyText = (session: Session, key: Uint8Array): string => (session.hexKeys || session.format === "hex" ? formatHex(key) : formatLine(key))

export const jsonKey = (session: Session, key: Uint8Array): Record<string, string> =>
  session.hexKeys ? { keyHex: formatHex(key).slice(2) } : jsonField("key", key)

interface EntryLines {
  /** Before the first entry; the first chunk decides the widths. */
  readonly begin: (entries: ReadonlyArray<Entry>) => string
  readonly line: (entry: Entry) => string | Uint8Array
}

const separator = new Uint8Array([9])
const lineEnd = new Uint8Array([10])

const linesOf = (session: Session, keysOnly: boolean): EntryLines => {
  const { format, output } = session
  const nothing = (): string => ""
  if (format === "json") {
    return {
      begin: nothing,
      line: ({ key, value }) => jsonText(session, { ...jsonKey(session, key), ...(keysOnly ? {} : jsonField("value", value)) })
    }
  }
  if (format === "hex") {
    return { begin: nothing, line: ({ key, value }) => (keysOnly ? `${formatHex(key)}\n` : `${formatHex(key)}\t${formatHex(value)}\n`) }
  }
  if (format === "raw" && !output.stdoutIsTerminal) {
    return { begin: nothing, line: ({ key, value }) => (keysOnly ? Buffer.concat([key, lineEnd]) : Buffer.concat([key, separator, value, lineEnd])) }
  }
  if (format === "raw" || !output.stdoutIsTerminal) {
    return {
      begin: nothing,
      line: ({ key, value }) => (keysOnly ? `${keyText(session, key)}\n` : `${keyText(session, key)}\t${formatLine(value)}\n`)
    }
  }
  return tableOf(session, keysOnly)
}

const keyColumnMin = 3

/** Two columns that fit the terminal. A key is never cut (it could not be typed again): a long one leaves its value the next line. */
const tableOf = (session: Session, keysOnly: boolean): EntryLines => {
  const { output } = session
  const style = paint(output.stdoutColours)
  const columns = Math.max(10, output.columns())
  let keyColumns = keyColumnMin
  return {
    begin: (entries) => {
      const keyColumnsMax = Math.max(keyColumnMin, Math.floor(columns * 0.6))
      for (const { key } of entries) {
        const width = textWidth(keyText(session, key))
        if (width > keyColumns && width <= keyColumnsMax) keyColumns = width
      }
      return `${style("bold", keysOnly ? "key" : `${padToWidth("key", keyColumns)}  value`)}\n`
    },
    line: ({ key, value }) => {
      const shown = keyText(session, key)
      if (keysOnly) return `${style("cyan", shown)}\n`
      if (textWidth(shown) <= keyColumns) {
        return `${style("cyan", padToWidth(shown, keyColumns))}  ${cut(value, columns - keyColumns - 2)}\n`
      }
      return `${style("cyan", shown)}\n${" ".repeat(keyColumns + 2)}${cut(value, columns - keyColumns - 2)}\n`
    }
  }
}

/** No more of a large value is decoded than can be shown. */
const cut = (value: Uint8Array, columns: number): string => cutToWidth(formatLineCut(value, Math.max(1, columns)), Math.max(1, columns))

/** Writes the entries and answers how many there were. */
export const writeEntries = <E>(session: Session, out: Writer, stream: Stream.Stream<Entry, E>, keysOnly: boolean) =>
  Effect.gen(function* () {
    const lines = linesOf(session, keysOnly)
    let count = 0
    yield* walk(
      stream,
      Effect.fnUntraced(function* (entries) {
        let text = count === 0 ? lines.begin(entries) : ""
        for (const entry of entries) {
          const line = lines.line(entry)
          if (typeof line === "string") text += line
          else yield* out.write(line)
          if (text.length >= chunkCharsMax) {
            yield* out.write(text)
            text = ""
          }
        }
        count += entries.length
        if (text !== "") yield* out.write(text)
      })
    )
    return count
  })

/** How much of a value that is not text a terminal is shown. */
const hexBytesMax = 1024

/** One value by itself, as `get` shows it. Into a pipe it goes byte for byte, with a line break after it. */
export const valueText = (session: Session, value: Uint8Array): string | Uint8Array => {
  const { format, output } = session
  if (format === "hex") return `${formatHex(value)}\n`
  if (!output.stdoutIsTerminal) return Buffer.concat([value, lineEnd])
  const text = decodeText(value)
  if (text === undefined) return `${formatHex(value, format === "raw" ? value.length : hexBytesMax)}\n`
  // Line breaks and tabs of a text are shown as such; nothing else of it may steer the terminal.
  const lines = text.replace(/\n$/, "").split("\n")
  return `${lines.map((line) => line.split("\t").map(escapeControls).join("\t")).join("\n")}\n`
}

/** Without the doubled backslashes of `escapeText`: a value that is shown by itself is to be read, not typed again. */
const escapeControls = (text: string): string => text.split("\\").map(escapeText).join("\\")
