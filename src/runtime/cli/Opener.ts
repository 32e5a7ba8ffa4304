/** How verbs get at a database: a service, so that tests open something else than the engine on a directory. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { Database, type DatabaseShape, type Durability } from "../../services/Database.ts"

export interface OpenRequest {
  readonly path: string
  readonly readOnly: boolean
  readonly durability?: Durability | undefined
}

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
    const context = yield* Layer.build(
      layer({
        path: request.path,
        readOnly: request.readOnly,
        ...(request.durability === undefined ? {} : { durability: request.durability })
      })
    )
    return Context.get(context, Database)
  }),
  exists: (directory) => Effect.sync(() => fs.existsSync(path.join(directory, "CURRENT")))
})
