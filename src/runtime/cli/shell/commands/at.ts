import * as Effect from "effect/Effect"
import { escapeText } from "../../format/bytesText.ts"
import { usage } from "../../shared.ts"
import { parseArguments, textOf } from "../arguments.ts"
import type { ShellCommand } from "../ShellCommand.ts"
import { countCommand, getCommand, scanCommand } from "./reading.ts"

const inThePast: ReadonlyArray<ShellCommand> = [getCommand, scanCommand, countCommand]

/** A sequence, or a time as JavaScript reads it. */
const momentOf = (text: string): number | Date | undefined => {
  if (/^\d+$/.test(text)) return Number(text)
  const date = new Date(text)
  return Number.isNaN(date.getTime()) ? undefined : date
}

export const atCommand: ShellCommand = {
  name: "at",
  usage: "at <sequence|time> get|scan|count …",
  positionsMin: 2,
  positionsMax: Number.POSITIVE_INFINITY,
  options: {},
  verbatim: true,
  summary: "Read as it was after a commit, or at a time",
  details: [
    "As far back as the database keeps its history (option retention.history; default: it keeps none).",
    "A time is written as 2026-01-31T12:00:00Z, with a zone or Z; without one it is local."
  ],
  examples: [
    ["at 41 get user/1", "The value after the commit 41"],
    ["at 2026-01-31T12:00:00Z scan user/", "As it was that noon"]
  ],
  completes: "command",
  writes: false,
  run: Effect.fnUntraced(function* ({ arguments: { positions }, out, session }) {
    const [momentWord, nameWord, ...rest] = positions
    const text = textOf(momentWord!)
    const moment = momentOf(text)
    if (moment === undefined)
      return yield* usage(`${JSON.stringify(text)} is neither a sequence nor a time`, "Give a whole number, or a time as 2026-01-31T12:00:00Z.")
    const name = textOf(nameWord!)
    const command = inThePast.find((known) => known.name === name)
    if (command === undefined) return yield* usage(`at cannot be used with ${escapeText(name)}`, `Usage: ${atCommand.usage}`)
    const given = yield* parseArguments(command, rest)
    const snapshot = yield* session.target.at(moment)
    return yield* command.run({ session, arguments: given, reads: snapshot, out })
  })
}
