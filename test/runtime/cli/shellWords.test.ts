/** The grammar of the shell's commands, and what is shown so that it reads back. */
import { describe, expect, it } from "vitest"
import { escapeText } from "../../../src/runtime/cli/format/bytesText.ts"
import { isUnfinished } from "../../../src/runtime/cli/shell/unfinished.ts"
import { textWidth, cutToWidth } from "../../../src/runtime/cli/format/textWidth.ts"
import { bareWord, lex, quotedWord, wordOf } from "../../../src/runtime/cli/shell/words.ts"

const valuesOf = (text: string): ReadonlyArray<string | Uint8Array> => {
  const { mistake, missing, words } = lex(text)
  expect({ text, mistake, missing }).toEqual({ text, mistake: undefined, missing: undefined })
  return words.map(({ value }) => value)
}

describe("words", () => {
  it.each<readonly [string, ReadonlyArray<string | Uint8Array>]>([
    ["  put  user/1\tvalue ", ["put", "user/1", "value"]],
    [String.raw`'as \n it' "line\nbreak \"quoted\" \x41\u0042\u{1f600}"`, [String.raw`as \n it`, 'line\nbreak "quoted" AB😀']],
    [String.raw`a\ b\'c\"d\#e\\f\tg`, ["a b'c\"d#e\\f\tg"]],
    [`pre'fix and'" more"end`, ["prefix and moreend"]],
    [`'' ""`, ["", ""]],
    ["0x00ff '0x00ff' \\0x", [new Uint8Array([0, 255]), "0x00ff", "\0x"]],
    ["0xzz 0x 0x123", ["0xzz", "0x", "0x123"]],
    ["get a # the rest\n", ["get", "a"]],
    ["get a#b '#c'", ["get", "a#b", "#c"]],
    ["get 'two\nlines' \"and\nthree\"", ["get", "two\nlines", "and\nthree"]],
    ["put a \\\nb", ["put", "a", "b"]],
    ["put a <<END\n one 'quote\n#no comment\n\nEND", ["put", "a", " one 'quote\n#no comment\n"]],
    ["put a <<END\nEND", ["put", "a", ""]],
    ["put a '<<END'", ["put", "a", "<<END"]],
    ["a\u00a0b", ["a\u00a0b"]]
  ])("of %j", (text, values) => {
    expect(valuesOf(text)).toEqual(values)
  })

  it.each([
    ["put 'a", "single"],
    ['put "a', "double"],
    ['put "a\\', "double"],
    ["put a\\", "escape"],
    ["put a <<END", "heredoc"],
    ["put a <<END\nline\n END", "heredoc"]
  ])("of %j need more", (text, missing) => {
    expect(lex(text).missing).toBe(missing)
  })

  it.each([
    [String.raw`put "\q"`, String.raw`\q is not an escape`],
    [String.raw`put \xg1`, String.raw`\x is not followed by two hexadecimal digits`],
    [String.raw`put "\u{110000}"`, String.raw`\u is not followed by four hexadecimal digits`],
    ["put <<END more", "Nothing may follow <<END on its line"],
    ["put a <<END\nx\nEND\nget b", "Text follows the end of <<END"]
  ])("of %j are wrong", (text, message) => {
    expect(lex(text).mistake?.message).toBe(message)
  })

  const nasty = [
    "plain",
    "",
    "two words",
    'it\'s "q" \\ #',
    "\u001b[31m\u0007\r\n\t\u009b",
    "\u202e\u2066 rtl",
    "0x00",
    "<<END",
    "--limit",
    "日本語",
    "-1",
    "a\u00a0b",
    "#x"
  ]

  it("that are printed read back as what they stand for", () => {
    for (const text of nasty) {
      for (const word of [wordOf(text), quotedWord(text), ...(text === "" ? [] : [bareWord(text)])]) {
        expect(valuesOf(`get ${word} end`)).toEqual(["get", text, "end"])
        // oxlint-disable-next-line no-control-regex
        expect(word).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
        if (text.startsWith("--")) expect(lex(word).words[0]?.quoted).toBe(true)
      }
    }
    expect(valuesOf(wordOf(new Uint8Array([0, 254])))).toEqual([new Uint8Array([0, 254])])
    // A listing's key without spaces and quotes can be typed as it is shown.
    expect(valuesOf(escapeText("a\u001b\\b\n"))).toEqual(["a\u001b\\b\n"])
  })
})

describe("JavaScript", () => {
  it.each(["[1,", "db.get('a'", "() => {", "`a", "`a ${ 1", "/* a", "if (true) {\n  1", "await db.batch([\n{ type: 'put' },"])(
    "%j needs more lines",
    (code) => {
      expect(isUnfinished(code)).toBe(true)
    }
  )
  it.each(["1 + 1", "'open", "a b", ")", "const", "/[(]/.test('(')", "`a ${'`'} b`", "await x", "// (", "'(' + /* ( */ \"[\""])(
    "%j does not",
    (code) => {
      expect(isUnfinished(code)).toBe(false)
    }
  )
})

describe("widths", () => {
  it("count columns, not characters", () => {
    for (const [text, width] of [
      ["abc", 3],
      ["日本", 4],
      ["e\u0301", 1],
      ["👩‍👩‍👧", 2],
      ["❤️", 2],
      ["\u001b[31mred\u001b[39m", 3],
      ["ｆｕｌｌ", 8],
      ["\u200b", 0]
    ] as const) {
      expect([text, textWidth(text)]).toEqual([text, width])
    }
  })
  it("are kept by cutting between whole characters", () => {
    expect(cutToWidth("日本語", 6)).toBe("日本語")
    expect(cutToWidth("日本語", 5)).toBe("日本…")
    expect(cutToWidth("日本語", 4)).toBe("日…")
    expect(cutToWidth("👩‍👩‍👧👩‍👩‍👧", 3)).toBe("👩‍👩‍👧…")
    expect(cutToWidth("abc", 1)).toBe("…")
  })
})
