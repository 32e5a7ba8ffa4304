/** Aligned columns of text; no borders, so that the output also pastes well. */

export type Align = "left" | "right"

/** Columns are separated by two spaces; the last column of a row is not padded. Widths are counted in characters: callers pass escaped text. */
export const formatTable = (rows: ReadonlyArray<ReadonlyArray<string>>, align: ReadonlyArray<Align> = [], indent = ""): Array<string> => {
  const widths: Array<number> = []
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  return rows.map(
    (row) =>
      indent +
      row
        .map((cell, column) =>
          align[column] === "right" ? cell.padStart(widths[column]!) : column === row.length - 1 ? cell : cell.padEnd(widths[column]!)
        )
        .join("  ")
  )
}
