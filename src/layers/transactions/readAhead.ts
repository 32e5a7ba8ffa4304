import * as Effect from "effect/Effect"
import type { Batch } from "../../domain/batch/Batch.ts"
import type { NotAtHand } from "../../domain/batch/CommitHead.ts"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import type { FileReadError } from "../../domain/errors.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
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
  /** Once so much has been read ahead the turn is tried with it: it may be too much as it is. */
  readonly batchBytesMax: number
  /** Fills the batch for the request as its turn does. */
  readonly fill: (request: Filling) => void
  readonly head: CommitMoment
  readonly hashSeed: number
  readonly memtables: Memtables["Service"]
  readonly tables: Tables["Service"]
  readonly wal: Wal["Service"]
}

/** What of a request fills the batch. */
export interface Filling {
  readonly fill: (batch: Batch, head: CommitMoment) => void
}

/** Each key once: an atomic operation may look for the value that it then replaces. */
const distinct = (wanted: ReadonlyArray<WantedPoint>): ReadonlyArray<WantedPoint> => {
  const byHash = new Map<number, Array<WantedPoint>>()
  return wanted.filter((one) => {
    const same = byHash.get(one.hash)
    if (same === undefined) byHash.set(one.hash, [one])
    else if (same.some(({ key, keyspace }) => keyspace === one.keyspace && compareBytes(key, one.key) === 0)) return false
    else same.push(one)
    return true
  })
}

/** The prefetched values of a request with some more. */
const withMore = (known: ReadAheadValues | undefined, more: ReadonlyArray<Prefetched>): ReadAheadValues => {
  const all = new Map(known)
  for (const one of more) all.set(one.hash, [...(all.get(one.hash) ?? []), one])
  return all
}

/** What a commit turn does that was given up for want of a value: no table is read in the turn itself. */
export const makeReadAhead = ({ batch, batchBytesMax, fill, hashSeed, head, memtables, tables, wal }: ReadAheadParts) => {
  const point = new PointReader(tables)

  /** All that a request would have to read, as far as that can be told without those values. In the turn that `first` was thrown in. */
  const wantedBy = (request: Filling, first: NotAtHand): ReadonlyArray<WantedPoint> => {
    const wanted: Array<WantedPoint> = []
    head.wanted = wanted
    batch.reset()
    try {
      fill(request)
    } catch {
      // What was made of values that are not there says nothing; the next attempt tells.
    } finally {
      head.wanted = undefined
    }
    if (wanted.length > 0) return distinct(wanted)
    const { key, keyspace } = first
    return [{ keyspace, hash: keyHash(keyspaceSeed(hashSeed, keyspace), key, 0, key.length), key }]
  }

  const readInline = ({ hash, key, keyspace }: WantedPoint): Prefetched => {
    const sequence = head.sequence - 1
    // What expires is kept with its time, and judged at the turn.
    const view = { memtables: memtables.all(), version: tables.current(), sequence, timeMs: -Infinity }
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
  const inline = (wanted: ReadonlyArray<WantedPoint>, known: ReadAheadValues | undefined): ReadAheadValues => {
    const more: Array<Prefetched> = []
    let bytes = 0
    for (let i = 0; i < wanted.length && bytes <= batchBytesMax; i++) {
      const found = readInline(wanted[i]!)
      bytes += found.value?.length ?? 0
      more.push(found)
    }
    return withMore(known, more)
  }

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
        return { release: memtables.hold(), view: { memtables: memtables.all(), version: tables.pin(), sequence, timeMs: -Infinity } }
      }),
      ({ view }) =>
        Effect.gen(function* () {
          const more: Array<Prefetched> = []
          let bytes = 0
          for (let i = 0; i < wanted.length && bytes <= batchBytesMax; i++) {
            const { hash, key, keyspace } = wanted[i]!
            const { expiresAt, value } = yield* findPooled(tables, point, view, keyspace, hash, key)
            bytes += value?.length ?? 0
            more.push({ keyspace, hash, key, sequence: view.sequence, value, expiresAt })
          }
          return yield* use(withMore(known, more))
        }),
      ({ release, view }) =>
        Effect.sync(() => {
          tables.unpin(view.version)
          release()
          memtables.endValidation(view.sequence)
        })
    )

  return { wantedBy, inline, pooled }
}
