/** Help that fits the terminal: no word is broken, and what continues a line stands below its beginning. */

// oxlint-disable-next-line no-control-regex
const colour = /\u001b\[\d+m/g

const widthOf = (text: string): number => text.replace(colour, "").length

/** Where a line that goes on begins: below its description in a table of flags or verbs, else below its own beginning. */
const indentOf = (line: string, columns: number): number => {
  const plain = line.replace(colour, "")
  const row = /^( +\S.*? {2,})\S/.exec(plain)
  const indent = row === null ? plain.search(/\S/) : row[1]!.length
  // A description that has hardly any room is better off below the name.
  return row !== null && indent > columns / 2 ? plain.search(/\S/) + 4 : indent
}

const wrapLine = (line: string, columns: number): string => {
  if (widthOf(line) <= columns) return line
  const indent = " ".repeat(indentOf(line, columns))
  const lines: Array<string> = []
  // Spaces stay with the word before them, so that a table keeps its columns.
  let current = ""
  for (const word of line.match(/ *\S+/g) ?? []) {
    if (current.trim() !== "" && widthOf(current + word) > columns) {
      lines.push(current)
      current = indent + word.trimStart()
    } else current += word
  }
  return [...lines, current].join("\n")
}

/** Wraps each line of `help` to `columns`, but for examples, which are to be copied. */
export const wrapHelp = (help: string, columns: number): string => {
  const lines = help.split("\n")
  const examples = lines.findIndex((line) => line.replace(colour, "") === "EXAMPLES")
  return lines.map((line, i) => (examples >= 0 && i > examples ? line : wrapLine(line, columns))).join("\n")
}
