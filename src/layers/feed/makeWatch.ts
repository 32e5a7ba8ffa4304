import * as Stream from "effect/Stream"
import * as Effect from "effect/Effect"
import { InvalidRange, KeyspaceDropped, type WatchError } from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { prefixSuccessor } from "../../domain/keys/KeyBounds.ts"
import type { WatchEvent } from "../../services/Changes.ts"
import type { Key, Keyspace } from "../../services/Database.ts"
import { makeReads } from "../reading/makeReads.ts"
import { followLog, type FollowParts, openReader, watchError } from "./followLog.ts"
import type { LogPositions } from "./LogPositions.ts"
import type { FeedParts } from "./makeFeed.ts"
import { WatchDecoder, type Watched } from "./WatchDecoder.ts"

export type WatchParts = Pick<FeedParts, "checkOpen" | "latest" | "reads">

const noBytes = new Uint8Array(0)

/** Throws `InvalidRange`, `InvalidKey`. */
const watchedOf = (parts: WatchParts, keyspace: number, name: string, wanted: unknown): Watched => {
  const usage = "Use { key } or { prefix }."
  if (typeof wanted !== "object" || wanted === null) throw new InvalidRange({ detail: `what is watched is ${describeType(wanted)}. ${usage}` })
  const { key, prefix }: { readonly key?: Key; readonly prefix?: Key } = wanted
  if ((key === undefined) === (prefix === undefined)) throw new InvalidRange({ detail: `what is watched is one of key and prefix. ${usage}` })
  const { encoder } = parts.reads
  // An empty prefix is everything.
  const given = key ?? prefix
  const empty = key === undefined && (given === "" || (given instanceof Uint8Array && given.length === 0))
  if (!empty) encoder.encode(given)
  const lower = empty ? noBytes : encoder.bytes.slice(encoder.start, encoder.end)
  if (key === undefined) return { keyspace, name, lower, upper: prefixSuccessor(lower), single: false }
  const after = new Uint8Array(lower.length + 1)
  after.set(lower)
  return { keyspace, name, lower, upper: after, single: true }
}

/**
 * The values there are at one snapshot, then each change after it. Snapshot and place in the log are taken in one step, so nothing is missed and nothing comes twice.
 */
export const makeWatch =
  (parts: WatchParts, follow: FollowParts, positions: LogPositions) =>
  (keyspace: number, name: string): Keyspace["watch"] =>
  (wanted) => {
    const begin = Effect.acquireRelease(
      Effect.suspend(() => {
        try {
          const now = parts.latest(keyspace, name)
          now.check()
          const watched = watchedOf(parts, keyspace, name, wanted)
          const lease = now.lease(() => undefined)
          try {
            return Effect.succeed({ lease, now, watched, timeMs: now.view().timeMs, pin: follow.log.pin(lease.sequence + 1, () => undefined) })
          } catch (cause) {
            lease.release()
            throw cause
          }
        } catch (cause) {
          const error = watchError(cause)
          return Effect.fail(error)
        }
      }),
      ({ lease, pin }) =>
        Effect.sync(() => {
          lease.release()
          pin.release()
        })
    )
    const stream = Effect.map(begin, ({ lease, now, pin, timeMs, watched }): Stream.Stream<WatchEvent, WatchError> => {
      const { sequence } = lease
      const view = {
        get memtables() {
          return now.view().memtables
        },
        get version() {
          return now.view().version
        },
        sequence,
        timeMs
      }
      const check = () => {
        now.check()
        lease.check()
      }
      const { reads } = makeReads(parts.reads, { keyspace, check, view: () => view, lease: lease.under })
      const present = Stream.map(
        reads.scan({ gte: watched.lower, ...(watched.upper === undefined ? {} : { lt: watched.upper }) }),
        ({ key, value }): WatchEvent => ({ type: "put", sequence, key, value })
      )
      const changes = followLog(follow, watchError, () => {
        parts.checkOpen()
        const decoder = new WatchDecoder(watched)
        const reader = openReader(follow, positions.start(sequence + 1))
        // The snapshot is read; from here on the reader itself keeps the log.
        pin.release()
        lease.release()
        const checkDropped = () => {
          parts.checkOpen()
          if (decoder.dropped) throw new KeyspaceDropped({ name })
        }
        return { reader, decoder, check: checkDropped, until: Infinity }
      })
      return Stream.concat(present, changes)
    })
    return Stream.unwrap(stream)
  }
