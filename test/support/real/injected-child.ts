/**
 * A process whose system calls are counted, and fail, or kill it, at the n-th. It writes with eight writers for a while, flushes and compacts, and notes what it was told: through a file
 * written synchronously, which a SIGKILL does not take back. Then it reads what was acknowledged, closes, and ends.
 *
 *     node injected-child.ts <database> <notes> <round>
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { layer } from "../../../src/runtime/LightningDb.ts"
import { Database } from "../../../src/services/Database.ts"
import { childOptions, valueFor } from "../killedWriters.ts"
import { writesPerWriter, injectedWriters } from "./injected.ts"

const [path, notesPath, round] = process.argv.slice(2)
if (path === undefined || notesPath === undefined || round === undefined) throw new Error("usage: injected-child.ts <database> <notes> <round>")

const notes = openSync(notesPath, "a")
const note = (line: string): void => {
  writeSync(notes, `${line}\n`)
}

const tagOf = (exit: Exit.Failure<unknown, unknown>): string => {
  const typed = Cause.findErrorOption(exit.cause)
  if (typed._tag === "None") return `Defect ${Cause.pretty(exit.cause).replaceAll("\n", " | ")}`
  const error: unknown = typed.value
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : `Untyped ${String(error)}`
}

// What is compiled is kept at exit, which a killed process does not reach.
flushCompileCache()
note("loaded")

const program = Effect.scoped(
  Effect.gen(function* () {
    const db = Context.get(yield* Layer.build(layer({ path, ...childOptions, memtableBytes: 65_536, walSegmentBytes: 65_536 })), Database)
    note("open")
    const acknowledged: Array<{ readonly key: string; readonly id: string }> = []
    const write = (writer: number) =>
      Effect.gen(function* () {
        for (let i = 0; i < writesPerWriter; i++) {
          const id = `${round}.${writer}.${i}`
          const key = `w${writer}/${round}/${i}`
          note(`? ${id}`)
          const exit = yield* Effect.exit(
            db.write(
              [
                { type: "put", key, value: valueFor(id) },
                { type: "put", key: `last/${writer}`, value: id }
              ],
              { durability: (i + writer) % 3 === 0 ? "buffered" : "sync" }
            )
          )
          if (Exit.isSuccess(exit)) {
            note(`! ${id} ${exit.value.sequence}`)
            acknowledged.push({ key, id })
          } else note(`- ${id} ${tagOf(exit)}`)
        }
      })
    const maintain = Effect.gen(function* () {
      for (const what of ["flush", "compact"] as const) {
        const exit = yield* Effect.exit(what === "flush" ? db.flush : db.compact())
        if (Exit.isFailure(exit)) note(`m ${what} ${tagOf(exit)}`)
      }
    })
    const writers = Array.from({ length: injectedWriters }, (_, writer) => write(writer))
    yield* Effect.all([...writers, maintain], { concurrency: "unbounded" })
    yield* maintain
    for (const { id, key } of acknowledged) {
      const exit = yield* Effect.exit(db.get(key))
      if (Exit.isFailure(exit)) note(`r ${id} ${tagOf(exit)}`)
      else if (exit.value === undefined || compareBytes(exit.value, valueFor(id)) !== 0)
        note(`w ${id} is ${exit.value === undefined ? "missing" : "another value"}`)
    }
  })
)

const exit = await Effect.runPromiseExit(program.pipe(Effect.provideService(References.MinimumLogLevel, "None")))
note(Exit.isSuccess(exit) ? "done" : `o ${tagOf(exit)}`)
