import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import type { Slab } from "../../domain/bytes/Slab.ts"
import {
  DatabaseClosed,
  DatabaseFailed,
  fromReadFailure,
  InvalidKey,
  InvalidRange,
  KeyspaceDropped,
  type ReadError,
  type ScanError,
  SnapshotExpired,
  TooManySnapshots
} from "../../domain/errors.ts"
import { mayPass } from "../../domain/errors/severity.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import type { KeyEncoder } from "../../domain/keys/encodeKey.ts"
import { keyBounds, type KeyBounds } from "../../domain/keys/KeyBounds.ts"
import { keyHash } from "../../domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../domain/keys/keyspaceSeed.ts"
import type { Entry, Key, Reads, ScanOptions, ScanRange, UnsafeReads } from "../../services/Database.ts"
import type { Tables } from "../../services/Tables.ts"
import type { SnapshotLease } from "../../services/TransactionManager.ts"
import type { ValueCache } from "../../services/ValueCache.ts"
import { estimateRange } from "./estimateRange.ts"
import type { PointReader } from "./PointReader.ts"
import { PointState } from "./PointReader.ts"
import { RangeReader } from "./RangeReader.ts"
import type { View } from "./View.ts"

/** What the reads of one database share. */
export interface ReadParts {
  readonly tables: Tables["Service"]
  readonly valueCache: ValueCache["Service"]
  /** Keeps the memtables of this moment as they are, until what it returns is called. */
  readonly holdMemtables: () => () => void
  readonly hashSeed: number
  readonly point: PointReader
  readonly encoder: KeyEncoder
  readonly slab: Slab
}

/** Where and when to read. */
export interface ReadTarget {
  readonly keyspace: number
  /** Throws the reason why this may not be read (closed, dropped, expired). */
  readonly check: () => void
  /** The view of this moment, good for this synchronous step. */
  readonly view: () => View
  /** A lease at the sequence of `view()`, for a read that takes longer; `brief` for one that ends by itself. `onEnd` runs once. Throws `TooManySnapshots`. */
  readonly lease: (onEnd: () => void, brief?: boolean) => SnapshotLease
}

/** Entries of the first chunk of a scan, and of the following ones. */
const firstChunk = 32
const laterChunks = 256
/** A chunk ends with the entry that brings its values to this: 256 large values at once would fill the memory. */
const chunkBytes = 1024 * 1024
/** Value-cache entries that expire are never served from there: the engine's time is not asked on a hit. */
const never = Infinity

/** What a read may throw, as its public error. Defects pass through. */
export const readError = (cause: unknown): ReadError =>
  cause instanceof InvalidKey ||
  cause instanceof KeyspaceDropped ||
  cause instanceof SnapshotExpired ||
  cause instanceof DatabaseClosed ||
  cause instanceof DatabaseFailed
    ? cause
    : fromReadFailure(cause)

const scanError = (cause: unknown): ScanError => (cause instanceof InvalidRange || cause instanceof TooManySnapshots ? cause : readError(cause))

/** Throws `InvalidKey` where it is no list: a string has a length, too. */
const demandKeys = (keys: unknown): void => {
  if (!Array.isArray(keys)) throw new InvalidKey({ reason: "WrongType", found: `${describeType(keys)} where a list of keys belongs` })
}

const attempt = <A>(run: () => Effect.Effect<A, ReadError>): Effect.Effect<A, ReadError> => {
  try {
    return run()
  } catch (cause) {
    return Effect.fail(readError(cause))
  }
}

