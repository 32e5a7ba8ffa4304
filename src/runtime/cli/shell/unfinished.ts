/** Whether JavaScript needs more lines: a bracket, a template or a comment is open, and it does not compile as it is. */
import * as vm from "node:vm"

const closes: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" }

/** Looks past strings and comments; regular expressions are not told from divisions, which the compiler's answer makes up for. */
const hasOpen = (code: string): boolean => {
  const open: Array<string> = []
  for (let i = 0; i < code.length; i++) {
    const character = code[i]!
    const inTemplate = open.at(-1) === "`"
    if (inTemplate) {
      if (character === "\\") i++
      else if (character === "`") open.pop()
      else if (character === "$" && code[i + 1] === "{") {
        open.push("}")
        i++
      }
    } else if (character === "'" || character === '"') {
      const end = endOfString(code, i)
      // An unclosed string is a mistake: it cannot go on in the next line.
      if (end === undefined) return false
      i = end
    } else if (character === "`") open.push("`")
    else if (code.startsWith("//", i)) {
      const end = code.indexOf("\n", i)
      i = end < 0 ? code.length : end
    } else if (code.startsWith("/*", i)) {
      const end = code.indexOf("*/", i + 2)
      if (end < 0) return true
      i = end + 1
    } else if (closes[character] !== undefined) open.push(closes[character])
    else if (character === open.at(-1)) open.pop()
    else if (character === ")" || character === "]" || character === "}") return false
  }
  return open.length > 0
}

const endOfString = (code: string, start: number): number | undefined => {
  for (let i = start + 1; i < code.length && code[i] !== "\n"; i++) {
    if (code[i] === "\\") i++
    else if (code[i] === code[start]) return i
  }
  return undefined
}

export const isUnfinished = (code: string): boolean => {
  try {
    // `await` is legal in it, and it is compiled, never run.
    new vm.Script(`(async () => {\n${code}\n})`)
    return false
  } catch {
    return hasOpen(code)
  }
}
