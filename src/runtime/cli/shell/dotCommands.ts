/** `.help` and its like: they change the shell, not the database. */
import * as Effect from "effect/Effect"
import { paint } from "../format/paint.ts"
import { usage } from "../shared.ts"
import { textOf } from "./arguments.ts"
import { commandNamed, commands } from "./commands.ts"
import { formats, type Session } from "./Session.ts"
import { padToWidth } from "../format/textWidth.ts"
import type { Writer } from "./Writer.ts"
import type { Word } from "./words.ts"
import { jsonText } from "./jsonText.ts"

type Setting = "timer" | "pager" | "stacks" | "javascript"

export interface DotCommand {
  readonly name: string
  readonly usage: string
  readonly summary: string
  readonly details: ReadonlyArray<string>
  readonly examples: ReadonlyArray<readonly [input: string, description: string]>
  /** What Tab offers for its argument. */
  readonly choices: () => ReadonlyArray<string>
  readonly run: (session: Session, argument: string | undefined, out: Writer) => Effect.Effect<void, unknown>
}

const say = (session: Session, out: Writer, text: string, json: unknown) => out.write(session.format === "json" ? jsonText(session, json) : text)

const onOff = (name: string, setting: Setting, summary: string, details: ReadonlyArray<string>): DotCommand => ({
  name,
  usage: `${name} [on|off]`,
  summary,
  details,
  examples: [[`${name} off`, "Without it"]],
  choices: () => ["on", "off"],
  run: Effect.fnUntraced(function* (session, argument, out) {
    if (argument !== undefined && argument !== "on" && argument !== "off")
      return yield* usage(`${name} is ${JSON.stringify(argument)}`, `Usage: ${name} on or ${name} off`)
    if (argument === undefined && setting !== "javascript") {
      return yield* say(session, out, `${name} is ${session[setting] ? "on" : "off"}\n`, { [setting]: session[setting] })
    }
    session[setting] = argument === undefined ? !session[setting] : argument === "on"
  })
})

const helpLines = (session: Session): string => {
  const style = paint(session.output.stdoutColours)
  const section = (title: string, rows: ReadonlyArray<readonly [string, string]>): string =>
    `${style("bold", title)}\n${rows.map(([name, text]) => `  ${style("cyan", padToWidth(name, 12))}${text}\n`).join("")}`
  return [
    section(
      "Commands",
      commands.map(({ name, summary }) => [name, summary])
    ),
    section(
      "The shell itself",
      dotCommands.map(({ name, summary }) => [name, summary])
    ),
    section("Writing", [
      ["'…' \"…\"", 'Quotes around what has spaces; in "…" the escapes \\n \\t \\xNN \\u{…}'],
      ["0x00ff", "Bytes"],
      ["<<END", "A value of several lines, up to a line that is END"],
      ["= db. await", "A line that begins so is JavaScript, with the database as db: = await db.getText('a')"],
      ["#", "A comment"]
    ]),
    `.help <command> has examples.${session.interactive ? " Tab completes, Ctrl-C stops a command, Ctrl-D ends." : ""}\n`
  ].join("\n")
}

const helpOf = (session: Session, name: string): string | undefined => {
  const topic = commandNamed(name) ?? dotCommands.find((command) => command.name === name || command.name === `.${name}`)
  if (topic === undefined) return undefined
  const style = paint(session.output.stdoutColours)
  const examples = topic.examples.map(([input, description]) => `  ${input.replaceAll("\n", "\n  ")}\n      ${style("dim", description)}\n`)
  return `${style("bold", topic.usage)}\n  ${[topic.summary, ...topic.details].join("\n  ")}\n\n${style("bold", "Examples")}\n${examples.join("")}`
}

const helpCommand: DotCommand = {
  name: ".help",
  usage: ".help [command]",
  summary: "This list, or one command with examples",
  details: [],
  examples: [
    [".help", "All commands"],
    [".help scan", "Options and examples of one"]
  ],
  choices: () => [...commands, ...dotCommands].map(({ name }) => name),
  run: Effect.fnUntraced(function* (session, argument, out) {
    const text = argument === undefined ? helpLines(session) : helpOf(session, argument)
    if (text === undefined) return yield* usage(`There is no command ${JSON.stringify(argument)}`, ".help lists all commands.")
    yield* say(session, out, text, { help: text })
  })
}

const exitCommand: DotCommand = {
  name: ".exit",
  usage: ".exit",
  summary: "End the shell (also: exit, quit, Ctrl-D)",
  details: ["The database is closed first; what was acknowledged is stored."],
  examples: [[".exit", "End"]],
  choices: () => [],
  run: (session) => Effect.sync(() => void (session.ended = true))
}

