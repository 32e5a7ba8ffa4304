/** Checkpoints of a read-only open: without the writer's lock, beside a writer that goes on. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as path from "node:path"
import { NotADatabase, PathExists } from "../../src/domain/errors.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { scanned } from "../contracts/database/fixture.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer, temporaryDirectory } from "../support/openLayer.ts"

const key = (i: number) => `k${String(i).padStart(5, "0")}`
const batch = (turn: number, n: number) =>
  Array.from({ length: n }, (_, i) => ({ type: "put" as const, key: key(i), value: `${turn} ${"x".repeat(i % 7 === 0 ? 1500 : 20)}` }))

const openWriter = (directory: string) => openLayer(LightningDb.layer({ ...smallOptions, path: directory }))
const openReader = (directory: string) => openLayer(LightningDb.layer({ path: directory, readOnly: true }))

describe("a checkpoint of a read-only open", () => {
  it.effect("holds what is in tables and what is in the log alone, and goes on as a database of its own", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const directory = path.join(root, "db")
      const writer = yield* openWriter(directory)
      yield* writer.write(batch(1, 300))
      yield* Effect.andThen(writer.flush, writer.compact())
      yield* (yield* writer.keyspace("other", { history: "unlimited" })).put("a", "1")
      const last = yield* writer.write(batch(2, 50))
      const reader = yield* openReader(directory)
      // What came after the open is part of it, too: it is the database of this moment.
      const after = yield* writer.put("after", "the open")
      const copy = path.join(root, "copy")
      const report = yield* reader.checkpoint(copy)
      expect(report).toMatchObject({ path: copy, sequence: after.sequence, files: fs.readdirSync(copy).length })
      expect(after.sequence).toBeGreaterThan(last.sequence)
      const expected = [...(yield* scanned(writer))]
      yield* writer.write([{ type: "deleteRange", prefix: "k" }])
      yield* Effect.andThen(writer.flush, writer.compact())
      for (let round = 0; round < 3; round++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* round === 0 ? openReader(copy) : openWriter(copy)
            expect(yield* scanned(db)).toEqual(expected)
            expect(yield* scanned(yield* db.keyspace("other"))).toEqual(["a=1"])
            yield* db.verify
            if (round === 0) return
            // Sequences go on where the copy ends, without a hole.
            const result = yield* db.put("k00000", expected[1]!.slice("k00000=".length))
            if (round === 1) expect(result.sequence).toBe(report.sequence + 1)
          })
        )
        if (round === 1) expected.splice(1, 1, ...(yield* Effect.scoped(Effect.flatMap(openReader(copy), scanned))).slice(1, 2))
      }
      expect((yield* scanned(writer)).join()).toBe("after=the open")
    })
  )

  it.effect("is a moment between two transactions, whatever the writer does meanwhile", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const directory = path.join(root, "db")
      const writer = yield* openWriter(directory)
      yield* writer.write(batch(0, 200))
      const reader = yield* openReader(directory)
      const writing = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 60 }, (_, i) => i + 1),
          (turn) =>
            Effect.gen(function* () {
              yield* writer.write(batch(turn, 200), { durability: "buffered" })
              if (turn % 5 === 0) yield* writer.flush
              if (turn % 15 === 0) yield* writer.compact()
              yield* Effect.yieldNow
            }),
          { discard: true }
        )
      )
      let copies = 0
      while (writing.pollUnsafe() === undefined && copies < 25) {
        const copy = path.join(root, `copy${copies++}`)
        const report = yield* reader.checkpoint(copy)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openWriter(copy)
            const turns = new Set((yield* scanned(db)).map((pair) => /=(\d+) /.exec(pair)![1]))
            expect(turns.size, `${copy}: ${[...turns].join()}`).toBe(1)
            expect((yield* db.stats).visibleSequence).toBe(report.sequence)
          })
        )
        fs.rmSync(copy, { recursive: true })
        yield* Effect.yieldNow
      }
      yield* Fiber.join(writing)
      expect(copies).toBeGreaterThan(3)
    })
  )

  it.effect("refuses a place where something is, and leaves nothing behind where it cannot be made", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const directory = path.join(root, "db")
      const writer = yield* openWriter(directory)
      yield* writer.put("k", "v")
      const reader = yield* openReader(directory)
      expect(yield* Effect.flip(reader.checkpoint(directory))).toBeInstanceOf(PathExists)
      fs.writeFileSync(path.join(root, "file"), "")
      yield* Effect.flip(reader.checkpoint(path.join(root, "file", "below")))
      expect(yield* Effect.flip(reader.checkpoint(""))).toMatchObject({ _tag: "InvalidOptions" })
      expect(fs.readdirSync(root).toSorted()).toEqual(["db", "file"])
      const copy = path.join(root, "copy")
      yield* reader.checkpoint(copy)
      // What a kill before the last step leaves: no database, for nobody.
      fs.renameSync(path.join(copy, "CURRENT"), path.join(copy, "CURRENT.checkpoint"))
      expect(yield* Effect.flip(openReader(copy))).toBeInstanceOf(NotADatabase)
      expect(yield* Effect.flip(openWriter(copy))).toBeInstanceOf(NotADatabase)
    })
  )
})
