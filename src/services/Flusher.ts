/**
 * The actor that turns frozen memtables into level-0 tables, in memtable order, one manifest edit each. It waits until everything in the memtable is visible and durable in
 * the log (no table holds what the log does not), and tells stalled writers when there is room again.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { FlushError } from "../domain/errors.ts"

export class Flusher extends Context.Service<
  Flusher,
  {
    /** Freezes what there is, and returns when everything visible before the call is in tables. */
    readonly flush: Effect.Effect<void, FlushError>
    readonly stats: () => { readonly count: number; readonly bytes: number }
  }
>()("lightning-db/services/Flusher") {}
