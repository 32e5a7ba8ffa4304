/**
 * Event streams: named, append-only lists of events in a keyspace of a database, each with its revision (0, 1, 2, …, without gaps), and all of them together in commit order.
 *
 * ```ts
 * const orders = yield* EventStreams.make(db, { keyspace: "orders", schema: OrderEvent })
 * yield* orders.append("order-1", [{ data: { _tag: "Placed", cents: 250 } }], { expectedRevision: "none" })
 * const placed = yield* Stream.runCollect(orders.read("order-1"))
 * ```
 *
 * Promises:
 * - An append is one transaction: all of its events, or none. Of several that expect the same revision exactly one succeeds, the others fail with `WrongRevision`.
 * - `readAll` shows every event once, in commit order, without gaps, from the first one into live, however short the log is kept: it reads the keyspace, and the feed only from
 *   where that ends.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  type ChangesError,
  InvalidEvent,
  InvalidOptions,
  type InvalidKeyspaceName,
  InvalidValue,
  type KeyspaceNotFound,
  type LockError,
  type ReadError,
  type ScanError,
  type TransactionError,
  type TransactionReadError,
  type TransactionWriteError,
  type WriteError,
  WrongRevision
} from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import type { Change } from "../../services/Changes.ts"
import type { DatabaseShape, Durability, Keyspace, Value, WriteOperation } from "../../services/Database.ts"
import type { Transaction } from "../../services/Transaction.ts"
import { eventsIn, readAllOver } from "./allEvents.ts"
import { decoding, naming, readable, writable } from "./checked.ts"
import { decodeEach } from "./decodeEach.ts"
import { bytesCodec, type DataCodec, type EventSchema, schemaCodec, valueBytes } from "./eventData.ts"
import { decodeRow, encodeRow } from "./eventRow.ts"
import {
  commitPrefix,
  decodeEventKey,
  decodeRevision,
  encodeRevision,
  eventKey,
  eventPrefix,
  headKey,
  headPrefix,
  isEventKey,
  nameBytes,
  streamOfHead
} from "./streamKeys.ts"
import type { Versionstamp } from "./Versionstamp.ts"

export type { EventSchema } from "./eventData.ts"

/** What the stream must be like for the append: at this revision, without events, with some, or anyhow. -1 is "none". */
export type ExpectedRevision = number | "none" | "exists" | "any"

export interface NewEvent<A> {
  readonly data: A
  /** What kind of event it is, for readers that want to know before they decode. */
  readonly type?: string | undefined
  /** What is to be known about the event and is not part of it: who caused it, by which request. */
  readonly metadata?: Value | undefined
}

export interface RecordedEvent<A> {
  readonly stream: string
  /** Its place in the stream, from 0. */
  readonly revision: number
  /** Its place among all events: ascends in commit order. `sequence` is that of the commit. */
  readonly position: Versionstamp
  readonly data: A
  readonly metadata: Uint8Array | undefined
  readonly type: string | undefined
  /** When it was appended: ms since 1970 by the clock of the program that did. */
  readonly timeMs: number
}

export interface Appended {
  /** Of the first event of this append. */
  readonly firstRevision: number
  /** Of the last one: what the next append expects. -1 where the stream has no events. */
  readonly lastRevision: number
}

export interface AppendResult extends Appended {
  /** The commit. Undefined where `append` was called within the body of an open transaction, whose commit is yet to come, and for an append of no events. */
  readonly sequence: number | undefined
}

export interface AppendOptions {
  /** Default "any". */
  readonly expectedRevision?: ExpectedRevision | undefined
}

export interface CommitOptions extends AppendOptions {
  /** What the acknowledgement means. Default: the `durability` the database was opened with. */
  readonly durability?: Durability | undefined
}

export interface ReadOptions {
  /** The first revision wanted, inclusive; for "backward" the last. Default: where the stream begins (or ends). */
  readonly from?: number | undefined
  /** Default "forward". */
  readonly direction?: "forward" | "backward" | undefined
  readonly limit?: number | undefined
}

export interface ReadAllOptions {
  /** The first position wanted, inclusive. Default: the beginning. */
  readonly from?: Versionstamp | undefined
  /** Only what comes after this position: that of the last event seen. */
  readonly after?: Versionstamp | undefined
  /** Only what was committed up to this sequence, inclusive: that of a snapshot, to read what it holds. */
  readonly until?: number | undefined
  /** Whether to go on with new events when those there are have been read. Default true; with `until` there is nothing to go on with. */
  readonly live?: boolean | undefined
}

export type AppendInError = TransactionReadError | TransactionWriteError | KeyspaceNotFound | InvalidKeyspaceName | WrongRevision | InvalidEvent
export type AppendError = AppendInError | TransactionError | LockError
export type ReadStreamError = ScanError | InvalidOptions | InvalidEvent
export type ReadAllError = ReadStreamError | ChangesError

