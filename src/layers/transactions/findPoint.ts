import * as Effect from "effect/Effect"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import { fromReadFailure, type FileReadError } from "../../domain/errors.ts"
import type { Tables } from "../../services/Tables.ts"
import type { PointReader } from "../reading/PointReader.ts"
import { PointState } from "../reading/PointReader.ts"
import type { View } from "../reading/View.ts"

/** What a lookup through the pool found. */
export interface FoundPoint {
  readonly value: Uint8Array | undefined
  /** 0 where it does not expire, and where there is none. */
  readonly expiresAt: number
}

const nothing: FoundPoint = { value: undefined, expiresAt: 0 }

/**
 * Finds the newest visible version of a key without blocking: blocks and values come through the pool. The view's tables and memtables must stay pinned meanwhile; the key must
 * be the caller's own memory. Expiry is judged by the view's time.
 */
export const findPooled = (
  tables: Tables["Service"],
  point: PointReader,
  view: View,
  keyspace: number,
  hash: number,
  key: Uint8Array
): Effect.Effect<FoundPoint, FileReadError> => {
  const brought = new Map<string, Uint8Array>()
  const look: Effect.Effect<FoundPoint, FileReadError> = Effect.suspend(() => {
    try {
      const state = point.lookup(view, keyspace, hash, key, 0, key.length, false, brought)
      if (state === PointState.missing) return Effect.succeed(nothing)
      const { expiresAt } = point
      if (state === PointState.value) return Effect.succeed({ value: copyOf(point.bytes, point.start, point.end), expiresAt })
      if (state === PointState.pointer)
        return tables.readValuePooled(point.bytes, point.start, point.end).pipe(
          Effect.mapError(fromReadFailure),
          Effect.map((value) => ({ value, expiresAt }))
        )
      const { leaf } = point
      const slot = point.slot!
      return tables.readLeafPooled(slot, leaf, true).pipe(
        Effect.mapError(fromReadFailure),
        Effect.flatMap((block) => {
          brought.set(`${slot.meta.fileId}/${leaf}`, block)
          return look
        })
      )
    } catch (cause) {
      return Effect.fail(fromReadFailure(cause))
    }
  })
  return tables.retried(look)
}
