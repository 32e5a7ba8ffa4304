/** The generations of a projection: keyspaces that are filled one after the other, of which one serves. Each has its row, and a cursor of the same name as its keyspace. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import type {
  ChangesError,
  CursorError,
  InvalidKeyspaceName,
  KeyspaceNotFound,
  ScanError,
  TransactionError,
  TransactionScanError,
  TransactionWriteError
} from "../../domain/errors.ts"
import type { DatabaseShape, Snapshot } from "../../services/Database.ts"
import {
  decodeGeneration,
  encodeGeneration,
  generationKey,
  generationsPrefix,
  rowsKeyspace,
  servingKey,
  targetName,
  targetOf
} from "./projectionRows.ts"
import type { ProjectionState } from "./registry.ts"

/** What running a projection can end with beside the error of its `apply`. */
export type ProjectionError =
  | ScanError
  | TransactionError
  | TransactionScanError
  | TransactionWriteError
  | ChangesError
  | CursorError
  | KeyspaceNotFound
  | InvalidKeyspaceName

/** The generation that serves. */
export interface Serving {
  /** Its keyspace. */
  readonly target: string
  /** The first sequence it does not hold. */
  readonly next: number
}

/** Undefined where there is no projection of the name. */
export const servingIn = (snapshot: Snapshot, name: string) =>
  Effect.gen(function* () {
    const rows = yield* snapshot.keyspace(rowsKeyspace)
    const target = yield* rows.getText(servingKey(name))
    if (target === undefined) return undefined
    const row = yield* rows.get(generationKey(target))
    return row === undefined ? undefined : { target, next: decodeGeneration(row).next }
  }).pipe(Effect.catchTag("KeyspaceNotFound", () => Effect.undefined))

export const servingOf = (db: DatabaseShape, name: string) => Effect.scoped(Effect.flatMap(db.snapshot, (snapshot) => servingIn(snapshot, name)))

const numberOf = (target: string): number => Number(/@(\d+)$/.exec(target)?.[1] ?? 0)

/** Gives a new generation its row, so that it is found again whatever happens, then its keyspace. Answers the name of that. */
export const reserve = (db: DatabaseShape, name: string, keyspace: string, state: ProjectionState): Effect.Effect<string, ProjectionError> =>
  Effect.gen(function* () {
    const taken = new Set((yield* db.keyspaces).map((info) => info.name))
    const serving = yield* servingOf(db, name)
    const target = yield* db.transaction((tx) =>
      Effect.gen(function* () {
        const rows = yield* tx.keyspace(rowsKeyspace)
        for (const { key } of yield* Stream.runCollect(rows.scan({ prefix: generationsPrefix }))) taken.add(targetOf(key))
        let number = serving === undefined ? 1 : numberOf(serving.target) + 1
        while (taken.has(targetName(keyspace, number))) number++
        const chosen = targetName(keyspace, number)
        // Before anybody can see it, and take it for something left behind.
        state.building.add(chosen)
        yield* rows.put(generationKey(chosen), encodeGeneration({ name, next: 0 }))
        return chosen
      })
    )
    yield* db.keyspace(target)
    return target
  })

/** The row goes last: what is left of it after a crash is found by it. */
export const dropGeneration = (db: DatabaseShape, target: string): Effect.Effect<void, ProjectionError> =>
  Effect.gen(function* () {
    yield* Effect.catchTag(db.dropCursor(target), "CursorNotFound", () => Effect.void)
    yield* Effect.catchTag(Effect.asVoid(db.dropKeyspace(target)), "KeyspaceNotFound", () => Effect.void)
    const rows = yield* db.keyspace(rowsKeyspace)
    yield* rows.delete(generationKey(target))
  })

/** Drops the generations of the projection that neither serve nor are being built: a crash, an error or an interruption left them. */
export const dropLeftovers = (db: DatabaseShape, name: string, state: ProjectionState): Effect.Effect<void, ProjectionError> =>
  Effect.gen(function* () {
    const left = yield* Effect.scoped(
      Effect.gen(function* () {
        const snapshot = yield* db.snapshot
        const serving = yield* servingIn(snapshot, name)
        const rows = yield* snapshot.keyspace(rowsKeyspace)
        const all = yield* Stream.runCollect(rows.scan({ prefix: generationsPrefix }))
        return all
          .filter(({ value }) => decodeGeneration(value).name === name)
          .map(({ key }) => targetOf(key))
          .filter((target) => target !== serving?.target && !state.building.has(target))
      })
    )
    for (const target of left) yield* dropGeneration(db, target)
  })

/** Lets `target`, which holds everything before `next`, serve from now on. Answers what served before. The caller holds the turn, so that nothing is folded meanwhile. */
export const serve = (db: DatabaseShape, name: string, { target, next }: Serving): Effect.Effect<string | undefined, ProjectionError> =>
  db.transaction((tx) =>
    Effect.gen(function* () {
      const rows = yield* tx.keyspace(rowsKeyspace)
      const before = yield* rows.get(servingKey(name))
      yield* rows.put(generationKey(target), encodeGeneration({ name, next }))
      yield* rows.put(servingKey(name), target)
      return before === undefined ? undefined : decodeText(before)
    })
  )
