/** What the feed of a read-only open shows, what it refuses, and where it ends. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { seededPrng } from "../../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { lookEveryMs } from "../../../src/layers/readOnly/makeReaderFeed.ts"
import type { Change, ChangesOptions, WatchEvent } from "../../../src/services/Changes.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { movedDisk } from "../../support/movedDisk.ts"
import { directory, openOn, openSimulated } from "../../support/openEngine.ts"

const text = new TextDecoder()
const keysOf = (changes: Iterable<Change>) =>
  Array.from(changes, ({ operations }) => operations.map((one) => ("key" in one ? `${one.keyspace}/${text.decode(one.key)}` : one.type)).join(" "))
const shown = (db: DatabaseShape, options: ChangesOptions = {}) => Effect.map(Stream.runCollect(db.changes(options)), keysOf)
const failure = (db: DatabaseShape, options: ChangesOptions) => Effect.flip(shown(db, options))

const readerOn = (disk: SimulatedDisk) => openSimulated(disk, { readOnly: true })

/** Lets a follower look once more, and read. */
const look = Effect.andThen(
  TestClock.adjust(lookEveryMs),
  Effect.forEach([1, 2, 3], () => Effect.yieldNow, { discard: true })
)

describe("the feed of a read-only open", () => {
  it.effect("is history to the last refresh, and live what is logged after it, once in every interval", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      const { sequence } = yield* writer.put("a", "1")
      const reader = yield* readerOn(disk)
      yield* writer.put("b", "1")
      expect(yield* shown(reader, { from: 1, live: false })).toEqual(["default/a"])
      expect(yield* shown(reader, { live: false })).toEqual([])
      const seen: Array<string> = []
      const fiber = yield* Effect.forkScoped(
        Stream.runForEach(reader.changes(), (change) => Effect.sync(() => seen.push(...keysOf([change])))),
        {
          startImmediately: true
        }
      )
      // Without `from` it begins with the commit after the last refresh.
      expect(seen).toEqual(["default/b"])
      yield* writer.put("c", "1")
      yield* TestClock.adjust(lookEveryMs - 1)
      expect(seen).toEqual(["default/b"])
      yield* look
      expect(seen).toEqual(["default/b", "default/c"])
      // Reads stay where they are.
      expect(yield* reader.getText("b")).toBeUndefined()
      yield* reader.refresh
      expect(yield* reader.getText("c")).toBe("1")
      expect(yield* shown(reader, { from: 1, live: false })).toEqual(["default/a", "default/b", "default/c"])
      expect(yield* failure(reader, { from: sequence + 9 })).toMatchObject({ _tag: "FutureMoment", newest: sequence + 2 })
      expect(yield* failure(reader, { keyspace: "none" })).toMatchObject({ _tag: "KeyspaceNotFound" })
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("names keyspaces that were made after the last refresh, and says what it does not know yet", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      yield* writer.put("a", "1")
      const reader = yield* readerOn(disk)
      const fruit = yield* writer.keyspace("fruit")
      const { sequence } = yield* fruit.put("apple", "1")
      yield* fruit.put("pear", "1")
      expect(yield* failure(reader, { keyspace: "fruit" })).toMatchObject({ _tag: "KeyspaceNotFound" })
      expect(keysOf(yield* Stream.runCollect(Stream.take(reader.changes({ from: sequence }), 2)))).toEqual(["fruit/apple", "fruit/pear"])
    })
  )

  it.effect("says from where on there is a log", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      for (let i = 0; i < 200; i++) yield* writer.put(`k${i}`, "v".repeat(1000))
      yield* writer.flush
      const gone = yield* failure(writer, { from: 1, live: false })
      const reader = yield* readerOn(disk)
      expect(gone).toMatchObject({ _tag: "HistoryGone", sequence: 1 })
      expect(yield* failure(reader, { from: 1, live: false })).toEqual(gone)
      const { oldestSequence } = gone as { readonly oldestSequence: number }
      const expected = yield* shown(writer, { from: oldestSequence, live: false })
      expect(expected.length).toBeGreaterThan(0)
      expect(yield* shown(reader, { from: oldestSequence, live: false })).toEqual(expected)
    })
  )

  it.effect("goes on through what was there when it began, also when the writer has let go of it", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      yield* writer.createCursor("keeps", 0)
      const { sequence } = yield* writer.put("first", "1")
      for (let i = 0; i < 400; i++) yield* writer.put(`k${i}`, "v".repeat(3500), { durability: "buffered" })
      yield* writer.flush
      const reader = yield* readerOn(disk)
      const seen: Array<number> = []
      const fiber = yield* Effect.forkScoped(
        Stream.runForEach(reader.changes({ from: sequence }), (change) =>
          Effect.andThen(
            Effect.sync(() => seen.push(change.sequence)),
            change.sequence % 100 === 0 ? Effect.sleep("1 minute") : Effect.void
          )
        ),
        { startImmediately: true }
      )
      yield* look
      yield* writer.dropCursor("keeps")
      const last = yield* writer.put("last", "1")
      yield* writer.flush
      expect(yield* failure(writer, { from: sequence, live: false })).toMatchObject({ _tag: "HistoryGone" })
      expect(seen.length).toBeLessThan(200)
      for (let i = 0; i < 6; i++) yield* TestClock.adjust("1 minute")
      // Between the puts and the last one lies the drop of the cursor, which the feed does not show.
      expect(seen).toEqual([...Array.from({ length: 401 }, (_, i) => sequence + i), last.sequence])
      expect(fiber.pollUnsafe()).toBeUndefined()
    })
  )

  it.effect("fails where the writer let go of more between two looks than the reader had come to", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      yield* writer.put("first", "1")
      const reader = yield* readerOn(disk)
      const fiber = yield* Effect.forkScoped(Stream.runDrain(reader.changes()), { startImmediately: true })
      for (let i = 0; i < 400; i++) yield* writer.put(`k${i}`, "v".repeat(1000), { durability: "buffered" })
      yield* writer.flush
      const gone = yield* failure(writer, { from: 2, live: false })
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* look
      expect(yield* Effect.flip(Fiber.join(fiber))).toEqual(gone)
      expect(gone).toMatchObject({ _tag: "HistoryGone", sequence: 2 })
    })
  )

  it.effect("reads from cursors and moves none", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      yield* writer.put("a", "1")
      const made = yield* writer.createCursor("mailer")
      yield* writer.put("b", "1")
      const reader = yield* readerOn(disk)
      expect(yield* reader.cursors).toEqual([made])
      expect(yield* shown(reader, { cursor: "mailer", live: false })).toEqual(["default/b"])
      yield* writer.advanceCursor("mailer", made.next + 2)
      expect(yield* shown(reader, { cursor: "mailer", live: false })).toEqual(["default/b"])
      yield* reader.refresh
      expect(yield* shown(reader, { cursor: "mailer", live: false })).toEqual([])
      expect(yield* failure(reader, { cursor: "other" })).toMatchObject({ _tag: "CursorNotFound" })
      expect(yield* Effect.flip(reader.advanceCursor("mailer", 99))).toMatchObject({ _tag: "DatabaseReadOnly" })
      expect(yield* Effect.flip(reader.createCursor("mine"))).toMatchObject({ _tag: "DatabaseReadOnly" })
      expect(yield* Effect.flip(reader.dropCursor("mailer"))).toMatchObject({ _tag: "DatabaseReadOnly" })
    })
  )

  it.effect("watches: what was there at the last refresh, then each change, to the drop of the keyspace", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const writer = yield* openSimulated(disk)
      const lamps = yield* writer.keyspace("lamps")
      yield* lamps.put("hall", "off")
      const reader = yield* readerOn(disk)
      yield* lamps.put("hall", "dim")
      const space = yield* reader.keyspace("lamps")
      const seen: Array<string> = []
      const show = (event: WatchEvent) => Effect.sync(() => seen.push(event.type === "put" ? text.decode(event.value) : event.type))
      const fiber = yield* Effect.forkScoped(Stream.runForEach(space.watch({ key: "hall" }), show), { startImmediately: true })
      yield* look
      expect(seen).toEqual(["off", "dim"])
      yield* lamps.put("cellar", "on")
      yield* lamps.delete("hall")
      yield* writer.flush
      yield* writer.compact()
      yield* look
      expect(seen).toEqual(["off", "dim", "delete"])
      yield* writer.dropKeyspace("lamps")
      yield* look
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "KeyspaceDropped" })
    })
  )

  it.effect("tells a reader that has seen what a power cut took back", () =>
    Effect.gen(function* () {
      let disk = new SimulatedDisk()
      const scope = yield* Scope.make()
      const writer = yield* Scope.provide(openSimulated(disk), scope)
      yield* writer.put("a", "1")
      const reader = yield* openOn(
        movedDisk(() => disk),
        directory,
        { readOnly: true }
      )
      const { sequence } = yield* writer.put("b", "1", { durability: "buffered" })
      expect(keysOf(yield* Stream.runCollect(Stream.take(reader.changes(), 1)))).toEqual(["default/b"])
      yield* reader.refresh
      disk = disk.crash(seededPrng(1), { mode: "worst" })
      yield* Scope.close(scope, Exit.void)
      const again = yield* openSimulated(disk)
      yield* again.put("c", "1")
      expect(yield* failure(reader, { from: sequence + 1 })).toMatchObject({ _tag: "HistoryDiverged" })
      // Who stands before it has missed nothing.
      expect(keysOf(yield* Stream.runCollect(Stream.take(reader.changes({ from: sequence }), 1)))).toEqual(["default/c"])
    })
  )

  it.effect("fails what goes on, when what it has seen is lost, and when the database is closed", () =>
    Effect.gen(function* () {
      let disk = new SimulatedDisk()
      const scope = yield* Scope.make()
      const writer = yield* Scope.provide(openSimulated(disk), scope)
      yield* writer.put("a", "1")
      const reading = yield* Scope.make()
      const reader = yield* Scope.provide(
        openOn(
          movedDisk(() => disk),
          directory,
          { readOnly: true }
        ),
        reading
      )
      yield* writer.put("b", "1", { durability: "buffered" })
      const follow = (options: ChangesOptions) => Effect.forkScoped(Stream.runDrain(reader.changes(options)), { startImmediately: true })
      const ahead = yield* follow({})
      // Those that only wait go on where the log goes on.
      disk = disk.crashState(seededPrng(1), { mode: "worst" })
      yield* Scope.close(scope, Exit.void)
      const again = yield* openSimulated(disk)
      yield* again.put("c", "1")
      yield* look
      expect(yield* Effect.flip(Fiber.join(ahead))).toMatchObject({ _tag: "HistoryDiverged" })
      yield* reader.refresh
      const waiting = yield* follow({})
      yield* look
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* Scope.close(reading, Exit.void)
      expect(yield* Effect.flip(Fiber.join(waiting))).toMatchObject({ _tag: "DatabaseClosed" })
      expect(yield* failure(reader, {})).toMatchObject({ _tag: "DatabaseClosed" })
    })
  )
})
