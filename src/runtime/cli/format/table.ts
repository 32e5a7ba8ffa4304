/** Aligned columns of text; no borders, so that the output also pastes well. */
import { padToWidth, textWidth } from "./textWidth.ts"

export type Align = "left" | "right"

/** Columns are separated by two spaces; the last column of a row is not padded. Widths are those of a terminal; callers pass escaped text. */
export const formatTable = (rows: ReadonlyArray<ReadonlyArray<string>>, align: ReadonlyArray<Align> = [], indent = ""): Array<string> => {
  const widths: Array<number> = []
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, textWidth(cell))))
  return rows.map(
    (row) =>
      indent +
      row
        .map((cell, column) =>
          align[column] === "right"
            ? " ".repeat(widths[column]! - textWidth(cell)) + cell
            : column === row.length - 1
              ? cell
              : padToWidth(cell, widths[column]!)
        )
        .join("  ")
  )
}
