/**
 * How a command of the shell is written: words apart by spaces, in one grammar for the terminal, scripts and `--command`.
 *
 * - `'text'`: as it stands. `"text"`: with the escapes of JSON and `\xNN`, `\u{…}`. Bare: the same escapes, and a backslash before anything that is no letter or digit. So
 *   what a listing shows can be pasted back.
 * - `0x00ff`, bare: bytes. `<<END` as the last word: the lines that follow, up to one that is `END`; the line break before it does not belong to the value.
 * - A quote may span lines. `#` at the beginning of a word: the rest of the line is a comment.
 */

export interface Word {
  readonly value: string | Uint8Array
  /** A word with a quote or a backslash is never an option, and never bytes. */
  readonly quoted: boolean
  /** Where it begins in the input. */
  readonly start: number
}

/** What is missing at the end of the input. `escape`: a backslash was the last character. */
export type Missing = "single" | "double" | "escape" | "heredoc"

export interface Lexed {
  readonly words: ReadonlyArray<Word>
  readonly missing: Missing | undefined
  /** The line that ends an open heredoc. */
  readonly until: string | undefined
  /** The first mistake. Words after it are not looked at. */
  readonly mistake: { readonly message: string; readonly hint: string } | undefined
  /** Whether the last word ends where the input ends: what Tab completes. */
  readonly lastIsOpen: boolean
}

const simpleEscapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f", "0": "\0" }

/** Other characters that Unicode calls spaces belong to words. */
const isSpace = (character: string): boolean => character === " " || character === "\t" || character === "\n" || character === "\r"

const hexPattern = /^0x((?:[0-9a-fA-F]{2})+)$/

class Lexer {
  readonly #text: string
  #at = 0
  #missing: Missing | undefined
  #mistake: Lexed["mistake"]
  #heredoc: string | undefined
  readonly #words: Array<Word> = []

  constructor(text: string) {
    this.#text = text
  }

