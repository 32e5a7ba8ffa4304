/** Where a command of the shell writes its results: standard output, or a pager. */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { OutputClosed } from "../CliFailure.ts"

/** The person has seen enough: the command stops, quietly. */
export class PagerClosed extends Data.TaggedError("PagerClosed")<{}> {}

export interface Writer {
  readonly write: (chunk: string | Uint8Array) => Effect.Effect<void, OutputClosed | PagerClosed>
}
