/** `keyspaces` and `use`. */
import * as Effect from "effect/Effect"
import { CliFailure } from "../../CliFailure.ts"
import { ExitCode } from "../../exitCodes.ts"
import { escapeText } from "../../format/bytesText.ts"
import { formatBytes } from "../../format/numbers.ts"
import { paint } from "../../format/paint.ts"
import { textOf } from "../arguments.ts"
import type { Session } from "../Session.ts"
import type { ShellCommand } from "../ShellCommand.ts"
import { padToWidth, textWidth } from "../../format/textWidth.ts"
import { jsonText } from "../jsonText.ts"

export const keyspacesCommand: ShellCommand = {
  name: "keyspaces",
  usage: "keyspaces",
  positionsMin: 0,
  positionsMax: 0,
  options: {},
  summary: "List the keyspaces",
  details: ["With the bytes of the tables that hold only them. The one in use is marked; the default one has no name and is not listed."],
  examples: [["keyspaces", "All of them"]],
  completes: "nothing",
  writes: false,
  run: Effect.fnUntraced(function* ({ out, session }) {
    const keyspaces = yield* session.db.keyspaces
    const { stdoutColours, stdoutIsTerminal } = session.output
    const style = paint(stdoutColours)
    const width = Math.max(0, ...keyspaces.map(({ name }) => textWidth(escapeText(name))))
    const lines = keyspaces.map(({ name, tableBytes }) => {
      if (session.format === "json") return jsonText(session, { name, tableBytes, inUse: name === session.keyspace }).trimEnd()
      if (!stdoutIsTerminal) return `${escapeText(name)}\t${tableBytes}`
      return `${name === session.keyspace ? "*" : " "} ${style("cyan", padToWidth(escapeText(name), width))}  ${formatBytes(tableBytes)}`
    })
    yield* out.write(lines.map((line) => `${line}\n`).join(""))
    return { count: keyspaces.length, noun: ["keyspace", "keyspaces"] }
  })
}

/** Turns to a keyspace for the commands that follow. */
export const useKeyspace = Effect.fnUntraced(function* (session: Session, name: string, create: boolean) {
  if (!create) {
    const names = (yield* session.db.keyspaces).map((keyspace) => keyspace.name)
    if (!names.includes(name)) {
      return yield* new CliFailure({
        tag: "KeyspaceNotFound",
        message: `There is no keyspace ${JSON.stringify(name)}`,
        hint: `${names.length === 0 ? "There is only the default one." : `There are: ${names.join(", ")}.`} use --create makes a new one.`,
        exitCode: ExitCode.notFound,
        details: { name, keyspaces: names }
      })
    }
  }
  session.target = yield* session.db.keyspace(name)
  session.keyspace = name
})

export const useCommand: ShellCommand = {
  name: "use",
  usage: "use [keyspace] [--create]",
  positionsMin: 0,
  positionsMax: 1,
  options: { create: "switch" },
  summary: "Turn to another keyspace",
  details: ["Without a name: to the default one. --create makes the keyspace where there is none of this name."],
  examples: [
    ["use orders", "The commands that follow read and write orders"],
    ["use", "Back to the default keyspace"]
  ],
  completes: "keyspace",
  writes: false,
  run: Effect.fnUntraced(function* ({ arguments: { options, positions }, out, session }) {
    const [word] = positions
    if (word === undefined) {
      session.target = session.db
      session.keyspace = undefined
    } else yield* useKeyspace(session, textOf(word), options.has("create") && !session.readOnly)
    if (session.format === "json") yield* out.write(jsonText(session, { keyspace: session.keyspace ?? null }))
    return undefined
  })
}
