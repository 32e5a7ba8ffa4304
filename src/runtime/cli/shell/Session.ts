/** What a running shell knows: the database, where in it commands apply, and how results are shown. One fiber at a time uses it. */
import type { DatabaseShape, Operations } from "../../../services/Database.ts"
import type { OutputShape } from "../Output.ts"
import type { JavaScript } from "./JavaScript.ts"

export const formats = ["table", "json", "raw", "hex"] as const
export type Format = (typeof formats)[number]

export interface Session {
  readonly db: DatabaseShape
  readonly path: string
  readonly readOnly: boolean
  readonly output: OutputShape
  /** A person types: there is a prompt, Ctrl-C stops a command, long output is paged. */
  readonly interactive: boolean
  /** Bare keys are hexadecimal, and keys are shown so. */
  readonly hexKeys: boolean
  /** Name of the keyspace in use; `undefined`: the default one. */
  keyspace: string | undefined
  target: Operations
  format: Format
  timer: boolean
  pager: boolean
  stacks: boolean
  /** Every line is JavaScript. */
  javascript: boolean
  /** Made at the first line of JavaScript. */
  evaluator: JavaScript | undefined
  /** Set by `.exit`: no further command is read. */
  ended: boolean
  /** Newest last. */
  readonly history: Array<string>
}

/** What a command did, for its timing: "3 rows in 0.4 ms". */
export interface Done {
  readonly count?: number
  readonly noun?: readonly [singular: string, plural: string]
  /** It concerned the shell alone. */
  readonly untimed?: true
}
