import type { Entry } from "../../../services/Database.ts"
import { formatHex, formatLine, formatLineCut, jsonField } from "../format/bytesText.ts"
import { paint } from "../format/paint.ts"
import type { OutputShape } from "../Output.ts"
import type { Difference } from "./compareEntries.ts"

export interface DifferenceFormat {
  readonly json: boolean
  readonly hex: boolean
  readonly keysOnly: boolean
  /** Values whole on a terminal too. */
  readonly full: boolean
}

const valueMin = 16

const keyOf = ({ a, b }: Difference): Uint8Array => (a ?? b)?.key ?? new Uint8Array(0)
const valuesOf = ({ a, b }: Difference): Array<Uint8Array> => [a, b].flatMap((entry) => (entry === undefined ? [] : [entry.value]))

/** Where the ends of a value's time differ: the values alone may look the same. */
const endsOf = ({ a, b }: Difference): string => {
  if (a === undefined || b === undefined || a.expiresAt === b.expiresAt) return ""
  const end = ({ expiresAt }: Entry) =>
    expiresAt === undefined ? "never" : expiresAt <= 8.64e15 ? new Date(expiresAt).toISOString() : String(expiresAt)
  return `expires ${end(a)} -> ${end(b)}`
}

const jsonFormat = ({ hex, keysOnly }: DifferenceFormat, keyspace: string): ((difference: Difference) => string) => {
  const valueOf = (name: "before" | "after", of: Entry | undefined) =>
    of === undefined || keysOnly
      ? {}
      : { ...jsonField(name, of.value), ...(of.expiresAt === undefined ? {} : { [`${name}ExpiresAt`]: of.expiresAt }) }
  return (difference) => {
    const { a, b } = difference
    const key = keyOf(difference)
    return `${JSON.stringify({
      change: a === undefined ? "added" : b === undefined ? "removed" : "changed",
      ...(keyspace === "" ? {} : { keyspace }),
      ...(hex ? { keyHex: formatHex(key).slice(2) } : jsonField("key", key)),
      ...valueOf("before", a),
      ...valueOf("after", b)
    })}\n`
  }
}

/** One line per difference, with its line end: "+" only in B, "-" only in A, "~" in both with another value. */
export const differenceFormat = (format: DifferenceFormat, keyspace: string, output: OutputShape): ((difference: Difference) => string) => {
  if (format.json) return jsonFormat(format, keyspace)
  const { full, hex, keysOnly } = format
  const keyText = hex ? (key: Uint8Array) => formatHex(key) : formatLine
  const markOf = ({ a, b }: Difference) => (a === undefined ? "+" : b === undefined ? "-" : "~")
  if (!output.stdoutIsTerminal) {
    return (difference) => {
      const line = `${markOf(difference)} ${keyText(keyOf(difference))}`
      if (keysOnly) return `${line}\n`
      const ends = endsOf(difference)
      return `${[line, ...valuesOf(difference).map(formatLine), ...(ends === "" ? [] : [ends])].join("\t")}\n`
    }
  }
  const style = paint(output.stdoutColours)
  const colours = { "+": "green", "-": "red", "~": "yellow" } as const
  return (difference) => {
    const mark = markOf(difference)
    const columns = Math.max(20, output.columns())
    const key = `${mark} ${keyText(keyOf(difference))}`
    if (keysOnly) return `${style(colours[mark], key)}\n`
    const values = valuesOf(difference)
    const between = "  ->  "
    // A long key leaves the values a line of their own rather than three characters.
    const beside = columns - key.length - 2
    const isBeside = full || beside >= valueMin * values.length + between.length
    const room = Math.max(8, Math.floor(((isBeside ? beside : columns - 4) - between.length * (values.length - 1)) / values.length))
    const shown = values.map((value) => (value.length === 0 ? "(empty)" : full ? formatLine(value) : formatLineCut(value, room))).join(between)
    const ends = endsOf(difference)
    return `${style(colours[mark], key)}${isBeside ? "  " : "\n    "}${shown}\n${ends === "" ? "" : `    ${ends}\n`}`
  }
}
