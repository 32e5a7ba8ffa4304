/** How verbs get at a database: a service, so that tests open something else than the engine on a directory. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { Database, type DatabaseShape, type Durability } from "../../services/Database.ts"
import { RecoveryProgress } from "../../services/RecoveryProgress.ts"
import { formatBytes, formatDuration } from "./format/numbers.ts"
import { keepHeapSmall } from "./smallHeap.ts"

export interface OpenRequest {
  readonly path: string
  readonly readOnly: boolean
  readonly durability?: Durability | undefined
  /** How long a snapshot stays readable, where the engine's default is too short for the verb. */
  readonly snapshotLeaseMs?: number | undefined
  /** The directory of the restore points, where it is not the one beside the database. */
  readonly checkpoints?: string | undefined
  /** Much will be written, or read once: caches and memtables stay small. */
  readonly bulk?: boolean | undefined
  /** A damaged database is opened as far as it can be read. Read-only. */
  readonly salvage?: boolean | undefined
}

const mib = 1024 * 1024

/** What a long import or export needs, so that its memory does not grow with what goes through. */
const bulkOptions = { memtableBytes: 4 * mib, writeBufferCount: 2, cacheBytes: mib, maxOpenTables: 32 } as const

export class Opener extends Context.Service<
  Opener,
  {
    /** Opens the database until the scope closes. The error is whatever the engine reports; `explain` turns it into words. */
    readonly open: (request: OpenRequest) => Effect.Effect<DatabaseShape, unknown, Scope.Scope>
    /** Whether a database is there. Opens and changes nothing. */
    readonly exists: (path: string) => Effect.Effect<boolean>
  }
>()("lightning-db/runtime/cli/Opener") {}

/** The engine on a directory. It is loaded only when a verb opens a database: `--help` and a mistyped flag do not wait for it. */
export const layerEngine: Layer.Layer<Opener> = Layer.succeed(Opener)({
  open: Effect.fnUntraced(function* (request: OpenRequest) {
    const { layer } = yield* Effect.promise(() => import("../LightningDb.ts"))
    if (request.bulk === true) yield* Effect.acquireRelease(Effect.sync(keepHeapSmall), (end) => Effect.sync(end))
    const context = yield* Layer.build(
      layer({
        path: request.path,
        readOnly: request.readOnly,
        ...(request.bulk === true ? bulkOptions : {}),
        ...(request.checkpoints === undefined ? {} : { checkpoints: request.checkpoints }),
        ...(request.salvage === true ? { salvage: true } : {}),
        ...(request.durability === undefined ? {} : { durability: request.durability }),
        ...(request.snapshotLeaseMs === undefined ? {} : { snapshotLease: request.snapshotLeaseMs })
      })
    ).pipe(
      // Nothing else of the process runs meanwhile, so it is written at once; standard output belongs to the verb.
      Effect.provideService(RecoveryProgress, ({ elapsedMs, path: opened, replayedBytes }) => {
        process.stderr.write(`opening ${opened}: ${formatBytes(replayedBytes)} of the log replayed after ${formatDuration(elapsedMs)}\n`)
      })
    )
    return Context.get(context, Database)
  }),
  exists: (directory) =>
    Effect.sync(() => {
      try {
        fs.statSync(path.join(directory, "CURRENT"))
        return true
      } catch (error) {
        // What cannot be looked at may be there: opening it says what is in the way.
        return !(error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      }
    })
})
