import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  type ChangesError,
  CursorNotFound,
  FutureMoment,
  HistoryDiverged,
  HistoryGone,
  InvalidKey,
  InvalidKeyspaceName,
  InvalidRange,
  KeyspaceDropped,
  KeyspaceNotFound,
  SnapshotExpired,
  TooManySnapshots,
  type WatchError
} from "../../domain/errors.ts"
import { type TransactionVisitor, visitTransactions } from "../../domain/wal/LoggedTransaction.ts"
import { codecs } from "../codecs.ts"
import { listError } from "../reading/thrownErrors.ts"
import { LogReader, type LogReaderParts } from "./LogReader.ts"

/** Makes events of transactions; appends them to `out`. */
export interface LogDecoder<A> extends TransactionVisitor {
  /** Transactions before this one are passed over. */
  from: number
  out: Array<A>
}

export interface Following<A> {
  readonly reader: LogReader
  readonly decoder: LogDecoder<A>
  /** Throws why the stream may not go on. */
  readonly check: () => void
  /** The last sequence wanted; Infinity for a stream that goes on with new commits. */
  readonly until: number
}

export interface FollowParts extends LogReaderParts {
  /** All that are open: closed with the database. */
  readonly readers: Set<LogReader>
  /** How many may be. */
  readonly readersMax: number
}

/** A chunk is complete with so many events. */
const chunkEvents = 256

/** What following the log may throw, whatever is wanted of it. Defects pass through. */
const followError = (cause: unknown): ChangesError & WatchError =>
  cause instanceof HistoryGone ||
  cause instanceof HistoryDiverged ||
  cause instanceof FutureMoment ||
  cause instanceof InvalidRange ||
  cause instanceof InvalidKey ||
  cause instanceof TooManySnapshots
    ? cause
    : listError(cause)

/** What `changes` may throw, as its public error. */
export const changesError = (cause: unknown): ChangesError =>
  cause instanceof CursorNotFound || cause instanceof KeyspaceNotFound || cause instanceof InvalidKeyspaceName ? cause : followError(cause)

/** What `watch` may throw. */
export const watchError = (cause: unknown): WatchError =>
  cause instanceof KeyspaceDropped || cause instanceof SnapshotExpired ? cause : followError(cause)

/** A reader that begins at `next`, in this very step. Throws, `TooManySnapshots` where `readersMax` are open. */
export const openReader = (parts: FollowParts, next: number): LogReader => {
  if (parts.readers.size >= parts.readersMax) throw new TooManySnapshots({ openMax: parts.readersMax })
  const reader = new LogReader(parts, next)
  try {
    reader.begin()
  } catch (cause) {
    reader.close()
    throw cause
  }
  parts.readers.add(reader)
  return reader
}

/**
 * The events of the log from where a reader stands, in chunks. It reads when it is asked for more, and holds at most one chunk: a slow consumer costs disk space, if anything,
 * and never memory or a writer's time. Waiting for the next commit is waiting for a signal. `open` runs when the stream is started; what it throws the first pull fails with.
 * `errorOf` makes its error of what was thrown.
 */
export const followLog = <A, E>(parts: FollowParts, errorOf: (cause: unknown) => E, open: () => Following<A>): Stream.Stream<A, E> =>
  // Uninterruptible until the reader has its finalizer; the pulls it returns are not.
  Stream.scoped(
    Stream.fromPull(
      Effect.uninterruptible(
        Effect.suspend(() => {
          let following: Following<A>
          try {
            following = open()
          } catch (cause) {
            const error = errorOf(cause)
            return Effect.succeed(Effect.fail(error))
          }
          const { check, decoder, reader, until } = following
          /** A group became visible, or something else is worth a look, since the reader looked last. */
          let moved = false
          let wake: (() => void) | undefined
          let failure: E | undefined
          const stop = parts.log.onMoved(() => {
            moved = true
            wake?.()
          })
          const awaitMove = Effect.callback<void>((resume) => {
            if (moved) return resume(Effect.void)
            wake = () => {
              wake = undefined
              resume(Effect.void)
            }
            return Effect.sync(() => {
              wake = undefined
            })
          })
          const taken = () => {
            const chunk = decoder.out as [A, ...Array<A>]
            decoder.out = []
            return Effect.succeed(chunk)
          }

          const pull: Effect.Effect<readonly [A, ...Array<A>], E | Cause.Done> = Effect.suspend(() => {
            if (failure !== undefined) return Effect.fail(failure)
            let whole = 0
            try {
              for (;;) {
                check()
                moved = false
                const state = reader.next > until ? "end" : reader.advance()
                if (state === "group") {
                  const { header } = reader.group!
                  decoder.from = reader.next
                  visitTransactions(reader.group!, decoder, codecs)
                  whole = decoder.out.length
                  reader.moveTo(header.firstSequence + header.transactionCount)
                  if (whole >= chunkEvents) return taken()
                  continue
                }
                if (whole > 0) return taken()
                if (state === "needs") return Effect.andThen(Effect.mapError(reader.load, errorOf), pull)
                return until === Infinity ? Effect.andThen(awaitMove, pull) : Cause.done()
              }
            } catch (cause) {
              failure = errorOf(cause)
              // What came before it is good, and is shown before the stream fails.
              decoder.out.length = whole
              return whole > 0 ? taken() : Effect.fail(failure)
            }
          })
          return Effect.as(
            Effect.addFinalizer(() =>
              Effect.sync(() => {
                stop()
                parts.readers.delete(reader)
                reader.close()
              })
            ),
            pull
          )
        })
      )
    )
  )
