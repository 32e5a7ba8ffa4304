/** Opens the database for a shell: for writing where that can be had, else to read. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { explain } from "../explain.ts"
import { Output } from "../Output.ts"
import { openReader, openWriter, type Shared } from "../shared.ts"
import { useKeyspace } from "./commands/keyspaces.ts"
import type { Session } from "./Session.ts"

export interface OpenOptions {
  readonly readOnly: boolean
  readonly create: boolean
  readonly interactive: boolean
}

/** What opening for writing is refused with where reading may still work. */
const readableStill = new Set(["DatabaseLocked", "PermissionDenied"])

export const openSession = Effect.fnUntraced(function* (shared: Shared, options: OpenOptions) {
  const output = yield* Output
  const whole: Shared = { ...shared, keyspace: Option.none() }
  let why: string | undefined
  const reader = Effect.map(openReader(whole), ({ db }) => ({ db, readOnly: true }))
  const { db, readOnly } = options.readOnly
    ? yield* reader
    : yield* Effect.catch(
        Effect.map(openWriter(whole, { create: options.create }), (opened) => ({ db: opened.db, readOnly: false })),
        (failure) => {
          if (!readableStill.has(failure.tag)) return Effect.fail(failure)
          why = failure.message
          return reader
        }
      )
  const session: Session = {
    db,
    path: shared.path,
    readOnly,
    output,
    interactive: options.interactive,
    hexKeys: shared.hex,
    keyspace: undefined,
    target: db,
    format: shared.json ? "json" : "table",
    timer: options.interactive,
    pager: options.interactive,
    stacks: false,
    javascript: false,
    evaluator: undefined,
    ended: false,
    history: []
  }
  yield* Effect.addFinalizer(() => Effect.promise(async () => session.evaluator?.dispose()))
  if (Option.isSome(shared.keyspace)) yield* Effect.mapError(useKeyspace(session, shared.keyspace.value, options.create && !readOnly), explain)
  return { session, why }
})
