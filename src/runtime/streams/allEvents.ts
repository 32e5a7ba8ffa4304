/** All events of a keyspace in commit order: the rows that say so, page by page, and from where they end the feed. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { HistoryGone, InvalidEvent, InvalidOptions } from "../../domain/errors.ts"
import { versionstampIndexMax } from "../../domain/transaction/atomic.ts"
import type { Change } from "../../services/Changes.ts"
import type { DatabaseShape, Entry, Keyspace } from "../../services/Database.ts"
import { decoding, readable } from "./checked.ts"
import { decodeEach } from "./decodeEach.ts"
import type { ReadAllError, ReadAllOptions, RecordedEvent } from "./EventStreams.ts"
import { commitKey, commitPositionOf, commitPrefix } from "./streamKeys.ts"
import * as Versionstamp from "./Versionstamp.ts"

type DecodeEvent<Out> = (key: Uint8Array, value: Uint8Array) => RecordedEvent<Out> | undefined

const pageEvents = 128

/** The events a commit brought, in order. Throws `InvalidEvent`. */
export const eventsIn = <Out>(change: Change, keyspace: string, decodeEvent: DecodeEvent<Out>): ReadonlyArray<RecordedEvent<Out>> => {
  const events: Array<RecordedEvent<Out>> = []
  for (const operation of change.operations) {
    if (operation.type !== "put" || operation.keyspace !== keyspace) continue
    const event = decodeEvent(operation.key, operation.value)
    if (event !== undefined) events.push(event)
  }
  return events.sort((a, b) => Versionstamp.compare(a.position, b.position))
}

/** The first position after all of a commit. */
const afterCommit = (sequence: number): Versionstamp.Versionstamp => ({ sequence: sequence + 1, index: 0 })
/** The first position after this one. */
const successor = ({ sequence, index }: Versionstamp.Versionstamp): Versionstamp.Versionstamp =>
  index === versionstampIndexMax ? afterCommit(sequence) : { sequence, index: index + 1 }

type AllEvents<Out> = Stream.Stream<RecordedEvent<Out>, ReadAllError>

export const readAllOver = <Out>(db: DatabaseShape, space: Keyspace, decodeEvent: DecodeEvent<Out>) => {
  /** Of each event in commit order its key, and what is stored under it. Throws `InvalidEvent`. */
  const eventsOn = (rows: ReadonlyArray<Entry>, values: ReadonlyArray<Uint8Array | undefined>): ReadonlyArray<RecordedEvent<Out>> =>
    rows.map(({ value: key }, index) => {
      const value = values[index]
      const event = value === undefined ? undefined : decodeEvent(key, value)
      if (event !== undefined) return event
      throw new InvalidEvent({ reason: "Malformed", stream: "?", detail: "the order of commits names an event that is not there" })
    })

  return ({ from, after, until = Infinity, live = true }: ReadAllOptions = {}): AllEvents<Out> => {
    const wanted = (event: RecordedEvent<Out>): boolean =>
      (from === undefined || Versionstamp.compare(event.position, from) >= 0) &&
      (after === undefined || Versionstamp.compare(event.position, after) > 0)

    /** Page by page, each from a snapshot of its own: rows are only added, behind those that are visible, so pages fit together and no reader holds a snapshot for long. */
    const stored = (start: Versionstamp.Versionstamp): AllEvents<Out> =>
      Stream.suspend(() => {
        /** Of the last page: everything up to here has been seen. */
        let seen = 0
        const pages = Stream.paginate(start, (place) =>
          Effect.scoped(
            Effect.gen(function* () {
              const snapshot = yield* space.snapshot
              const rows = yield* Stream.runCollect(snapshot.scan({ prefix: commitPrefix, gte: commitKey(place), limit: pageEvents }))
              const values = yield* snapshot.getMany(rows.map((row) => row.value))
              const events = yield* decoding(() => eventsOn(rows, values).filter(wanted))
              seen = snapshot.sequence
              const last = rows.length < pageEvents ? undefined : rows[rows.length - 1]
              return [events, Option.map(Option.fromUndefinedOr(last), ({ key }) => successor(commitPositionOf(key)))] as const
            })
          )
        )
        return live && until === Infinity
          ? Stream.concat(
              pages,
              Stream.suspend(() => following(seen + 1))
            )
          : pages
      })

    /** The feed, from a sequence on. A reader so slow that the log is gone before it comes finds the rest where it found the beginning. */
    const following = (start: number): AllEvents<Out> => {
      let reached = start
      const changes = Stream.map(db.changes({ from: start, keyspace: space.name }), (change) => {
        reached = change.sequence + 1
        return change
      })
      return Stream.catchIf(
        decodeEach(changes, (change) => eventsIn(change, space.name, decodeEvent).filter(wanted)),
        (error) => error instanceof HistoryGone,
        () => stored({ sequence: reached, index: 0 })
      )
    }

    return Stream.unwrap(
      readable(() => {
        const start = after ?? from ?? { sequence: 0, index: 0 }
        try {
          Versionstamp.encode(start)
        } catch (cause) {
          throw new InvalidOptions({ problems: [`from and after must be positions of events: ${String(cause)}`] })
        }
        return until === Infinity ? stored(start) : Stream.takeWhile(stored(start), ({ position }) => position.sequence <= until)
      })
    )
  }
}
