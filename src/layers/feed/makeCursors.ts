import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import {
  CursorNotFound,
  type CursorError,
  DatabaseClosed,
  DatabaseFailed,
  fromReadFailure,
  FutureMoment,
  HistoryDiverged,
  HistoryGone,
  InvalidOptions,
  type ListError
} from "../../domain/errors.ts"
import { Damage } from "../../domain/failures.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { cursorRowKey, cursorRowsFrom, cursorRowsTo, decodeCursor, encodeCursor, nameInCursorRowKey } from "../../domain/keys/cursorRows.ts"
import { systemKeyspace } from "../../domain/keys/kinds.ts"
import type { CursorInfo } from "../../services/Changes.ts"
import type { DatabaseShape } from "../../services/Database.ts"
import { readError } from "../reading/makeReads.ts"
import { ownRows } from "../transactions/ownRows.ts"
import { listError } from "../reading/thrownErrors.ts"
import type { LogPositions } from "./LogPositions.ts"
import type { FeedParts } from "./makeFeed.ts"
import { systemRows } from "./systemRows.ts"

interface Cursor {
  readonly name: string
  next: number
  /** Sequence of the commit that moved it (or dropped it), and where the log is needed from until that is durable: after a crash it would stand there again. */
  since: number
  before: number
  /** Whether it was made in this database, and not in the one this is a copy of: then its position means nothing here. */
  readonly own: boolean
}

export interface Cursors {
  readonly create: DatabaseShape["createCursor"]
  readonly advance: DatabaseShape["advanceCursor"]
  readonly drop: DatabaseShape["dropCursor"]
  readonly list: DatabaseShape["cursors"]
  /** For a reader: where the cursor stands. `check` throws `CursorNotFound` once it was dropped. Throws `CursorNotFound`, `HistoryDiverged`, `InvalidOptions`. */
  readonly find: (name: string) => { readonly next: number; readonly check: () => void }
  /** Reads them. Where that fails every one of the others tries again, and fails with why; until it succeeds nothing of the log is dropped. */
  readonly load: () => void
}

const nameBytesMax = 255
const utf8 = new TextEncoder()

/** Throws `InvalidOptions`. */
const nameBytesOf = (name: unknown): Uint8Array => {
  const refused = (what: string) => new InvalidOptions({ problems: [`the name of a cursor must be text of 1 to ${nameBytesMax} bytes; ${what}`] })
  if (typeof name !== "string") throw refused("it is none")
  if (!name.isWellFormed()) throw refused("it holds a lone surrogate")
  const bytes = utf8.encode(name)
  if (bytes.length === 0) throw refused("it is empty")
  if (bytes.length > nameBytesMax) throw refused(`it has ${bytes.length}`)
  return bytes
}

/** Throws `InvalidOptions`. */
const checkPosition = (next: unknown): void => {
  if (!Number.isSafeInteger(next) || Number(next) < 0)
    throw new InvalidOptions({ problems: ["the position of a cursor must be a sequence: a whole number, 0 or more"] })
}