export interface EventStreams<In, Out = In> {
  readonly keyspace: string
  /**
   * Appends the events in one transaction. Fails with `WrongRevision` where the stream is not as expected; "any" and "exists" wait their turn instead.
   *
   * **Gotchas** Within the body of a transaction it joins that; `appendIn` says so.
   */
  readonly append: (stream: string, events: ReadonlyArray<NewEvent<In>>, options?: CommitOptions) => Effect.Effect<AppendResult, AppendError>
  /** Appends within an open transaction: it counts when that commits, and sees what was appended in it before. */
  readonly appendIn: (
    tx: Transaction,
    stream: string,
    events: ReadonlyArray<NewEvent<In>>,
    options?: AppendOptions
  ) => Effect.Effect<Appended, AppendInError>
  /** The events of a stream, from one moment. A stream nobody appended to has none. */
  readonly read: (stream: string, options?: ReadOptions) => Stream.Stream<RecordedEvent<Out>, ReadStreamError>
  /** The events of all streams in commit order. */
  readonly readAll: (options?: ReadAllOptions) => Stream.Stream<RecordedEvent<Out>, ReadAllError>
  /** Of the last event; -1 where there is none. */
  readonly revision: (stream: string) => Effect.Effect<number, ReadError | InvalidEvent>
  /** The streams there are, with the revision of their last event, in the order of their names' bytes. */
  readonly streams: (prefix?: string) => Stream.Stream<{ readonly stream: string; readonly revision: number }, ScanError | InvalidEvent>
  /** The events a commit of the feed brought to these streams, in order: for projections. */
  readonly eventsOf: (change: Change) => Effect.Effect<ReadonlyArray<RecordedEvent<Out>>, InvalidEvent>
}

/** `keyspace` is created where there is none, and belongs to these streams alone. With a schema data are its values, stored as JSON; without, they are bytes or text. */
export interface MakeOptions {
  readonly keyspace: string
  readonly schema?: undefined
}

export interface MakeTypedOptions<A> {
  readonly keyspace: string
  /** Of the data of all events, of all versions of the program: it needs no services, and its transformations are synchronous. */
  readonly schema: EventSchema<A>
}

export type MakeError = InvalidKeyspaceName | KeyspaceNotFound | WriteError

const invalidOption = (problem: string) => new InvalidOptions({ problems: [problem] })

const isRevision = (n: unknown, least: number): n is number => typeof n === "number" && Number.isSafeInteger(n) && n >= least

/** Throws `InvalidOptions`. */
const expectationOf = (given: ExpectedRevision | undefined): ExpectedRevision => {
  if (given === undefined) return "any"
  if (given === "none" || given === "exists" || given === "any" || isRevision(given, -1)) return given
  throw invalidOption(`expectedRevision must be a revision, "none", "exists" or "any", found ${String(given)}`)
}

const isMet = (expected: ExpectedRevision, actual: number): boolean => {
  if (expected === "any") return true
  if (expected === "none") return actual === -1
  if (expected === "exists") return actual >= 0
  return actual === expected
}

const malformed = (stream: string, revision: number | undefined) =>
  new InvalidEvent({ reason: "Malformed", stream, revision, detail: "its row is not as it is written" })

const timeOf: Effect.Effect<number> = Effect.map(Clock.currentTimeMillis, (ms) => Math.max(0, Math.floor(ms)))

