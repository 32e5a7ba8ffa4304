/** What every verb is told: the flags that all of them share, and how they open the database. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import type { DatabaseShape, Durability, Operations } from "../../services/Database.ts"
import { CliFailure } from "./CliFailure.ts"
import { explain } from "./explain.ts"
import { ExitCode } from "./exitCodes.ts"
import { salvageJson, salvageLines } from "./format/losses.ts"
import { Opener } from "./Opener.ts"
import { Output } from "./Output.ts"

export interface Shared {
  readonly path: string
  readonly keyspace: Option.Option<string>
  readonly json: boolean
  /** Keys are given and printed in hexadecimal. */
  readonly hex: boolean
}

export const usage = (message: string, hint?: string): CliFailure => new CliFailure({ tag: "Usage", message, hint, exitCode: ExitCode.usage })

export interface Opened {
  readonly db: DatabaseShape
  /** The keyspace of `--keyspace`, or the database itself. */
  readonly target: Operations
  /** With `--salvage`: what is lost, as a field of the JSON result. */
  readonly salvaged?: { readonly salvage: ReturnType<typeof salvageJson> }
}

export interface ReaderOptions {
  readonly snapshotLeaseMs?: number
  readonly bulk?: boolean
  readonly checkpoints?: string
  readonly salvage?: boolean
}

/** A reading verb never creates anything and works beside a live writer. With `salvage` it says on standard error what is lost, before anything else. */
export const openReader = Effect.fnUntraced(function* (shared: Shared, options: ReaderOptions = {}) {
  const opener = yield* Opener
  const db = yield* Effect.mapError(opener.open({ path: shared.path, readOnly: true, ...options }), explain)
  const opened: Opened = yield* select(db, shared, false)
  if (db.salvage === undefined) return opened
  const output = yield* Output
  const salvaged = { salvage: salvageJson(db.salvage) }
  const lines = salvageLines(db.salvage)
  if (lines.length > 0) yield* Effect.forEach(shared.json ? [JSON.stringify(salvaged)] : lines, output.note, { discard: true })
  return { ...opened, salvaged }
})

/** `create: false` refuses to make a new database or keyspace: deleting from what does not exist is a mistyped name. */
export const openWriter = Effect.fnUntraced(function* (
  shared: Shared,
  options: { readonly create: boolean; readonly durability?: Durability | undefined; readonly bulk?: boolean | undefined }
) {
  const opener = yield* Opener
  if (!options.create && !(yield* opener.exists(shared.path))) {
    return yield* new CliFailure({
      tag: "NotADatabase",
      message: `There is no database at ${shared.path}`,
      hint: "Check --path. `lightning put` and `lightning import` create a database.",
      exitCode: ExitCode.failure,
      details: { path: shared.path }
    })
  }
  const db = yield* Effect.mapError(opener.open({ path: shared.path, readOnly: false, durability: options.durability, bulk: options.bulk }), explain)
  return yield* select(db, shared, options.create)
})

const select = Effect.fnUntraced(function* (db: DatabaseShape, shared: Shared, create: boolean) {
  if (Option.isNone(shared.keyspace)) return { db, target: db } satisfies Opened
  const name = shared.keyspace.value
  if (!create) {
    const names = (yield* Effect.mapError(db.keyspaces, explain)).map((keyspace) => keyspace.name)
    if (!names.includes(name)) {
      return yield* new CliFailure({
        tag: "KeyspaceNotFound",
        message: `There is no keyspace ${JSON.stringify(name)} in ${shared.path}`,
        hint: names.length === 0 ? "It has no keyspaces besides the default one: leave out --keyspace." : `It has: ${names.join(", ")}.`,
        exitCode: ExitCode.notFound,
        details: { name, keyspaces: names }
      })
    }
  }
  const target: Operations = yield* Effect.mapError(db.keyspace(name), explain)
  return { db, target } satisfies Opened
})

/** A key from the command line: its UTF-8 text, or bytes with `--hex`. */
export const parseKey = (shared: Shared, text: string, what = "key"): Effect.Effect<string | Uint8Array, CliFailure> => {
  if (!shared.hex) {
    return text === "" ? Effect.fail(usage(`The ${what} is empty`, "A key has at least one byte.")) : Effect.succeed(text)
  }
  const digits = text.startsWith("0x") ? text.slice(2) : text
  if (digits === "" || digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) {
    return Effect.fail(
      usage(`The ${what} ${JSON.stringify(text)} is not hexadecimal`, "With --hex, keys are pairs of hexadecimal digits, for example 0x00ff.")
    )
  }
  return Effect.succeed(new Uint8Array(Buffer.from(digits, "hex")))
}

/** Prints a result: lines for a person, or one JSON object on one line. */
export const printResult = Effect.fnUntraced(function* (shared: Shared, lines: ReadonlyArray<string>, json: unknown) {
  const output = yield* Output
  yield* output.write(shared.json ? `${JSON.stringify(json)}\n` : lines.map((line) => `${line}\n`).join(""))
})

/** The absolute, link-free form of a path that may not exist yet: of its nearest existing parent. */
export const realPath = (name: string): string => {
  const absolute = path.resolve(name)
  try {
    return fs.realpathSync(absolute)
  } catch {
    const parent = path.dirname(absolute)
    return parent === absolute ? absolute : path.join(realPath(parent), path.basename(absolute))
  }
}
