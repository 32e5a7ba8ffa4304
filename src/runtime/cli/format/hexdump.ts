/** Bytes as people look at them: offset, hexadecimal, and what of it is ASCII, as `hexdump -C` shows them. */

const bytesPerLine = 16
const narrowBytesPerLine = 8
/** What sixteen bytes a line take: offset, pairs, gutter. */
const wideColumns = 78

const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, "0")

/** Lines for the bytes from `offset` on; none where there are none. Eight bytes a line where `columns` have no room for sixteen. */
export function* hexdump(bytes: Uint8Array, columns: number, indent = ""): Generator<string, void, undefined> {
  const perLine = columns - indent.length >= wideColumns ? bytesPerLine : narrowBytesPerLine
  for (let at = 0; at < bytes.length; at += perLine) {
    let pairs = ""
    let text = ""
    for (let i = 0; i < perLine; i++) {
      const byte = bytes[at + i]
      pairs += byte === undefined ? "   " : `${hex(byte, 2)} `
      if (i === 7 && perLine > 8) pairs += " "
      if (byte !== undefined) text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."
    }
    yield `${indent}${hex(at, 8)}  ${pairs} |${text}|`
  }
}