const formatCommand: DotCommand = {
  name: ".format",
  usage: `.format [${formats.join("|")}]`,
  summary: "How results are shown: table, json, raw or hex",
  details: [
    "table: columns that fit the terminal, long values cut; into a pipe: key, tab, value, escaped.",
    "json: one object a line, errors too. raw: uncut; into a pipe byte for byte. hex: keys and values in hexadecimal."
  ],
  examples: [
    [".format json", "For a program"],
    [".format table", "For a person"]
  ],
  choices: () => formats,
  run: Effect.fnUntraced(function* (session, argument, out) {
    const format = formats.find((known) => known === argument)
    if (format !== undefined) session.format = format
    else if (argument === undefined) yield* say(session, out, `${session.format}\n`, { format: session.format })
    else return yield* usage(`There is no format ${JSON.stringify(argument)}`, `There are: ${formats.join(", ")}.`)
  })
}

const historyCommand: DotCommand = {
  name: ".history",
  usage: ".history [n]",
  summary: "What was typed before, the newest last",
  details: [
    "Kept between sessions in $XDG_STATE_HOME/lightning/history (~/.local/state/lightning/history), at most 1,000 lines, readable by you alone.",
    "A line that begins with a space is not kept; --no-history keeps none. For the versions of a key, see history."
  ],
  examples: [
    [".history", "The last twenty"],
    [".history 100", "More"]
  ],
  choices: () => [],
  run: Effect.fnUntraced(function* (session, argument, out) {
    if (argument !== undefined && !/^\d+$/.test(argument))
      return yield* usage(`.history is given ${JSON.stringify(argument)}`, "Give a number of lines.")
    const count = Number(argument ?? 20)
    const lines = count === 0 ? [] : session.history.slice(-count)
    yield* say(session, out, lines.map((line) => `${line}\n`).join(""), lines)
  })
}

export const dotCommands: ReadonlyArray<DotCommand> = [
  helpCommand,
  exitCommand,
  formatCommand,
  onOff(".timer", "timer", "Show how long each command took", ["On at a terminal, off in a script."]),
  onOff(".pager", "pager", "Page what is longer than the screen", [
    "Through $PAGER, else less -FRX, else page by page here. PAGER= (empty) or PAGER=cat: never."
  ]),
  historyCommand,
  {
    ...onOff(".js", "javascript", "JavaScript on every line, until .js again", [
      "db is the database as promises (get, getText, put, delete, entries, transaction, …), _ the last result. Commands with a dot still work."
    ]),
    examples: [
      [".js", "Begin, or end"],
      ["= await db.getText('user/1')", "One line of it, without .js"],
      ["db.entries({ prefix: 'user/', limit: 3 })", "An iterator is walked, up to 100 items"]
    ]
  },
  onOff(".stack", "stacks", "Show where in the code an error of JavaScript came from", ["Off by default."])
]

export const runDotCommand = (session: Session, words: ReadonlyArray<Word>, out: Writer): Effect.Effect<void, unknown> => {
  const [nameWord, argumentWord, tooMuch] = words
  const name = nameWord === undefined ? "" : textOf(nameWord)
  const command = dotCommands.find((known) => known.name === name)
  if (command === undefined)
    return Effect.fail(
      usage(
        `There is no command ${JSON.stringify(name)}`,
        `.help lists all commands.${nearest(
          name,
          dotCommands.map((known) => known.name)
        )}`
      )
    )
  if (tooMuch !== undefined) return Effect.fail(usage(`${name} was given too much: ${JSON.stringify(textOf(tooMuch))}`, `Usage: ${command.usage}`))
  return command.run(session, argumentWord === undefined ? undefined : textOf(argumentWord), out)
}

/** " Did you mean scan?", where a name is nearly one of these. */
export const nearest = (name: string, names: ReadonlyArray<string>): string => {
  if (name.length > 20) return ""
  const best = names.map((known) => [distance(name.toLowerCase(), known), known] as const).toSorted((a, b) => a[0] - b[0])[0]
  return best !== undefined && best[0] <= Math.max(1, Math.floor(best[1].length / 3)) ? ` Did you mean ${best[1]}?` : ""
}

/** Letters to insert, delete, replace or swap with their neighbour. */
const distance = (a: string, b: string): number => {
  const rows = [Array.from({ length: b.length + 1 }, (_, i) => i)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const above = rows[i - 1]!
      let least = Math.min(row[j - 1]! + 1, above[j]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, rows[i - 2]![j - 2]! + 1)
      row.push(least)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
