/** The child process of the tour: writes from many fibers, each write acknowledged as `sync`, and reports each step to its parent, until it is killed. */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { layerEngine, Opener } from "../Opener.ts"
import { recordKey, recordValue, writers, writersKeyspace } from "./records.ts"
import { acknowledgedLine, startedLine } from "./reports.ts"

/** Blocks until the pipe has taken the whole line: a report must not be lost with the process. */
const report = (text: string): void => {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(1, bytes, at)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error
    }
  }
}

const [path = "", round = "0"] = process.argv.slice(2)

const writeForEver = Effect.gen(function* () {
  const opener = yield* Opener
  const db = yield* opener.open({ path, readOnly: false, durability: "sync" })
  const keyspace = yield* db.keyspace(writersKeyspace)
  const writer = Effect.fnUntraced(function* (index: number) {
    report(startedLine(index, 0))
    for (let number = 0; ; number++) {
      const id = { round: Number(round), writer: index, number }
      yield* keyspace.put(recordKey(id), recordValue(id), { durability: "sync" })
      report(acknowledgedLine(index, number) + startedLine(index, number + 1))
    }
  })
  yield* Effect.forEach(
    Array.from({ length: writers }, (_, index) => index),
    writer,
    { concurrency: "unbounded", discard: true }
  )
})

await Effect.runPromise(writeForEver.pipe(Effect.scoped, Effect.provide(layerEngine)))
