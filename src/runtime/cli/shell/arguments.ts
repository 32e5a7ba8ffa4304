/** The words after the name of a command, told apart: positions and options. */
import * as Effect from "effect/Effect"
import type { Key } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { usage } from "../shared.ts"
import type { Session } from "./Session.ts"
import type { Word } from "./words.ts"

export type OptionKind = "key" | "number" | "text" | "switch"

export interface Arguments {
  readonly positions: ReadonlyArray<Word>
  readonly options: ReadonlyMap<string, Word>
}

/** What the definition of a command says of its arguments. */
export interface Shape {
  readonly name: string
  readonly usage: string
  readonly positionsMin: number
  readonly positionsMax: number
  readonly options: Readonly<Record<string, OptionKind>>
  /** Every word is a position: options belong to the command within. */
  readonly verbatim?: boolean
}

export const parseArguments = (shape: Shape, words: ReadonlyArray<Word>): Effect.Effect<Arguments, CliFailure> => {
  const positions: Array<Word> = []
  const options = new Map<string, Word>()
  const hint = `Usage: ${shape.usage}`
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (shape.verbatim === true || word.quoted || typeof word.value !== "string" || !word.value.startsWith("--")) {
      positions.push(word)
      continue
    }
    const [name = "", inline] = splitOption(word.value.slice(2))
    const kind = Object.hasOwn(shape.options, name) ? shape.options[name] : undefined
    if (kind === undefined) return Effect.fail(usage(`${shape.name} has no option --${name}`, `${hint}\nA word that begins with -- is quoted: '--'.`))
    if (options.has(name)) return Effect.fail(usage(`--${name} is given twice`, hint))
    if (kind === "switch") {
      if (inline !== undefined) return Effect.fail(usage(`--${name} takes no value`, hint))
      options.set(name, word)
      continue
    }
    const value = inline === undefined ? words[++i] : { ...word, value: inline }
    if (value === undefined) return Effect.fail(usage(`--${name} needs a value`, hint))
    options.set(name, value)
  }
  if (positions.length < shape.positionsMin) return Effect.fail(usage(`${shape.name} needs more than that`, hint))
  if (positions.length > shape.positionsMax) {
    return Effect.fail(
      usage(`${shape.name} was given too much: ${JSON.stringify(textOf(positions[shape.positionsMax]!))}`, `${hint}\nQuote what has spaces in it.`)
    )
  }
  return Effect.succeed({ positions, options })
}

const splitOption = (text: string): [name: string, value: string | undefined] => {
  const at = text.indexOf("=")
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** For names and numbers, which are never bytes. */
export const textOf = (word: Word): string => (typeof word.value === "string" ? word.value : `0x${Buffer.from(word.value).toString("hex")}`)

export const keyOf = (session: Session, word: Word, what = "key"): Effect.Effect<Key, CliFailure> => {
  const { quoted, value } = word
  if (typeof value !== "string") return Effect.succeed(value)
  if (value === "") return Effect.fail(usage(`The ${what} is empty`, "A key has at least one byte."))
  if (quoted) return Effect.succeed(value)
  if (value.startsWith("0x"))
    return Effect.fail(
      usage(`The ${what} ${value} is not hexadecimal`, "Bytes are 0x and pairs of digits, as 0x00ff. Quote it where it is text: '0x…'.")
    )
  if (!session.hexKeys) return Effect.succeed(value)
  if (!/^(?:[0-9a-fA-F]{2})+$/.test(value))
    return Effect.fail(
      usage(
        `The ${what} ${JSON.stringify(value)} is not hexadecimal`,
        "With --hex, bare keys are pairs of hexadecimal digits, for example 00ff. Quote it where it is text."
      )
    )
  return Effect.succeed(new Uint8Array(Buffer.from(value, "hex")))
}

/** A whole number, 0 or more. */
export const numberOf = (word: Word, what: string): Effect.Effect<number, CliFailure> => {
  const text = textOf(word)
  const value = Number(text)
  return /^\d+$/.test(text) && Number.isSafeInteger(value)
    ? Effect.succeed(value)
    : Effect.fail(usage(`${what} is ${JSON.stringify(text)}`, "Give a whole number, 0 or more."))
}
