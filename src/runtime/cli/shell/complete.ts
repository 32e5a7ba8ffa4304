/** What Tab offers: commands, options, keyspaces, keys; in JavaScript the members of objects. */
import { decodeText, formatHex } from "../format/bytesText.ts"
import { textOf } from "./arguments.ts"
import { commandNamed, commands } from "./commands.ts"
import { dotCommands } from "./dotCommands.ts"
import { isJavaScript } from "./interpret.ts"
import type { JavaScript } from "./JavaScript.ts"
import type { Completer } from "./LineEditor.ts"
import type { Session } from "./Session.ts"
import type { ShellCommand } from "./ShellCommand.ts"
import { bareWord, lex, type Lexed, quotedWord, type Word } from "./words.ts"

const candidatesMax = 50
/** A completion that is not there at once is no help. */
const budgetMs = 20

/** Keys with this prefix. Where there are more than are offered, the last one is among them, so that what all have in common is right. */
const keysWith = (session: Session, prefix: string | Uint8Array): Array<Uint8Array> => {
  const range = prefix.length === 0 ? {} : { prefix }
  const endMs = performance.now() + budgetMs
  const keys: Array<Uint8Array> = []
  let complete = false
  try {
    const entries = session.target.unsafe.entries(range)
    for (;;) {
      const next = entries.next()
      if (next.done === true) {
        complete = true
        break
      }
      keys.push(next.value[0])
      if (keys.length >= candidatesMax || performance.now() > endMs) {
        entries.return?.()
        break
      }
    }
    if (!complete) {
      for (const [key] of session.target.unsafe.entries({ ...range, reverse: true, limit: 1 })) {
        if (keys.length >= candidatesMax) keys.pop()
        if (!keys.some((known) => Buffer.compare(known, key) === 0)) keys.push(key)
      }
    }
  } catch {
    // A database that cannot be read says so when it is asked something; Tab stays silent.
    return []
  }
  return keys
}

interface Partial {
  readonly value: string | Uint8Array
  /** As it stands in the line. */
  readonly typed: string
}

/** The word in which the line ends. */
const partialOf = (line: string, { lastIsOpen, words }: Lexed): Partial => {
  const last = words.at(-1)
  return lastIsOpen && last !== undefined ? { value: last.value, typed: line.slice(last.start) } : { value: "", typed: "" }
}

/** A key as it is written in the line: in the style of quotes that was begun. */
const written = (key: Uint8Array, typed: string, hexKeys: boolean): string => {
  const text = hexKeys && !/^['"]/.test(typed) ? undefined : decodeText(key)
  if (text === undefined || typed.startsWith("0x")) return hexKeys && !typed.startsWith("0x") ? formatHex(key).slice(2) : formatHex(key)
  // oxlint-disable-next-line no-control-regex
  if (typed.startsWith("'") && !/['\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(text)) return `'${text}'`
  return /^['"]/.test(typed) ? quotedWord(text) : bareWord(text)
}

const keyCandidates = (session: Session, { typed, value }: Partial): ReadonlyArray<string> => {
  let prefix = value
  if (typeof value === "string") {
    // A hexadecimal word ends between two digits more often than not.
    const digits = /^0x([0-9a-fA-F]*)$/.exec(typed)?.[1] ?? (session.hexKeys && /^[0-9a-fA-F]*$/.test(typed) ? typed : undefined)
    if (digits !== undefined) prefix = new Uint8Array(Buffer.from(digits.slice(0, digits.length & ~1), "hex"))
  }
  const candidates = keysWith(session, prefix).map((key) => written(key, typed, session.hexKeys))
  return typed.startsWith("0x") ? candidates.filter((candidate) => candidate.startsWith(typed.toLowerCase())) : candidates
}

const keyspaceCandidates = (names: ReadonlyArray<string>, { typed, value }: Partial): ReadonlyArray<string> =>
  names.filter((name) => typeof value === "string" && name.startsWith(value)).map((name) => written(Buffer.from(name), typed, false))

const startingWith = (names: ReadonlyArray<string>, { value }: Partial): ReadonlyArray<string> =>
  names.filter((name) => typeof value === "string" && name.startsWith(value))

const argumentCandidates = (
  session: Session,
  keyspaces: () => ReadonlyArray<string>,
  command: ShellCommand,
  before: ReadonlyArray<Word>,
  partial: Partial
): ReadonlyArray<string> => {
  if (command.verbatim === true) {
    const [, nameWord, ...rest] = before
    if (before.length === 0) return []
    if (nameWord === undefined) return startingWith(["get ", "scan ", "count "], partial)
    const inner = commandNamed(textOf(nameWord))
    return inner === undefined || inner.verbatim === true ? [] : argumentCandidates(session, keyspaces, inner, rest, partial)
  }
  if (partial.typed.startsWith("-"))
    return startingWith(
      Object.keys(command.options).map((name) => `--${name} `),
      partial
    )
  const last = before.at(-1)
  const option = last === undefined || last.quoted ? undefined : /^--(\w[\w-]*)$/.exec(textOf(last))?.[1]
  const kind = option === undefined ? undefined : command.options[option]
  if (kind !== undefined && kind !== "switch") return kind === "key" ? keyCandidates(session, partial) : []
  if (command.name === "put" && before.length > 0) return []
  if (command.completes === "keyspace") return keyspaceCandidates(keyspaces(), partial)
  return command.completes === "key" ? keyCandidates(session, partial) : []
}

export interface CompleterParts {
  readonly session: Session
  /** Names known at the last prompt. */
  readonly keyspaces: () => ReadonlyArray<string>
  /** The lines of the input before this one, with their breaks. */
  readonly pending: () => string
  readonly javascript: () => Promise<JavaScript>
}

export const makeCompleter =
  ({ javascript, keyspaces, pending, session }: CompleterParts): Completer =>
  (line) => {
    const text = pending() + line
    if (isJavaScript(session, text)) return session.evaluator?.complete(line) ?? javascript().then((made) => made.complete(line))
    const lexed = lex(text)
    if (lexed.mistake !== undefined || lexed.missing === "heredoc" || lexed.missing === "escape") return [[], line]
    const partial = partialOf(text, lexed)
    const before = lexed.lastIsOpen ? lexed.words.slice(0, -1) : lexed.words
    const [first, ...rest] = before
    if (first === undefined) {
      const names = commands.map(({ name }) => `${name} `)
      const more = [...dotCommands.map(({ name }) => `${name} `), "exit", "help "]
      return [startingWith(partial.typed === "" ? names : [...names, ...more], partial), partial.typed]
    }
    const name = textOf(first)
    if (name.startsWith(".") || name === "help") {
      const command = dotCommands.find((known) => known.name === (name === "help" ? ".help" : name))
      return [rest.length > 0 || command === undefined ? [] : startingWith(command.choices(), partial), partial.typed]
    }
    const command = commandNamed(name)
    return [command === undefined ? [] : argumentCandidates(session, keyspaces, command, rest, partial), partial.typed]
  }
