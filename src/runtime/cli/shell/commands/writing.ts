/** `put` and `delete`. */
import * as Effect from "effect/Effect"
import type { Durability, WriteOperation, WriteResult } from "../../../../services/Database.ts"
import { formatBytes, formatNoun } from "../../format/numbers.ts"
import { keyOf, textOf } from "../arguments.ts"
import type { Arguments } from "../arguments.ts"
import { jsonKey } from "../entries.ts"
import type { Session } from "../Session.ts"
import type { ShellCommand } from "../ShellCommand.ts"
import type { Writer } from "../Writer.ts"
import { wordOf } from "../words.ts"
import { jsonText } from "../jsonText.ts"

const durabilityOf = ({ options }: Arguments): { readonly durability?: Durability } => (options.has("buffered") ? { durability: "buffered" } : {})

const report = (session: Session, out: Writer, line: string, { durability, sequence }: WriteResult, fields: object) =>
  out.write(session.format === "json" ? jsonText(session, { ...fields, sequence, durability }) : `${line}, sequence ${sequence}, ${durability}\n`)

export const putCommand: ShellCommand = {
  name: "put",
  usage: "put <key> <value> [--ttl <duration>] [--buffered]",
  positionsMin: 2,
  positionsMax: 2,
  options: { ttl: "text", buffered: "switch" },
  summary: "Store a value",
  details: [
    "A value of several lines: leave its quote open, or write <<END and end it with a line that is END.",
    "--ttl is a duration (500 millis, 5 minutes, 2 days), after which the value goes by itself. --buffered does not wait for stable storage.",
    "Values go into the history file with the line; a line that begins with a space does not."
  ],
  examples: [
    ['put user/1 \'{"name":"Ada"}\'', "Text"],
    ["put blob 0x00ff80", "Bytes"],
    ["put session/1 active --ttl '30 minutes'", "For half an hour"],
    ["put note <<END\nfirst line\nsecond line\nEND", "Several lines"]
  ],
  completes: "key",
  writes: true,
  run: Effect.fnUntraced(function* ({ arguments: given, out, session }) {
    const [keyWord, valueWord] = given.positions
    const key = yield* keyOf(session, keyWord!)
    const value = valueWord!.value
    const ttl = given.options.get("ttl")
    const result = yield* session.target.put(key, value, {
      ...durabilityOf(given),
      // What is no duration is refused by the database, by name.
      ...(ttl === undefined ? {} : { ttl: ttlOf(textOf(ttl)) })
    })
    const bytes = Buffer.byteLength(value)
    yield* report(session, out, `stored ${wordOf(key)}, ${formatBytes(bytes)}`, result, {
      ...jsonKey(session, typeof key === "string" ? Buffer.from(key) : key),
      bytes
    })
    return undefined
  })
}

type Ttl = NonNullable<NonNullable<Parameters<Session["target"]["put"]>[2]>["ttl"]>

const units = ["millis", "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks"] as const

/** "30 minutes"; digits alone are milliseconds. Anything else is handed on as no number, which the database refuses. */
const ttlOf = (text: string): Ttl => {
  const [, amount, name = "millis"] = /^(\d+(?:\.\d+)?)(?:\s*([a-z]+))?$/.exec(text) ?? []
  const unit = units.find((known) => known === name)
  return amount === undefined || unit === undefined ? Number.NaN : `${Number(amount)} ${unit}`
}

export const deleteCommand: ShellCommand = {
  name: "delete",
  usage: "delete <key> [<key> …] [--buffered]",
  positionsMin: 1,
  positionsMax: Number.POSITIVE_INFINITY,
  options: { buffered: "switch" },
  summary: "Delete keys, all in one atomic write",
  details: ["A key that is not there is no error; the answer says how many there were."],
  examples: [
    ["delete user/1", "One key"],
    ["delete user/1 user/2 0x00ff", "Three, or none of them"]
  ],
  completes: "key",
  writes: true,
  run: Effect.fnUntraced(function* ({ arguments: given, out, session }) {
    const operations: Array<WriteOperation> = []
    for (const word of given.positions) operations.push({ type: "delete", key: yield* keyOf(session, word) })
    const present = (yield* session.target.getMany(operations.flatMap((operation) => (operation.type === "delete" ? [operation.key] : [])))).filter(
      (value) => value !== undefined
    ).length
    const result = yield* session.target.write(operations, durabilityOf(given))
    const missing = operations.length - present
    const line = `deleted ${formatNoun(present, "key")}${missing === 0 ? "" : ` (${formatNoun(missing, "was not", "were not")} there)`}`
    yield* report(session, out, line, result, { deleted: present, missing })
    return undefined
  })
}