/** Durable cursors: rows of keyspace 0, and what of the log they pin. `onLess` runs when one of them has let go of some. */
export const makeCursors = (parts: FeedParts, positions: LogPositions, onLess: () => void): Cursors => {
  const { checkOpen, directory, manifest, transactions, wal } = parts
  let cursors: Map<string, Cursor> | undefined
  /** One change of the same cursor at a time; entries go with their last user. */
  const queues = new Map<string, { readonly queue: Semaphore.Semaphore; users: number }>()
  /** Those being created: what they need must not be dropped while their row is on its way. */
  const beginning = new Set<Cursor>()
  /** Those dropped whose row may not be gone for good yet. */
  const ending = new Set<Cursor>()

  const read = (): Map<string, Cursor> => {
    const found = new Map<string, Cursor>()
    const { lineageId } = manifest.state()
    for (const row of systemRows(parts, cursorRowsFrom, cursorRowsTo)) {
      const name = decodeText(nameInCursorRowKey(row.key))
      const cursor = decodeCursor(row.value)
      if (cursor === undefined) throw new Damage(directory, 0, "Malformed", "keyspace 0 holds a cursor that is none")
      found.set(name, { name, next: cursor.next, since: 0, before: cursor.next, own: compareBytes(cursor.lineageId, lineageId) === 0 })
    }
    return found
  }

  const all = (): Map<string, Cursor> => {
    if (cursors === undefined) {
      cursors = read()
      const known = cursors
      wal.log.keepFor(() => {
        const durable = wal.durableSequence()
        let floor = Infinity
        for (const { before, next, own, since } of known.values()) if (own) floor = Math.min(floor, since <= durable ? next : before)
        for (const { next } of beginning) floor = Math.min(floor, next)
        for (const cursor of ending) {
          if (cursor.since <= durable) ending.delete(cursor)
          else floor = Math.min(floor, cursor.before)
        }
        return floor
      }, onLess)
    }
    return cursors
  }

  const diverged = (cursor: Cursor) =>
    new HistoryDiverged({ sequence: cursor.next, detail: `the cursor ${JSON.stringify(cursor.name)} was made in the database this is a copy of` })

  const info = ({ name, next }: Cursor): CursorInfo => ({ name, next })

  /** `sequenced` runs in the commit turn: memory says what the rows will say, even where the caller does not wait for the end. */
  const write = (key: Uint8Array, value: Uint8Array | undefined, sequenced: (sequence: number) => () => void): Effect.Effect<void, CursorError> =>
    Effect.asVoid(
      ownRows(
        transactions.write(
          systemKeyspace,
          [value === undefined ? { type: "delete", key } : { type: "put", key, value }],
          { durability: "sync" },
          sequenced
        )
      )
    )

  /** One at a time for each name. Refusals are thrown by `change`. */
  const changing = <A>(
    name: unknown,
    change: (name: string, bytes: Uint8Array, all: Map<string, Cursor>) => Effect.Effect<A, CursorError>
  ): Effect.Effect<A, CursorError> =>
    Effect.suspend(() => {
      let bytes: Uint8Array
      try {
        bytes = nameBytesOf(name)
      } catch (cause) {
        return Effect.fail(cursorError(cause))
      }
      const key = String(name)
      return Effect.acquireUseRelease(
        Effect.sync(() => {
          const slot = queues.get(key) ?? { queue: Semaphore.makeUnsafe(1), users: 0 }
          slot.users++
          queues.set(key, slot)
          return slot
        }),
        ({ queue }) =>
          queue.withPermit(
            Effect.suspend(() => {
              try {
                checkOpen()
                return change(key, bytes, all())
              } catch (cause) {
                return Effect.fail(cursorError(cause))
              }
            })
          ),
        (slot) =>
          Effect.sync(() => {
            if (--slot.users === 0) queues.delete(key)
          })
      )
    })

  const create: Cursors["create"] = (name, next) =>
    changing(name, (key, bytes, known) => {
      const there = known.get(key)
      if (there !== undefined) {
        if (!there.own) throw diverged(there)
        return Effect.succeed(info(there))
      }
      if (next !== undefined) checkPosition(next)
      // Whatever becomes of the fiber, and wherever: one that stayed among these would keep the log for ever.
      return Effect.acquireUseRelease(
        Effect.suspend(() => {
          try {
            const start = positions.start(next ?? positions.visible() + 1)
            const cursor: Cursor = { name: key, next: start, since: 0, before: start, own: true }
            beginning.add(cursor)
            return Effect.succeed(cursor)
          } catch (cause) {
            return Effect.fail(cursorError(cause))
          }
        }),
        (cursor) =>
          Effect.map(
            write(cursorRowKey(bytes), encodeCursor(cursor.next, manifest.state().lineageId), () => {
              known.set(key, cursor)
              return () => known.delete(key)
            }),
            () => info(cursor)
          ),
        (cursor) =>
          Effect.sync(() => {
            beginning.delete(cursor)
            if (known.get(key) !== cursor) onLess()
          })
      )
    })

  const existing = (known: Map<string, Cursor>, name: string): Cursor => {
    const cursor = known.get(name)
    if (cursor === undefined) throw new CursorNotFound({ name })
    return cursor
  }

  const advance: Cursors["advance"] = (name, next) =>
    changing(name, (key, bytes, known) => {
      checkPosition(next)
      const cursor = existing(known, key)
      if (!cursor.own) throw diverged(cursor)
      if (next <= cursor.next) return Effect.succeed(info(cursor))
      const to = positions.ahead(next)
      const written = write(cursorRowKey(bytes), encodeCursor(to, manifest.state().lineageId), (sequence) => {
        const { next: was } = cursor
        // One that was not durable when this came still stands where it stood before.
        if (cursor.since <= wal.durableSequence()) cursor.before = was
        cursor.since = sequence
        cursor.next = to
        return () => {
          cursor.next = was
        }
      })
      return Effect.map(written, () => {
        onLess()
        return info(cursor)
      })
    })

  const drop: Cursors["drop"] = (name) =>
    changing(name, (key, bytes, known) => {
      const cursor = existing(known, key)
      const written = write(cursorRowKey(bytes), undefined, (sequence) => {
        if (cursor.since <= wal.durableSequence()) cursor.before = cursor.next
        cursor.since = sequence
        known.delete(key)
        if (cursor.own) ending.add(cursor)
        return () => {
          known.set(key, cursor)
        }
      })
      return Effect.map(written, onLess)
    })

  return {
    create,
    advance,
    drop,
    list: Effect.suspend((): Effect.Effect<ReadonlyArray<CursorInfo>, ListError> => {
      try {
        checkOpen()
        return Effect.succeed([...all().values()].map(info).sort((a, b) => (a.name < b.name ? -1 : 1)))
      } catch (cause) {
        return Effect.fail(listError(cause))
      }
    }),
    find: (name) => {
      const cursor = existing(all(), name)
      if (!cursor.own) throw diverged(cursor)
      return {
        next: cursor.next,
        check: () => {
          if (cursors?.get(name) !== cursor) throw new CursorNotFound({ name })
        }
      }
    },
    load: () => {
      try {
        all()
      } catch (cause) {
        // Told to whoever asks for a cursor; what is wrong with the files does not keep the rest of the database from opening.
        readError(cause)
      }
    }
  }
}

/** What the calls may throw, as their public error. Defects pass through. */
const cursorError = (cause: unknown): CursorError => {
  if (
    cause instanceof CursorNotFound ||
    cause instanceof HistoryGone ||
    cause instanceof HistoryDiverged ||
    cause instanceof FutureMoment ||
    cause instanceof InvalidOptions ||
    cause instanceof DatabaseClosed ||
    cause instanceof DatabaseFailed
  )
    return cause
  return fromReadFailure(cause)
}
