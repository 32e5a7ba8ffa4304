/**
 * A process to be killed: sixteen writers, each with keys of its own, over the engine on the real disk. Before a write is begun its number goes to the parent, and again when it is
 * acknowledged: through a file written synchronously, which a SIGKILL does not take back.
 *
 *     node writer-child.ts <database> <notes> <round>
 *
 * It says that it is loaded, and opens the database when the first byte comes from standard input: the next one is loaded while the one before is at work.
 */
import * as Effect from "effect/Effect"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { once } from "node:events"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"
import { childOptions, valueFor, writerCount } from "./killedWriters.ts"

const [path, notesPath, round] = process.argv.slice(2)
if (path === undefined || notesPath === undefined || round === undefined) throw new Error("usage: writer-child.ts <database> <notes> <round>")

const notes = openSync(notesPath, "a")
const note = (line: string): void => {
  writeSync(notes, `${line}\n`)
}

// What is compiled is kept at exit, and this process has none.
flushCompileCache()
process.stdout.write("loaded\n")
await once(process.stdin, "data")

const program = Effect.scoped(
  Effect.gen(function* () {
    const db = Context.get(yield* Layer.build(layer({ path, ...childOptions, compactionWorkers: Number(round) % 2 })), Database)
    note("open")
    const write = (writer: number) =>
      Effect.gen(function* () {
        for (let i = 0; ; i++) {
          const id = `${round}.${writer}.${i}`
          const durability = (i + writer) % 3 === 0 ? ("buffered" as const) : ("sync" as const)
          note(`? ${id}`)
          const { sequence } = yield* db.write(
            [
              { type: "put", key: `w${writer}/${round}/${i}`, value: valueFor(id) },
              { type: "put", key: `last/${writer}`, value: id }
            ],
            { durability }
          )
          note(`! ${id} ${sequence}`)
        }
      })
    yield* Effect.forEach(
      Array.from({ length: writerCount }, (_, writer) => writer),
      write,
      { concurrency: "unbounded" }
    )
  })
)

Effect.runPromise(program).catch((cause: unknown) => {
  note(`x ${String(cause)}`)
  process.exitCode = 1
})
