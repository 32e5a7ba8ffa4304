import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Reads } from "../../../services/Database.ts"
import type { Output } from "../Output.ts"
import type { Arguments, Shape } from "./arguments.ts"
import type { Done, Session } from "./Session.ts"
import type { Writer } from "./Writer.ts"

export interface Call {
  readonly session: Session
  readonly arguments: Arguments
  /** Of the keyspace in use, now; under `at`, then. */
  readonly reads: Reads
  readonly out: Writer
}

/** What Tab offers where a word of a command is typed. */
export type Completes = "key" | "keyspace" | "command" | "nothing"

export interface ShellCommand extends Shape {
  /** One line for the list of `.help`. */
  readonly summary: string
  /** More for `.help <name>`. */
  readonly details: ReadonlyArray<string>
  readonly examples: ReadonlyArray<readonly [input: string, description: string]>
  readonly completes: Completes
  /** It changes the database: refused at once where that is open read-only. */
  readonly writes: boolean
  readonly run: (call: Call) => Effect.Effect<Done | undefined, unknown, Scope.Scope | Output>
}