  run(): Lexed {
    const text = this.#text
    let lastIsOpen = false
    while (this.#at < text.length && this.#missing === undefined && this.#mistake === undefined) {
      const character = text[this.#at]!
      if (character === "\n") {
        if (this.#heredoc !== undefined) {
          this.#readHeredoc(this.#heredoc)
          break
        }
        // Only a heredoc and open quotes carry a command to a second line; the caller hands in no more than that.
        this.#at++
      } else if (isSpace(character)) this.#at++
      else if (character === "#") {
        const end = text.indexOf("\n", this.#at)
        this.#at = end < 0 ? text.length : end
      } else {
        if (this.#heredoc !== undefined) {
          this.#wrong(`Nothing may follow <<${this.#heredoc} on its line`, "The value begins on the next line.")
          break
        }
        this.#readWord()
        lastIsOpen = this.#at >= text.length
        continue
      }
      lastIsOpen = false
    }
    if (this.#heredoc !== undefined && this.#mistake === undefined && this.#missing === undefined) this.#missing = "heredoc"
    return { words: this.#words, missing: this.#missing, until: this.#heredoc, mistake: this.#mistake, lastIsOpen }
  }

  #wrong(message: string, hint: string): void {
    this.#mistake ??= { message, hint }
  }

  #readHeredoc(name: string): void {
    const lines = this.#text.slice(this.#at + 1).split("\n")
    const end = lines.indexOf(name)
    if (end < 0) {
      this.#missing = "heredoc"
      return
    }
    this.#heredoc = undefined
    this.#words.push({ value: lines.slice(0, end).join("\n"), quoted: true, start: this.#at })
    if (lines.slice(end + 1).some((line) => line.trim() !== "")) this.#wrong(`Text follows the end of <<${name}`, "Begin the next command after it.")
  }

  #readWord(): void {
    const text = this.#text
    const start = this.#at
    let value = ""
    let quoted = false
    while (this.#at < text.length && this.#mistake === undefined && this.#missing === undefined) {
      const character = text[this.#at]!
      if (isSpace(character)) break
      this.#at++
      if (character === "'") {
        quoted = true
        const end = text.indexOf("'", this.#at)
        value += text.slice(this.#at, end < 0 ? text.length : end)
        this.#at = end < 0 ? text.length : end + 1
        if (end < 0) this.#missing = "single"
      } else if (character === '"') {
        quoted = true
        value += this.#readDouble()
      } else if (character === "\\") {
        quoted = true
        value += this.#readEscape(false)
      } else value += character
    }
    const bare = text.slice(start, this.#at)
    if (!quoted && /^<<[A-Za-z_]\w*$/.test(bare)) {
      this.#heredoc = bare.slice(2)
      return
    }
    const hex = hexPattern.exec(bare)
    if (hex !== null) this.#words.push({ value: new Uint8Array(Buffer.from(hex[1]!, "hex")), quoted, start })
    else this.#words.push({ value, quoted, start })
  }

  #readDouble(): string {
    let value = ""
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at++]!
      if (character === '"') return value
      value += character === "\\" ? this.#readEscape(true) : character
      if (this.#missing !== undefined || this.#mistake !== undefined) return value
    }
    this.#missing = "double"
    return value
  }

  #readEscape(inQuotes: boolean): string {
    const text = this.#text
    if (this.#at >= text.length) {
      this.#missing = inQuotes ? "double" : "escape"
      return ""
    }
    const [character = ""] = text.slice(this.#at, this.#at + 2)
    this.#at += character.length
    const simple = simpleEscapes[character]
    if (simple !== undefined) return simple
    // A backslash before the line break joins the lines.
    if (character === "\n") return ""
    if (character === "x" || character === "u") {
      const digits = (character === "x" ? /^[0-9a-fA-F]{2}/ : /^(?:[0-9a-fA-F]{4}|\{[0-9a-fA-F]{1,6}\})/).exec(
        text.slice(this.#at, this.#at + 8)
      )?.[0]
      const code = digits === undefined ? Number.NaN : Number.parseInt(digits.replace(/[{}]/g, ""), 16)
      if (digits !== undefined && code <= 0x10ffff) {
        this.#at += digits.length
        return code > 0xffff ? String.fromCodePoint(code) : String.fromCharCode(code)
      }
      this.#wrong(`\\${character} is not followed by ${character === "x" ? "two" : "four"} hexadecimal digits`, "Write a backslash itself as \\\\.")
      return ""
    }
    if (/[A-Za-z0-9]/.test(character))
      this.#wrong(`\\${character} is not an escape`, "There are \\n \\r \\t \\b \\f \\0 \\xNN \\uNNNN \\u{…}, and \\\\ for a backslash.")
    return character
  }
}

export const lex = (text: string): Lexed => new Lexer(text).run()

/** As a bare word: with backslashes where a space, a quote or a control character would be something else. */
export const bareWord = (text: string): string =>
  escapeControls(text.replace(/[\\ '"#]/g, "\\$&"))
    // A word that would be read as bytes or as a heredoc or as an option.
    .replace(/^(?:0x|<<|--)/, (start) => `\\${start}`.replace("\\0", "\\x30"))

/** As a word in double quotes. */
export const quotedWord = (text: string): string => `"${escapeControls(text.replace(/[\\"]/g, "\\$&"))}"`

const shortControls: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

/** Everything that could steer a terminal or turn the order of what it shows. Backslashes are the caller's. */
const escapeControls = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, (character) => {
    const code = character.charCodeAt(0)
    return shortControls[character] ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`)
  })

/** A word that reads back as this value, on one line. */
export const wordOf = (value: string | Uint8Array): string => {
  if (typeof value !== "string")
    return value.length === 0 ? '""' : `0x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`
  // oxlint-disable-next-line no-control-regex
  return value === "" || /[ '"#\\\u0000-\u001f\u007f-\u009f]|^(?:0x|<<|--)/.test(value) ? quotedWord(value) : escapeControls(value)
}
