/**
 * A process (or a worker thread) that opens a database and does what it is told, one line at a time: for tests of what several of them may do to one directory.
 *
 *     node holding-child.ts <database> [readOnly]
 *
 * It answers each line with one: `open <pid>` or `refused <tag> <pid or -> <message>` first; `put <key> <value>`, `get <key>`, `write <count>` (so many keys in a row, each synced),
 * `health` and `close` then.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { createInterface } from "node:readline"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database, type DatabaseShape } from "../../src/services/Database.ts"

const [path, access] = process.argv.slice(2)
if (path === undefined) throw new Error("usage: holding-child.ts <database> [readOnly]")

const say = (line: string): void => void process.stdout.write(`${line.replaceAll("\n", " ")}\n`)
const refusal = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  if (typeof error !== "object" || error === null || !("_tag" in error)) return `refused defect - ${String(error)}`
  const pid = "pid" in error && error.pid !== undefined ? String(error.pid) : "-"
  return `refused ${String(error._tag)} ${pid} ${"message" in error ? String(error.message) : ""}`
}

let written = 0
const answer = (db: DatabaseShape, line: string): Effect.Effect<string, unknown> => {
  const [verb, first = "", second = ""] = line.split(" ")
  switch (verb) {
    case "put":
      return Effect.map(db.put(first, second), ({ sequence }) => `ok ${sequence}`)
    case "get":
      return Effect.map(db.getText(first), (value) => `value ${value ?? "-"}`)
    case "write":
      return Effect.as(
        Effect.forEach(
          Array.from({ length: Number(first) }, () => written++),
          (i) =>
            db.write([
              { type: "put", key: `n${String(i).padStart(6, "0")}`, value: "v".repeat((i * 37) % 1500) },
              { type: "put", key: "last", value: String(i) }
            ]),
          { discard: true }
        ),
        `written ${written}`
      )
    case "health":
      return Effect.map(db.health, ({ state }) => `health ${state}`)
    default:
      return Effect.die(new Error(`unknown: ${line}`))
  }
}

const scope = Scope.makeUnsafe()
const opened = await Effect.runPromiseExit(
  Scope.provide(
    Layer.build(
      layer({ path, readOnly: access === "readOnly", compactionWorkers: 0, memtableBytes: 65_536, walSegmentBytes: 65_536, tableBytes: 65_536 })
    ),
    scope
  )
)
if (Exit.isFailure(opened)) say(refusal(opened.cause))
else {
  const db = Context.get(opened.value, Database)
  say(`open ${process.pid}`)
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "close") break
    const exit = await Effect.runPromiseExit(answer(db, line))
    say(Exit.isSuccess(exit) ? exit.value : refusal(exit.cause))
  }
  await Effect.runPromise(Scope.close(scope, Exit.void))
  say("closed")
}
