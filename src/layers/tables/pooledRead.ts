import * as Effect from "effect/Effect"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import type { Disk } from "../../services/Disk.ts"
import type { TableSlot } from "../../services/Tables.ts"
import type { ReadBreakers } from "./ReadBreakers.ts"

/** Where a pooled read goes. */
export interface PooledPlace {
  readonly handle: FileHandle
  readonly fileId: number
  readonly path: string
  readonly offset: number
  readonly length: number
  /** The table whose handle must stay open meanwhile. */
  readonly slot: TableSlot | undefined
}

const attempt = <A>(run: () => A): Effect.Effect<A, IoFailure | Damage> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (cause) {
      return cause instanceof IoFailure || cause instanceof Damage ? Effect.fail(cause) : Effect.die(cause)
    }
  })

/**
 * One read of a file through the pool: `plan` says where, when it comes to it, and `use` makes of the bytes what was asked for. As a whole, so that what is counted busy is counted
 * down again and the breaker of the file learns how it ended; the read cannot be withdrawn anyway. `onLeaf` is told of each read of a table.
 */
export const makePooledRead =
  (disk: Disk["Service"], reads: ReadBreakers, onLeaf: () => void) =>
  <P extends PooledPlace, A>(plan: () => P, use: (place: P, stored: Uint8Array) => A): Effect.Effect<A, IoFailure | Damage> =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        let place: P
        try {
          place = plan()
          if (!reads.isIdle) reads.admit(place.fileId, place.path, place.offset)
        } catch (cause) {
          return cause instanceof IoFailure || cause instanceof Damage ? Effect.fail(cause) : Effect.die(cause)
        }
        const { fileId, handle, length, offset, path, slot } = place
        const stored = new Uint8Array(length)
        if (slot !== undefined) {
          slot.busy++
          onLeaf()
        }
        const read = disk.read(handle, stored, offset)
        return Effect.matchEffect(
          slot === undefined
            ? read
            : Effect.ensuring(
                read,
                Effect.sync(() => slot.busy--)
              ),
          {
            onFailure: (cause) =>
              attempt((): A => {
                throw reads.failed(fileId, offset, cause)
              }),
            onSuccess: (count) =>
              attempt(() => {
                try {
                  if (count !== length) throw new Damage(path, offset, "Truncated", `${count} of ${length} bytes`)
                  const used = use(place, stored)
                  if (!reads.isIdle) reads.succeeded(fileId)
                  return used
                } catch (cause) {
                  throw reads.failed(fileId, offset, cause)
                }
              })
          }
        )
      })
    )
