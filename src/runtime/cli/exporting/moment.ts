/** The one moment an export is of: a snapshot, or the past, and the keyspaces it takes. */
import * as Effect from "effect/Effect"
import type { Reads } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { importsKeyspace } from "../importing/position.ts"
import { type Opened, usage } from "../shared.ts"

export interface Space {
  /** As it is named in the output (`--all`): undefined stands for the default one, and for the only one. */
  readonly name: string | undefined
  readonly reads: Reads
}

export interface Moment {
  readonly sequence: number
  readonly spaces: ReadonlyArray<Space>
}

/** `--at`: a sequence, or a time of ISO 8601. */
export const parseAt = (text: string): Effect.Effect<number | Date, CliFailure> => {
  if (/^\d+$/.test(text)) {
    const sequence = Number(text)
    return Number.isSafeInteger(sequence) ? Effect.succeed(sequence) : Effect.fail(usage(`--at ${text} is too large for a sequence`))
  }
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text) : new Date(Number.NaN)
  return Number.isNaN(time.getTime())
    ? Effect.fail(usage(`--at ${JSON.stringify(text)} is neither a sequence nor a time`, "Give a number, or a time such as 2026-01-31T12:00:00Z."))
    : Effect.succeed(time)
}

/** Opens the moment until the scope closes. `names` are those of an export that is resumed; without them, all there are. */
export const openMoment = Effect.fnUntraced(function* (
  { db, target }: Opened,
  options: { readonly all: boolean; readonly at: number | Date | undefined; readonly names?: ReadonlyArray<string | null> | undefined }
) {
  const { all, at } = options
  if (!all) {
    const view = yield* at === undefined ? target.snapshot : target.at(at)
    return { sequence: view.sequence, spaces: [{ name: undefined, reads: view }] } satisfies Moment
  }
  const view = yield* at === undefined ? db.snapshot : db.at(at)
  // The place of an import that has not finished is no data.
  const names =
    options.names?.filter((name) => name !== null) ??
    (yield* db.keyspaces)
      .map(({ name }) => name)
      .filter((name) => name !== importsKeyspace)
      .toSorted()
  const spaces: Array<Space> = [{ name: undefined, reads: view }]
  for (const name of names) {
    const reads: Reads | undefined = yield* Effect.catchTag(view.keyspace(name), "KeyspaceNotFound", (error) =>
      // One that was made since.
      at === undefined ? Effect.fail(error) : Effect.undefined
    )
    if (reads !== undefined) spaces.push({ name, reads })
  }
  return { sequence: view.sequence, spaces } satisfies Moment
})

/** The moment of an export that was stopped, where it can still be read; else the reason why not. */
export const reopenMoment = (
  opened: Opened,
  options: { readonly all: boolean; readonly at: number | Date | undefined },
  sequence: number,
  names: ReadonlyArray<string | null>
) =>
  Effect.gen(function* () {
    // Without --at this is the present, and the same one where nothing was committed since.
    const again = yield* openMoment(opened, { ...options, names })
    return again.sequence === sequence ? again : yield* openMoment(opened, { ...options, at: sequence, names })
  }).pipe(
    Effect.catchTag(["HistoryGone", "FutureMoment", "KeyspaceNotFound", "KeyspaceDropped"], () =>
      Effect.succeed(`sequence ${sequence} can no longer be read: the database has changed since`)
    ),
    Effect.mapError(explain)
  )
