/** Takes the entries of a moment to a target, in order, from where an earlier run stopped. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Entry, ScanRange } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import type { ExportEntry } from "./encoder.ts"
import type { Space } from "./moment.ts"
import type { ExportProblem } from "./resumeState.ts"
import { type Tally, unexportable } from "./tally.ts"
import type { ExportError, ExportTarget } from "./target.ts"

export interface WalkOptions {
  readonly spaces: ReadonlyArray<Space>
  readonly range: ScanRange
  readonly onError: "stop" | "skip"
  /** What to do about an entry that cannot be exported. */
  readonly hint: string
  readonly onProblem: (problem: ExportProblem) => Effect.Effect<void>
  /** All before the tally's position is durable, the first `bytes` of the output. */
  readonly checkpoint: (bytes: number) => Effect.Effect<void, ExportError>
}

/** The rest of the range after this key. */
export const rangeAfter = (range: ScanRange, key: Uint8Array | undefined): ScanRange =>
  key === undefined ? range : { ...range, gte: undefined, gt: key }

export const entryOf = ({ expiresAt, key, value }: Entry, keyspace: string | undefined): ExportEntry => ({ key, value, expiresAt, keyspace })

export const walk = Effect.fnUntraced(function* (options: WalkOptions, target: ExportTarget, tally: Tally) {
  const { onError, onProblem, range, spaces } = options
  // Whether so much is done that it is worth going on with.
  let isLong = tally.lastKey !== undefined
  const cut = Effect.flatMap(target.cut, (bytes) => {
    isLong = true
    return bytes === undefined ? Effect.void : options.checkpoint(bytes)
  })
  const take = (keyspace: string | undefined) =>
    Effect.fnUntraced(function* (entries: ReadonlyArray<Entry>) {
      for (let i = 0; i < entries.length; i++) {
        const entry = entryOf(entries[i]!, keyspace)
        const taken = target.take(entry)
        const refused = Effect.isEffect(taken) ? yield* taken : taken
        if (refused === undefined) tally.done(entry)
        else {
          if (onError === "stop") {
            // Whoever then says --on-error skip goes on from here.
            if (isLong && tally.lastKey !== undefined) yield* cut
            return yield* unexportable(tally.refused(entry, refused), options.hint)
          }
          yield* onProblem(tally.refused(entry, refused))
          tally.lastKey = entry.key
        }
        if (target.wantsCut()) yield* cut
      }
    })
  for (; tally.space < spaces.length; tally.space++, tally.lastKey = undefined) {
    const { name, reads } = spaces[tally.space]!
    const scan = Stream.mapError(reads.scan(rangeAfter(range, tally.lastKey), { expiry: true }), explain)
    yield* Stream.runForEachArray(scan, take(name))
  }
  yield* target.finish
})
