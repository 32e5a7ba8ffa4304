import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { DatabaseReadOnly } from "../../src/domain/errors.ts"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"

const root = mkdtempSync(join(tmpdir(), "lightning-read-only-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** How long the writer beside the readers goes on; a long run takes minutes and makes tens of thousands of opens. */
const writerMs = Number(process.env["LIGHTNING_READ_ONLY_MS"] ?? 5000)

const reading = <A, E>(path: string, use: (db: Database["Service"]) => Effect.Effect<A, E>) =>
  Effect.runPromiseExit(Effect.provide(Effect.flatMap(Database, use), layer({ path, readOnly: true, memtableBytes: 65_536 })))

describe("read-only open", () => {
  it(
    "never fails and never goes back beside a writer that flushes, compacts and rotates",
    async () => {
      const path = join(root, "busy")
      const child = spawn(
        process.execPath,
        ["--no-warnings", fileURLToPath(new URL("../support/churning-child.ts", import.meta.url)), path, String(writerMs)],
        {
          stdio: ["ignore", "pipe", "inherit"]
        }
      )
      let printed = ""
      const ready = new Promise<void>((resolve) => child.stdout.on("data", (data) => ((printed += data), printed.includes("ready") && resolve())))
      const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()))
      let running = true
      void ended.then(() => (running = false))
      await ready
      let opens = 0
      let last = -1
      while (running) {
        // An open may resolve without a turn of the event loop, and the end of the child is an event.
        await new Promise((resolve) => setImmediate(resolve))
        opens++
        const exit = await reading(path, (db) =>
          Effect.gen(function* () {
            const other = yield* db.keyspace("other")
            const before = Number(yield* db.getText("counter"))
            // One view: what is written together is seen together.
            expect(Number((yield* other.getText("mirror")) ?? 0)).toBe(before)
            if (opens % 8 === 0) {
              const entries = yield* Stream.runCollect(db.scan({ prefix: "k" }))
              expect(entries.every(({ value }) => value.every((byte) => byte === 0x76))).toBe(true)
            }
            yield* db.refresh
            return [before, Number(yield* db.getText("counter"))] as const
          })
        )
        if (Exit.isFailure(exit)) expect.fail(`open ${opens} failed: ${exit.cause}`)
        const [before, after] = exit.value
        expect(before).toBeGreaterThanOrEqual(last)
        expect(after).toBeGreaterThanOrEqual(before)
        last = after
      }
      await ended
      const writer = JSON.parse(printed.split("\n")[1]!) as { readonly flushes: number; readonly compactions: number }
      console.log(`read-only: ${opens} opens beside ${writer.flushes} flushes and ${writer.compactions} compactions`)
      expect(opens).toBeGreaterThan(20)
      expect(writer.flushes).toBeGreaterThan(5)
      expect(writer.compactions).toBeGreaterThan(2)
    },
    writerMs + 30_000
  )

  it("writes nothing, refuses writes, and keeps a snapshot still over refresh", async () => {
    const path = join(root, "still")
    const write = (value: string) =>
      Effect.runPromise(
        Effect.provide(
          Effect.flatMap(Database, (db) => db.put("a", value)),
          layer({ path })
        )
      )
    await write("1")
    const files = readdirSync(path).sort()
    const exit = await reading(path, (db) =>
      Effect.scoped(
        Effect.gen(function* () {
          const snapshot = yield* db.snapshot
          yield* Effect.promise(() => write("2"))
          expect(yield* db.getText("a")).toBe("1")
          yield* db.refresh
          expect(yield* db.getText("a")).toBe("2")
          expect(yield* snapshot.getText("a")).toBe("1")
          const refusals: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            db.put("a", "3"),
            db.delete("a"),
            db.write([]),
            db.flush,
            db.compact(),
            db.dropKeyspace("x")
          ]
          for (const refused of refusals) {
            expect(yield* Effect.flip(refused)).toBeInstanceOf(DatabaseReadOnly)
          }
          expect(yield* Effect.flip(db.keyspace("none"))).toMatchObject({ _tag: "KeyspaceNotFound" })
          expect((yield* db.health).state).toBe("readOnly")
          expect(yield* db.verify).toMatchObject({ tables: 0 })
        })
      )
    )
    expect(Exit.isSuccess(exit) ? undefined : String(exit.cause)).toBeUndefined()
    expect(files.some((name) => name.endsWith(".log"))).toBe(true)
  })

  it("tells that the database has gone meanwhile, and goes on showing what it holds", async () => {
    const path = join(root, "gone")
    await Effect.runPromise(
      Effect.provide(
        Effect.flatMap(Database, (db) => db.put("a", "1")),
        layer({ path })
      )
    )
    const exit = await reading(path, (db) =>
      Effect.gen(function* () {
        rmSync(path, { recursive: true })
        expect(yield* Effect.flip(db.refresh)).toMatchObject({ _tag: "CorruptFile", file: join(path, "CURRENT"), reason: "Missing" })
        expect(yield* db.getText("a")).toBe("1")
      })
    )
    expect(Exit.isSuccess(exit) ? undefined : String(exit.cause)).toBeUndefined()
  })

  it("reads on from more tables than it keeps indexes of, all of which the writer has removed", async () => {
    const path = join(root, "many")
    const writing = <A, E>(use: (db: Database["Service"]) => Effect.Effect<A, E>) =>
      Effect.runPromise(Effect.provide(Effect.flatMap(Database, use), layer({ path, tableBytes: 65_536, compression: "none" })))
    const value = new Uint8Array(1000).fill(0x76)
    const fill = (db: Database["Service"]) =>
      Effect.gen(function* () {
        for (let from = 0; from < 2500; from += 500)
          yield* db.write(Array.from({ length: 500 }, (_, i) => ({ type: "put" as const, key: String(from + i).padStart(6, "0"), value })))
        yield* db.compact()
      })
    await writing(fill)
    const exit = await Effect.runPromiseExit(
      Effect.provide(
        Effect.flatMap(Database, (db) =>
          Effect.gen(function* () {
            const { levels } = yield* db.stats
            expect(levels.reduce((count, level) => count + level.tables, 0)).toBeGreaterThan(24)
            yield* Effect.promise(() => writing(fill))
            for (let round = 0; round < 2; round++) {
              const entries = yield* Stream.runCollect(db.scan())
              expect(entries.length).toBe(2500)
              expect(db.unsafe.get("001234")).toEqual(value)
            }
          })
        ),
        layer({ path, readOnly: true, maxOpenTables: 16, cacheBytes: 0 })
      )
    )
    expect(Exit.isSuccess(exit) ? undefined : String(exit.cause)).toBeUndefined()
  })

  it("says what is wrong with a path: nothing there, a file, no database; and makes nothing", async () => {
    const file = join(root, "file")
    writeFileSync(file, "text")
    for (const [path, tag] of [
      [join(root, "nothing"), "NotADatabase"],
      [file, "PathIsFile"],
      [root, "NotADatabase"]
    ] as const) {
      const exit = await reading(path, (db) => db.getText("a"))
      expect(Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined).toMatchObject({ error: { _tag: tag } })
    }
    expect(readdirSync(root)).not.toContain("nothing")
  })
})