export const makeReads = (parts: ReadParts, target: ReadTarget): { readonly reads: Reads; readonly unsafe: UnsafeReads } => {
  const { encoder, point, slab, tables, valueCache } = parts
  const { keyspace } = target
  const seed = keyspaceSeed(parts.hashSeed, keyspace)

  /** A lookup that reads inline. The value's place is in `point`. */
  const lookup = (key: Key, view: View): PointState => {
    encoder.encode(key)
    const hash = keyHash(seed, encoder.bytes, encoder.start, encoder.end)
    const state = point.lookup(view, keyspace, hash, encoder.bytes, encoder.start, encoder.end, true, undefined)
    if (state === PointState.value && typeof key === "string" && point.expiresAt === 0) {
      valueCache.fill(keyspace, key, hash, view.sequence, point.bytes, point.start, point.end, 0)
    }
    return state
  }

  const valueAt = (state: PointState): Uint8Array | undefined =>
    state === PointState.missing
      ? undefined
      : state === PointState.pointer
        ? tables.readValue(point.bytes, point.start, point.end)
        : slab.copy(point.bytes, point.start, point.end)

  const getInline = (key: Key): Uint8Array | undefined => {
    target.check()
    const view = target.view()
    if (typeof key === "string") {
      const hit = valueCache.getBytes(keyspace, key, view.sequence, never)
      if (hit !== undefined) return slab.copy(hit, 0, hit.length)
    }
    return valueAt(lookup(key, view))
  }

  const getTextInline = (key: Key): string | undefined => {
    target.check()
    const view = target.view()
    if (typeof key === "string") {
      const hit = valueCache.getText(keyspace, key, view.sequence, never)
      if (hit !== undefined) return hit
    }
    const state = lookup(key, view)
    // By way of a copy: a memtable is shared memory, which the platform's decoder refuses.
    const value = valueAt(state)
    return value === undefined ? undefined : decodeText(value)
  }

  const getManyInline = (keys: ReadonlyArray<Key>): Array<Uint8Array | undefined> => {
    target.check()
    demandKeys(keys)
    const view = target.view()
    const values: Array<Uint8Array | undefined> = []
    for (let i = 0; i < keys.length; i++) values.push(valueAt(lookup(keys[i]!, view)))
    return values
  }

  const hasInline = (key: Key): boolean => {
    target.check()
    return lookup(key, target.view()) !== PointState.missing
  }

  /** The view of this moment under a lease, with all it reads from pinned until that ends. */
  const held = (brief: boolean): { readonly lease: SnapshotLease; readonly view: View } => {
    const ends: Array<() => void> = []
    // First, as it may refuse; the pins follow in the same step.
    const lease = target.lease(() => {
      for (const end of ends) end()
    }, brief)
    // Its fields may be those of the present: taken now, they stay as they are.
    const view: View = { ...target.view(), sequence: lease.sequence }
    // An older version is kept by the snapshot that reads it, under whose lease this one is.
    if (view.version === tables.current()) {
      const version = tables.pin()
      ends.push(() => tables.unpin(version))
    }
    ends.push(parts.holdMemtables())
    return { lease, view }
  }

  /** The same without blocking: blocks come through the pool, and the view is pinned as long as that takes. `then` runs in the step in which the value was found. */
  const coldLookup = <A>(keys: ReadonlyArray<Key>, then: (state: PointState) => Effect.Effect<A, ReadError>): Effect.Effect<Array<A>, ReadError> =>
    Effect.acquireUseRelease(
      Effect.suspend(() =>
        attempt(() => {
          target.check()
          demandKeys(keys)
          return Effect.succeed(held(true))
        })
      ),
      ({ lease, view }) => {
        const brought = new Map<string, Uint8Array>()
        const one = (key: Key): Effect.Effect<A, ReadError> =>
          attempt(() => {
            encoder.encode(key)
            // The encoder is shared, and this waits: the bytes must be ours.
            const bytes = Uint8Array.from(encoder.bytes.subarray(encoder.start, encoder.end))
            const hash = keyHash(seed, bytes, 0, bytes.length)
            const look: Effect.Effect<A, ReadError> = Effect.suspend(() =>
              attempt(() => {
                lease.check()
                const state = point.lookup(view, keyspace, hash, bytes, 0, bytes.length, false, brought)
                if (state !== PointState.pending) return then(state)
                const { leaf } = point
                const slot = point.slot!
                return tables.readLeafPooled(slot, leaf, true).pipe(
                  Effect.mapError(readError),
                  Effect.flatMap((block) => {
                    brought.set(`${slot.meta.fileId}/${leaf}`, block)
                    return look
                  })
                )
              })
            )
            return look
          })
        return Effect.forEach(keys, one)
      },
      ({ lease }) => Effect.sync(lease.release)
    )

  const coldValue = (state: PointState): Effect.Effect<Uint8Array | undefined, ReadError> =>
    state === PointState.pointer
      ? Effect.mapError(tables.readValuePooled(point.bytes, point.start, point.end), readError)
      : Effect.succeed(valueAt(state))

  const open = (range: ScanRange | undefined) => {
    target.check()
    const bounds = keyBounds(range)
    const { lease, view } = held(false)
    try {
      return { lease, reader: makeReader(view, bounds) }
    } catch (cause) {
      lease.release()
      throw cause
    }
  }
  const makeReader = (view: View, bounds: KeyBounds) => new RangeReader(tables, view, keyspace, bounds)

  /** The value of the entry; undefined where reading it failed with what may pass: it is then brought through the pool. */
  const atHand = (reader: RangeReader): Uint8Array | undefined => {
    try {
      return reader.value(slab)
    } catch (cause) {
      if (mayPass(cause)) return undefined
      throw cause
    }
  }

  const scan = (range?: ScanRange, options?: ScanOptions): Stream.Stream<Entry, ScanError> =>
    // Uninterruptible until the lease has its finalizer; the pulls it returns are not.
    Stream.scoped(
      Stream.fromPull(
        Effect.uninterruptible(
          Effect.suspend(() => {
            let opened: ReturnType<typeof open>
            try {
              opened = open(range)
            } catch (cause) {
              // Told at the first pull, so that the stream's type is all a caller has to look at.
              const error = scanError(cause)
              return Effect.succeed(Effect.fail(error))
            }
            const { lease, reader } = opened
            reader.mayWait = true
            const withExpiry = options?.expiry === true
            let size = firstChunk
            let bytes = 0
            let finished = false

            const bring = Effect.suspend(() => {
              const { need, slot } = reader.pending!
              return Effect.mapError(tables.retried(tables.readLeafPooled(slot, need.leaf, reader.keepsBlock())), readError)
            })
            const bringValue = () => Effect.mapError(tables.retried(reader.valuePooled()), readError)

            /** Whether the chunk is full with this entry, the reader's current one. */
            const add = (entries: Array<Entry>, key: Uint8Array, value: Uint8Array): boolean => {
              entries.push(withExpiry && reader.expiresAt !== 0 ? { key, value, expiresAt: reader.expiresAt } : { key, value })
              bytes += value.length
              return entries.length >= size || bytes >= chunkBytes
            }

            const fill = (
              entries: Array<Entry>,
              first: () => "entry" | "end" | "pending",
              mayBlock: boolean
            ): Effect.Effect<readonly [Entry, ...Array<Entry>], ScanError | Cause.Done> => {
              try {
                lease.check()
                let state = first()
                for (;;) {
                  if (state === "end") {
                    finished = true
                    break
                  }
                  if (state === "pending") break
                  const key = reader.key(slab)
                  const value = reader.isPointer && !mayBlock ? undefined : atHand(reader)
                  if (value === undefined) {
                    return Effect.flatMap(bringValue(), (value) =>
                      add(entries, key, value) ? Effect.succeed(nonEmpty(entries)) : fill(entries, () => reader.advance(mayBlock), mayBlock)
                    )
                  }
                  if (add(entries, key, value)) break
                  state = reader.advance(mayBlock)
                }
              } catch (cause) {
                return Effect.fail(readError(cause))
              }
              if (entries.length > 0) return Effect.succeed(nonEmpty(entries))
              if (finished) return Cause.done()
              return Effect.flatMap(bring, (block) => fill(entries, () => reader.supply(block, mayBlock), mayBlock))
            }

            const pull = Effect.suspend(() => {
              if (finished) return Cause.done()
              const mayBlock = tables.readsAreFast()
              bytes = 0
              const pulled =
                reader.pending !== undefined
                  ? Effect.flatMap(bring, (block) => fill([], () => reader.supply(block, mayBlock), mayBlock))
                  : fill([], () => reader.advance(mayBlock), mayBlock)
              size = laterChunks
              return pulled
            })
            return Effect.as(
              Effect.addFinalizer(() => Effect.sync(lease.release)),
              pull
            )
          })
        )
      )
    )

  const estimate: Reads["estimate"] = (range) =>
    Effect.suspend(() => {
      try {
        target.check()
        return Effect.succeed(estimateRange(tables, target.view(), keyspace, keyBounds(range)))
      } catch (cause) {
        return Effect.fail(cause instanceof InvalidRange ? cause : readError(cause))
      }
    })

  const nonEmpty = (entries: Array<Entry>) => entries as [Entry, ...Array<Entry>]

  function* entries(range?: ScanRange): IterableIterator<[Uint8Array, Uint8Array]> {
    let opened: ReturnType<typeof open>
    try {
      opened = open(range)
    } catch (cause) {
      throw scanError(cause)
    }
    const { lease, reader } = opened
    try {
      for (;;) {
        let entry: [Uint8Array, Uint8Array]
        try {
          lease.check()
          if (reader.advance(true) === "end") return
          entry = [reader.key(slab), reader.value(slab)]
        } catch (cause) {
          throw readError(cause)
        }
        yield entry
      }
    } finally {
      lease.release()
    }
  }

  const guarded =
    <A, B>(run: (a: A) => B) =>
    (a: A): B => {
      try {
        return run(a)
      } catch (cause) {
        throw readError(cause)
      }
    }

  const effectful =
    <A, B>(inline: (a: A) => B, cold: (a: A) => Effect.Effect<B, ReadError>) =>
    (a: A): Effect.Effect<B, ReadError> =>
      Effect.suspend(() => {
        if (!tables.readsAreFast()) return tables.retried(cold(a))
        try {
          return Effect.succeed(inline(a))
        } catch (cause) {
          // What may pass is tried again, by the way that may wait.
          return mayPass(cause) ? tables.retried(cold(a)) : Effect.fail(readError(cause))
        }
      })

  return {
    reads: {
      get: effectful(getInline, (key) => Effect.map(coldLookup([key], coldValue), (found) => found[0])),
      getText: effectful(getTextInline, (key) =>
        Effect.map(coldLookup([key], coldValue), (found) => (found[0] === undefined ? undefined : decodeText(found[0])))
      ),
      getMany: effectful<ReadonlyArray<Key>, ReadonlyArray<Uint8Array | undefined>>(getManyInline, (keys) => coldLookup(keys, coldValue)),
      has: effectful(hasInline, (key) =>
        Effect.map(
          coldLookup([key], (state) => Effect.succeed(state !== PointState.missing)),
          (found) => found[0]!
        )
      ),
      scan,
      estimate
    },
    unsafe: {
      get: guarded(getInline),
      getText: guarded(getTextInline),
      getMany: guarded(getManyInline),
      has: guarded(hasInline),
      entries
    }
  }
}
