/** How many columns of a terminal a text takes. */
import { stripVTControlCharacters } from "node:util"

/** East Asian wide and fullwidth characters, and those that are shown as pictures. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
const joining = /[\p{Mn}\p{Me}\p{Cf}]/u
// oxlint-disable-next-line no-control-regex
const plain = /^[\u0020-\u007e]*$/

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" })

const graphemeWidth = (grapheme: string): number => {
  if (wide.test(grapheme) || grapheme.includes("\ufe0f")) return 2
  for (const character of grapheme) if (!joining.test(character)) return 1
  return 0
}

/** Colours take none. */
export const textWidth = (text: string): number => {
  if (plain.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(stripVTControlCharacters(text))) width += graphemeWidth(segment)
  return width
}

/** At most `columns` wide; a cut text ends in "…". Without colours in it. */
export const cutToWidth = (text: string, columns: number): string => {
  if (columns < 1) return ""
  if (textWidth(text) <= columns) return text
  let kept = ""
  let width = 1
  for (const { segment } of graphemes.segment(text)) {
    width += graphemeWidth(segment)
    if (width > columns) break
    kept += segment
  }
  return `${kept}…`
}

export const padToWidth = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - textWidth(text)))