const streamsOver = <In, Out>(db: DatabaseShape, space: Keyspace, codec: DataCodec<In, Out>): EventStreams<In, Out> => {
  const keyspace = space.name

  /** Undefined for rows of other kinds. Throws `InvalidEvent`. */
  const decodeEvent = (key: Uint8Array, value: Uint8Array): RecordedEvent<Out> | undefined => {
    if (!isEventKey(key)) return undefined
    const place = decodeEventKey(key)
    if (place === undefined) throw malformed("?", undefined)
    const { stream, revision } = place
    const row = decodeRow(value)
    if (row === undefined) throw malformed(stream, revision)
    const { position, metadata, type, timeMs } = row
    return { stream, revision, position, data: codec.decode(row.data, stream, revision), metadata, type, timeMs }
  }

  const revisionIn = (stream: string, head: Uint8Array | undefined): number => {
    if (head === undefined) return -1
    const revision = decodeRevision(head)
    if (revision === undefined) throw malformed(stream, undefined)
    return revision
  }

  /** Of an append of `events` after `last`. The commit adds the versionstamps: they are of one commit, and ascend as the operations do. */
  const operationsOf = (
    name: Uint8Array,
    stream: string,
    events: ReadonlyArray<NewEvent<In>>,
    last: number,
    timeMs: number
  ): Array<WriteOperation> => {
    const prefix = eventPrefix(name)
    const operations: Array<WriteOperation> = []
    events.forEach((event, index) => {
      const { data, metadata, type } = event
      if (type !== undefined && typeof type !== "string") throw new InvalidValue({ reason: "WrongType", found: describeType(type), index })
      const key = eventKey(prefix, last + 1 + index)
      const row = {
        type,
        metadata: metadata === undefined ? undefined : valueBytes(metadata, index),
        timeMs,
        data: codec.encode(data, stream, index)
      }
      operations.push({ type: "versionstampedValue", key, value: encodeRow(row) }, { type: "versionstampedKey", key: commitPrefix, value: key })
    })
    operations.push({ type: "put", key: headKey(name), value: encodeRevision(last + events.length) })
    return operations
  }

  const appendIn: EventStreams<In, Out>["appendIn"] = Effect.fnUntraced(function* (tx, stream, events, options) {
    const name = yield* naming(() => nameBytes(stream))
    const expected = yield* writable(() => expectationOf(options?.expectedRevision))
    const target = yield* tx.keyspace(keyspace)
    const head = yield* target.get(headKey(name))
    const last = yield* decoding(() => revisionIn(stream, head))
    if (expected !== "any" && !isMet(expected, last)) return yield* new WrongRevision({ stream, expected, actual: last })
    if (events.length > 0) {
      const timeMs = yield* timeOf
      yield* target.write(yield* writable(() => operationsOf(name, stream, events, last, timeMs)))
    }
    return { firstRevision: last + 1, lastRevision: last + events.length }
  })

  const append: EventStreams<In, Out>["append"] = Effect.fnUntraced(function* (stream, events, options) {
    const name = yield* naming(() => nameBytes(stream))
    const expected = options?.expectedRevision
    // Those that take the stream as it is would all conflict but one: they queue, and each finds the one before it done. The others fail after a conflict anyway.
    const queues = expected === undefined || expected === "any" || expected === "exists"
    const appended = yield* db.transaction(
      (tx) => {
        const body = appendIn(tx, stream, events, options)
        return queues ? Effect.andThen(tx.lock([headKey(name)], { keyspace }), body) : body
      },
      { durability: options?.durability }
    )
    if (events.length === 0) return { ...appended, sequence: undefined }
    // A transaction does not tell its sequence; the row of its first event does, which nothing changes. Within an open transaction nobody sees it yet.
    const row = yield* space.get(eventKey(eventPrefix(name), appended.firstRevision))
    return { ...appended, sequence: row === undefined ? undefined : decodeRow(row)?.position.sequence }
  })

  const read: EventStreams<In, Out>["read"] = (stream, { from, direction = "forward", limit } = {}) =>
    Stream.unwrap(
      readable(() => {
        if (from !== undefined && !isRevision(from, 0)) throw invalidOption(`from must be a revision, found ${String(from)}`)
        if (direction !== "forward" && direction !== "backward")
          throw invalidOption(`direction must be "forward" or "backward", found ${String(direction)}`)
        const prefix = eventPrefix(nameBytes(stream))
        const bound = from === undefined ? undefined : eventKey(prefix, from)
        const range = direction === "forward" ? { prefix, gte: bound, limit } : { prefix, lte: bound, limit, reverse: true }
        return decodeEach(space.scan(range), ({ key, value }) => [decodeEvent(key, value)])
      })
    )

  return {
    keyspace,
    append,
    appendIn,
    read,
    readAll: readAllOver(db, space, decodeEvent),
    revision: Effect.fnUntraced(function* (stream) {
      const name = yield* naming(() => nameBytes(stream))
      const head = yield* space.get(headKey(name))
      return yield* decoding(() => revisionIn(stream, head))
    }),
    streams: (prefix = "") =>
      decodeEach(space.scan({ prefix: headPrefix(prefix) }), ({ key, value }) => {
        const stream = streamOfHead(key)
        return [{ stream, revision: revisionIn(stream, value) }]
      }),
    eventsOf: (change) => decoding(() => eventsIn(change, keyspace, decodeEvent))
  }
}

/** Opens the event streams of a keyspace, creating it where it does not exist yet. */
export const make: {
  (db: DatabaseShape, options: MakeOptions): Effect.Effect<EventStreams<Value, Uint8Array>, MakeError>
  <A>(db: DatabaseShape, options: MakeTypedOptions<A>): Effect.Effect<EventStreams<A>, MakeError>
} = <A>(db: DatabaseShape, options: MakeOptions | MakeTypedOptions<A>): Effect.Effect<EventStreams<A> | EventStreams<Value, Uint8Array>, MakeError> =>
  Effect.map(db.keyspace(options.keyspace), (space) =>
    options.schema === undefined ? streamsOver(db, space, bytesCodec) : streamsOver(db, space, schemaCodec(options.schema))
  )
