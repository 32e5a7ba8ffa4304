/** Databases for tests of what looks at files: small ones that hold every kind of thing, and `lightning` over the real disk inside the test. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import { layerEngine, Opener } from "../../../src/runtime/cli/Opener.ts"
import { runCli } from "../../../src/runtime/cli/run.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { captureOutput, type RunOptions } from "./inProcess.ts"

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly statuses: ReadonlyArray<string>
  /** With --json: the objects of standard output. */
  readonly objects: ReadonlyArray<Record<string, unknown>>
}

export const run = async (
  args: ReadonlyArray<string>,
  options: Pick<RunOptions, "terminalColumns" | "colours" | "closeAfterWrites"> = {}
): Promise<Ran> => {
  const captured = captureOutput(options)
  const code = await Effect.runPromise(runCli(args).pipe(Effect.provide(Layer.mergeAll(captured.layer, layerEngine))))
  const out = captured.out().toString()
  return {
    code,
    out,
    err: captured.err(),
    statuses: captured.statuses,
    objects: args.includes("--json") ? out.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Record<string, unknown>])) : []
  }
}

/** Opens for writing, runs, closes. */
export const withDatabase = <A, E>(path: string, body: (db: DatabaseShape) => Effect.Effect<A, E>): Promise<A> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const opener = yield* Opener
        return yield* body(yield* opener.open({ path, readOnly: false }))
      })
    ).pipe(Effect.provide(layerEngine), Effect.orDie)
  )

export const bigValue = (i: number): string => `big value ${i} `.repeat(600 + i)

/** Two tables' worth of rows with a value file, a keyspace, deletes; then, in the log only, one operation of each kind. */
export const makeDatabase = async (path: string): Promise<void> => {
  await withDatabase(path, (db) =>
    Effect.gen(function* () {
      const meta = yield* db.keyspace("meta")
      yield* db.write(
        Array.from({ length: 600 }, (_, i) => ({ type: "put" as const, key: `row/${String(i).padStart(4, "0")}`, value: `value of row ${i}` }))
      )
      yield* db.write(Array.from({ length: 12 }, (_, i) => ({ type: "put" as const, key: `big/${i}`, value: bigValue(i) })))
      yield* meta.put("name", "inspected")
      yield* db.flush
      yield* db.delete("row/0003")
      yield* db.compact()
    })
  )
  await withDatabase(path, (db) =>
    Effect.gen(function* () {
      yield* db.put("annotated", "with a remark", { annotation: "why it was done" })
      yield* db.put("mortal", "goes by itself", { expiresAt: Date.UTC(2100, 0, 1) })
      yield* db.write([{ type: "add", key: "counter", value: 7 }])
      yield* db.write([
        { type: "deleteRange", gte: "row/0100", lt: "row/0200" },
        { type: "delete", key: "row/0001" }
      ])
      yield* db.put("long", "x".repeat(500))
    })
  )
}

/** The names of the files of one kind, oldest first. */
export const filesOf = (path: string, kind: "log" | "manifest" | "table" | "values"): ReadonlyArray<string> =>
  fs
    .readdirSync(path)
    .filter((name) => name.endsWith(`.${kind}`))
    .sort()

export const lastOf = (path: string, kind: "log" | "manifest" | "table" | "values"): string => {
  const name = filesOf(path, kind).at(-1)
  if (name === undefined) throw new Error(`no ${kind} file in ${path}`)
  return name
}

/** Changes one bit of a file. */
export const flip = (file: string, offset: number, bit = 4): void => {
  const bytes = fs.readFileSync(file)
  bytes[offset] = bytes[offset]! ^ (1 << bit)
  fs.writeFileSync(file, bytes)
}

/** Content of every file, to see that nothing was changed. */
export const contentOf = (path: string): Record<string, string> =>
  Object.fromEntries(fs.readdirSync(path).map((name) => [name, fs.readFileSync(`${path}/${name}`).toString("base64")]))
