import * as Effect from "effect/Effect"
import { HistoryGone, InvalidKeyspaceName, KeyspaceNotFound } from "../../domain/errors.ts"
import { decodeKeyspaceRow, keyspaceRowKey } from "../../domain/keys/catalogRows.ts"
import { systemKeyspace } from "../../domain/keys/kinds.ts"
import type { Reads, UnsafeReads } from "../../services/Database.ts"
import type { PastSnapshot } from "../../services/History.ts"
import { keyspaceNameBytes } from "../keyspaceNames.ts"

/**
 * A keyspace at a moment of the past, and from there the others, by the names they had then. `readsOf` reads one by its id, under the lease of the moment; `oldest` is from where that
 * can be read, as it was when the lease was opened.
 */
export const pastSnapshot = (
  keyspace: number,
  sequence: number,
  readsOf: (keyspace: number) => { readonly reads: Reads; readonly unsafe: UnsafeReads },
  oldest: (keyspace: number) => number
): PastSnapshot => {
  const { reads, unsafe } = readsOf(keyspace)
  return {
    ...reads,
    unsafe,
    sequence,
    keyspace: (name) =>
      Effect.gen(function* () {
        const bytes = yield* Effect.try({
          try: () => keyspaceNameBytes(name),
          catch: (cause) => {
            if (cause instanceof InvalidKeyspaceName) return cause
            throw cause
          }
        })
        const value = yield* readsOf(systemKeyspace).reads.get(keyspaceRowKey(bytes))
        const row = value === undefined ? undefined : decodeKeyspaceRow(value)
        if (row === undefined) return yield* new KeyspaceNotFound({ name })
        // That of keyspace 0, whose rows were just read, is among it.
        const oldestSequence = oldest(row.id)
        if (sequence < oldestSequence) return yield* new HistoryGone({ sequence, oldestSequence })
        return readsOf(row.id).reads
      })
  }
}
