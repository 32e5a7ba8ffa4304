/** `get`, `scan`, `count`, `history`: what only reads keys and values. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CliFailure } from "../../CliFailure.ts"
import { ExitCode } from "../../exitCodes.ts"
import { formatHex, formatLine, formatLineCut, jsonField } from "../../format/bytesText.ts"
import { formatBytes, formatCount } from "../../format/numbers.ts"
import { withWaiting } from "../../waiting.ts"
import { keyOf, numberOf } from "../arguments.ts"
import { jsonKey, valueText, walk, writeEntries } from "../entries.ts"
import type { ShellCommand } from "../ShellCommand.ts"
import { wordOf } from "../words.ts"
import { boundOptions, rangeOf } from "./range.ts"
import { jsonText } from "../jsonText.ts"

const rows = ["row", "rows"] as const

const bytesOf = (key: string | Uint8Array): Uint8Array => (typeof key === "string" ? Buffer.from(key) : key)

export const getCommand: ShellCommand = {
  name: "get",
  usage: "get <key> [<key> …]",
  positionsMin: 1,
  positionsMax: Number.POSITIVE_INFINITY,
  options: {},
  summary: "Print the value of a key",
  details: ["Several keys are read from one moment and listed with their values. A key that is not there is an error (exit code 3 of a script)."],
  examples: [
    ["get user/1", "One value"],
    ["get 'a key with spaces' 0x00ff", "Quoted, and as bytes"]
  ],
  completes: "key",
  writes: false,
  run: Effect.fnUntraced(function* ({ arguments: { positions }, out, reads, session }) {
    const keys: Array<string | Uint8Array> = []
    for (const word of positions) keys.push(yield* keyOf(session, word))
    const values = yield* reads.getMany(keys)
    const missing = keys.filter((_, i) => values[i] === undefined)
    const [value] = values
    if (keys.length === 1 && value !== undefined) {
      if (session.format === "json") {
        yield* out.write(jsonText(session, { ...jsonKey(session, bytesOf(keys[0]!)), ...jsonField("value", value), bytes: value.length }))
      } else yield* out.write(valueText(session, value))
      return { count: 1, noun: rows }
    }
    const found = keys.flatMap((key, i) => {
      const value = values[i]
      return value === undefined ? [] : [{ key: bytesOf(key), value }]
    })
    if (found.length > 0) {
      yield* writeEntries(session, out, Stream.fromIterable(found), false)
    }
    if (missing.length > 0) {
      const words = missing.map(wordOf)
      return yield* new CliFailure({
        tag: "KeyNotFound",
        message: missing.length === 1 ? `There is no key ${words.join("")}` : `There are no keys ${words.join(" ")}`,
        hint: "scan lists which keys there are.",
        exitCode: ExitCode.notFound,
        details: { keys: words }
      })
    }
    return { count: found.length, noun: rows }
  })
}

export const scanCommand: ShellCommand = {
  name: "scan",
  usage: "scan [prefix] [--gte|--gt <key>] [--lte|--lt <key>] [--reverse] [--limit <n>] [--keys-only]",
  positionsMin: 0,
  positionsMax: 1,
  options: { ...boundOptions, reverse: "switch", limit: "number", "keys-only": "switch" },
  summary: "List entries in key order",
  details: ["All entries are of one moment, however long the listing takes. Ctrl-C stops it."],
  examples: [
    ["scan user/ --limit 10", "The first ten keys that begin with user/"],
    ["scan --gte user/2 --lt user/3", "Between two keys"],
    ["scan --reverse --limit 1 --keys-only", "The last key"]
  ],
  completes: "key",
  writes: false,
  run: Effect.fnUntraced(function* ({ arguments: given, out, reads, session }) {
    const range = yield* rangeOf(session, given)
    const count = yield* writeEntries(session, out, reads.scan(range), given.options.has("keys-only"))
    return { count, noun: rows }
  })
}

export const countCommand: ShellCommand = {
  name: "count",
  usage: "count [prefix] [--gte|--gt <key>] [--lte|--lt <key>]",
  positionsMin: 0,
  positionsMax: 1,
  options: boundOptions,
  summary: "Count entries, exactly",
  details: ["Reads all it counts."],
  examples: [
    ["count", "All of the keyspace"],
    ["count user/", "The keys that begin with user/"]
  ],
  completes: "key",
  writes: false,
  run: Effect.fnUntraced(function* ({ arguments: given, out, reads, session }) {
    const range = yield* rangeOf(session, given)
    let count = 0
    yield* withWaiting(
      "counting",
      walk(reads.scan(range), (entries) =>
        Effect.sync(() => {
          count += entries.length
        })
      )
    )
    yield* out.write(session.format === "json" ? jsonText(session, { count }) : `${session.output.stdoutIsTerminal ? formatCount(count) : count}\n`)
    return undefined
  })
}

export const historyCommand: ShellCommand = {
  name: "history",
  usage: "history <key> [--from <sequence>] [--to <sequence>] [--reverse] [--limit <n>]",
  positionsMin: 1,
  positionsMax: 1,
  options: { from: "number", to: "number", reverse: "switch", limit: "number" },
  summary: "List the versions of a key",
  details: [
    "As far back as the database keeps its history (option retention.history; default: it keeps none). For what was typed here, see .history."
  ],
  examples: [
    ["history user/1", "Oldest first"],
    ["history user/1 --reverse --limit 3", "The last three changes"]
  ],
  completes: "key",
  writes: false,
  run: Effect.fnUntraced(function* ({ arguments: { options, positions }, out, session }) {
    const key = yield* keyOf(session, positions[0]!)
    const numbers: Record<string, number> = {}
    for (const name of ["from", "to", "limit"]) {
      const word = options.get(name)
      if (word !== undefined) numbers[name] = yield* numberOf(word, `--${name}`)
    }
    const columns =
      session.output.stdoutIsTerminal && session.format === "table" ? Math.max(10, session.output.columns() - 32) : Number.POSITIVE_INFINITY
    let count = 0
    yield* walk(session.target.history(key, { ...numbers, reverse: options.has("reverse") }), (versions) => {
      count += versions.length
      const lines = versions.map(({ sequence, type, value }) => {
        if (session.format === "json")
          return jsonText(session, { sequence, type, ...(value === undefined ? {} : jsonField("value", value)) }).trimEnd()
        if (value === undefined) return `${sequence}\t${type}`
        const shown =
          session.format === "hex" ? formatHex(value) : columns === Number.POSITIVE_INFINITY ? formatLine(value) : formatLineCut(value, columns)
        return session.output.stdoutIsTerminal
          ? `${String(sequence).padStart(10)}  ${type.padEnd(6)}  ${formatBytes(value.length).padStart(8)}  ${shown}`
          : `${sequence}\t${type}\t${shown}`
      })
      return out.write(lines.map((line) => `${line}\n`).join(""))
    })
    return { count, noun: ["version", "versions"] }
  })
}
