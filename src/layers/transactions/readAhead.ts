import * as Effect from "effect/Effect"
import type { Batch } from "../../domain/batch/Batch.ts"
import type { NotAtHand } from "../../domain/batch/CommitHead.ts"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import type { FileReadError } from "../../domain/errors.ts"
import { keyHash } from "../../domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../domain/keys/keyspaceSeed.ts"
import type { Memtables } from "../../services/Memtables.ts"
import type { Tables } from "../../services/Tables.ts"
import type { Wal } from "../../services/Wal.ts"
import { PointReader, PointState } from "../reading/PointReader.ts"
import type { CommitMoment, Prefetched, WantedPoint } from "./CommitMoment.ts"
import { findPooled } from "./findPoint.ts"

/** Values that were read ahead for a request, by hash. */
export type ReadAheadValues = ReadonlyMap<number, ReadonlyArray<Prefetched>>

export interface ReadAheadParts {
  readonly batch: Batch
  readonly head: CommitMoment
  readonly hashSeed: number
  readonly memtables: Memtables["Service"]
  readonly tables: Tables["Service"]
  readonly wal: Wal["Service"]
}

/** The prefetched values of a request with some more. */
const withMore = (known: ReadAheadValues | undefined, more: ReadonlyArray<Prefetched>): ReadAheadValues => {
  const all = new Map(known)
  for (const one of more) all.set(one.hash, [...(all.get(one.hash) ?? []), one])
  return all
}

/** What a commit turn does that was given up for want of a value: no table is read in the turn itself. */
export const makeReadAhead = ({ batch, hashSeed, head, memtables, tables, wal }: ReadAheadParts) => {
  const point = new PointReader(tables)

  /** All that a request would have to read, as far as that can be told without those values. In the turn that `first` was thrown in. */
  const wantedBy = (request: { readonly fill: (batch: Batch, head: CommitMoment) => void }, first: NotAtHand): ReadonlyArray<WantedPoint> => {
    const wanted: Array<WantedPoint> = []
    head.wanted = wanted
    batch.reset()
    try {
      request.fill(batch, head)
    } catch {
      // What was made of values that are not there says nothing; the next attempt tells.
    } finally {
      head.wanted = undefined
    }
    if (wanted.length > 0) return wanted
    const { key, keyspace } = first
    return [{ keyspace, hash: keyHash(keyspaceSeed(hashSeed, keyspace), key, 0, key.length), key }]
  }

  const readInline = ({ hash, key, keyspace }: WantedPoint): Prefetched => {
    const sequence = head.sequence - 1
    const view = { memtables: memtables.all(), version: tables.current(), sequence, timeMs: head.commitTimeMs }
    const state = point.lookup(view, keyspace, hash, key, 0, key.length, true, undefined)
    const value =
      state === PointState.missing
        ? undefined
        : state === PointState.pointer
          ? tables.readValue(point.bytes, point.start, point.end)
          : copyOf(point.bytes, point.start, point.end)
    return { keyspace, hash, key, sequence, value, expiresAt: state === PointState.missing ? 0 : point.expiresAt }
  }

  /** At once, as of the head, in the step in which the turn was given up. Throws what reading throws. */
  const inline = (wanted: ReadonlyArray<WantedPoint>, known: ReadAheadValues | undefined): ReadAheadValues => withMore(known, wanted.map(readInline))

  /**
   * Through the pool, as of the visible sequence. Nothing that is read from goes away meanwhile, and of that sequence validation keeps all that follows until the request is
   * answered (`use`): what was read is still known to be good, or not, at the turn.
   */
  const pooled = <A, E>(
    wanted: ReadonlyArray<WantedPoint>,
    known: ReadAheadValues | undefined,
    use: (values: ReadAheadValues) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | FileReadError> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const sequence = wal.visibleSequence()
        memtables.beginValidation(sequence)
        // What expires is kept with its time, and judged at the turn.
        return { release: memtables.hold(), view: { memtables: memtables.all(), version: tables.pin(), sequence, timeMs: -Infinity } }
      }),
      ({ view }) =>
        Effect.flatMap(
          Effect.forEach(wanted, ({ hash, key, keyspace }) =>
            Effect.map(findPooled(tables, point, view, keyspace, hash, key), ({ expiresAt, value }): Prefetched => ({
              keyspace,
              hash,
              key,
              sequence: view.sequence,
              value,
              expiresAt
            }))
          ),
          (more) => use(withMore(known, more))
        ),
      ({ release, view }) =>
        Effect.sync(() => {
          tables.unpin(view.version)
          release()
          memtables.endValidation(view.sequence)
        })
    )

  return { wantedBy, inline, pooled }
}
