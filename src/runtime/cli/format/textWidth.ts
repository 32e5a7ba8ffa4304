/** How many columns of a terminal a text takes. */

/** First and last code point of ranges that take two columns: East Asian wide and fullwidth forms, and emoji. */
const wide: ReadonlyArray<readonly [first: number, last: number]> = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23ec],
  [0x25fd, 0x25fe],
  [0x2614, 0x2615],
  [0x2648, 0x2653],
  [0x26a1, 0x26a1],
  [0x26bd, 0x26be],
  [0x2705, 0x2705],
  [0x2728, 0x2728],
  [0x274c, 0x274c],
  [0x2753, 0x2757],
  [0x2795, 0x2797],
  [0x2b1b, 0x2b1c],
  [0x2b50, 0x2b50],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1b000, 0x1b2ff],
  [0x1f004, 0x1f004],
  [0x1f18e, 0x1f19a],
  [0x1f1e6, 0x1f1ff],
  [0x1f200, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f7e0, 0x1f7eb],
  [0x1f90c, 0x1f9ff],
  [0x1fa70, 0x1faff],
  [0x20000, 0x3fffd]
]

// Marks that stand on the character before them, and characters without a glyph.
const withoutWidth = /[\p{Mn}\p{Me}\p{Cf}]/u
// oxlint-disable-next-line no-control-regex
const plain = /^[\u0020-\u02ff]*$/

const isWide = (code: number): boolean => {
  let low = 0
  let high = wide.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (wide[middle]![1] < code) low = middle + 1
    else high = middle
  }
  return low < wide.length && wide[low]![0] <= code
}

const widthOf = (character: string): number => (isWide(character.codePointAt(0)!) ? 2 : withoutWidth.test(character) ? 0 : 1)

/** Columns of a text without control characters or colours. */
export const textWidth = (text: string): number => {
  if (plain.test(text)) return text.length
  let columns = 0
  for (const character of text) columns += widthOf(character)
  return columns
}

/** The text in at most `columns`; a cut one ends in "…". */
export const cutToWidth = (text: string, columns: number): string => {
  // A character of a text without wide ones takes one column at most, so that most texts are not looked at again.
  if (text.length <= columns && plain.test(text)) return text
  if (textWidth(text) <= columns) return text
  let kept = ""
  let width = 0
  for (const character of text) {
    const next = widthOf(character)
    if (width + next > columns - 1) break
    kept += character
    width += next
  }
  return columns < 1 ? "" : `${kept}…`
}

export const padToWidth = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - textWidth(text)))
