import type { Entry } from "../../../services/Database.ts"
import { formatHex, formatLine, formatLineCut } from "../format/bytesText.ts"
import { formatBytes } from "../format/numbers.ts"
import { paint } from "../format/paint.ts"
import { cutToWidth, padToWidth, textWidth } from "../format/textWidth.ts"
import type { Output } from "../Output.ts"

const columnsMin = 20
/** A line with less room than this has no column of sizes. */
const columnsForSizes = 40
const sizeColumns = 7
const gap = "  "

/**
 * Key, size and value in columns. Nothing is held back to know the widths: they are taken from the first entries that come together, and a longer key later on is cut. A terminal
 * is never overrun; elsewhere keys and values are whole.
 */
export const entryTable = (options: {
  readonly keysOnly: boolean
  readonly hex: boolean
  readonly output: Output["Service"]
}): ((entries: ReadonlyArray<Entry>) => Iterable<string>) => {
  const { hex, keysOnly, output } = options
  const style = paint(output.stdoutColours)
  const columns = output.stdoutIsTerminal ? Math.max(columnsMin, output.columns()) : Number.POSITIVE_INFINITY
  const hasSizes = columns >= columnsForSizes
  const taken = hasSizes ? sizeColumns + 2 * gap.length : gap.length
  let keyColumns = 0
  const keyText = (key: Uint8Array): string => (hex ? formatHex(key) : formatLine(key))
  const fitted = (text: string, room: number): string => (room === Number.POSITIVE_INFINITY ? text : cutToWidth(text, room))
  const cells = (key: string, size: string, value: string): string =>
    keysOnly ? key : padToWidth(key, keyColumns) + gap + (hasSizes ? size.padStart(sizeColumns) + gap : "") + value
  return function* (entries) {
    if (keyColumns === 0) {
      const widest = entries.reduce((most, { key }) => Math.max(most, textWidth(keyText(key))), "key".length)
      // The value gets what the keys leave, and at least a third of the line.
      keyColumns = Math.min(widest, keysOnly ? columns : Math.floor(((columns - taken) * 2) / 3))
      yield `${style("bold", fitted(cells("key", "bytes", "value"), columns))}\n`
    }
    const keyRoom = columns === Number.POSITIVE_INFINITY ? columns : keyColumns
    const valueRoom = columns - keyColumns - taken
    for (const { key, value } of entries) {
      const shown = fitted(keyText(key), keyRoom)
      const whole = columns === Number.POSITIVE_INFINITY
      const valueText = keysOnly ? "" : whole ? formatLine(value) : cutToWidth(formatLineCut(value, valueRoom), valueRoom)
      const line = cells(shown, formatBytes(value.length), valueText)
      yield `${style("cyan", line.slice(0, shown.length))}${line.slice(shown.length)}\n`
    }
  }
}
