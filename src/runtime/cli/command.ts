/** What every verb's definition is made with: the root and its shared flags, how a verb runs, and how its examples are written. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Flags from "./flags.ts"
import type { Shared } from "./shared.ts"

export const root = Command.make("lightning").pipe(
  Command.withSharedFlags({ path: Flags.path, keyspace: Flags.keyspace, json: Flags.json, hex: Flags.hex })
)

/**
 * Runs a verb. Its module is loaded only now: every start loads the definitions of all verbs, and should not load what they do. The verb's database is open for the verb, and
 * closed (and so unlocked) before the process ends, also when it is interrupted.
 */
export const runLazily = <Module, A, E, R>(load: () => Promise<Module>, verb: (module: Module, shared: Shared) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(root, (shared) =>
    Effect.scoped(Effect.flatMap(Effect.promise(load), (module) => verb(module, shared) as Effect.Effect<A, E, R | Scope.Scope>))
  )

interface Example {
  readonly command: string
  readonly description: string
}

export const examples = (...pairs: ReadonlyArray<readonly [command: string, description: string]>): ReadonlyArray<Example> =>
  pairs.map(([command, description]) => ({ command, description }))
