/** A reader's feed beside a writer of another process, which is killed and begins again. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"
import { quickRoot } from "../support/openLayer.ts"

const root = mkdtempSync(join(quickRoot, "lightning-reader-feed-"))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const each = 2000
const child = fileURLToPath(new URL("../support/feeding-child.ts", import.meta.url))

/** `ready` when it has opened, `ended` when it is gone. */
const write = (path: string, first: number, end: string) => {
  const started = spawn(process.execPath, ["--no-warnings", child, path, String(first), String(each), end], { stdio: ["ignore", "pipe", "inherit"] })
  const ended = new Promise<void>((resolve) => started.on("exit", () => resolve()))
  return { ready: Promise.race([new Promise<void>((resolve) => started.stdout.once("data", () => resolve())), ended]), ended }
}

describe("the feed of a reader in another process", () => {
  it("shows every transaction once and in order, over a kill and a restart of the writer", async () => {
    const path = join(root, "db")
    const first = write(path, 0, "die")
    await first.ready
    const text = new TextDecoder()
    const program = Effect.gen(function* () {
      const db = yield* Database
      const counters: Array<number> = []
      const sequences: Array<number> = []
      const follow = db.changes({ from: 1 }).pipe(
        Stream.map(({ operations, sequence }) => {
          const counter = operations.find((one) => one.type === "put" && text.decode(one.key) === "counter")
          sequences.push(sequence)
          return counter?.type === "put" ? Number(text.decode(counter.value)) : -1
        }),
        Stream.tap((counter) => Effect.sync(() => counters.push(counter))),
        Stream.takeUntil((counter) => counter === 2 * each - 1),
        Stream.runDrain
      )
      const fiber = yield* Effect.forkChild(follow, { startImmediately: true })
      yield* Effect.promise(() => first.ended)
      yield* Effect.promise(() => write(path, each, "").ended)
      yield* Fiber.join(fiber)
      // What was handed to the operating system before the kill is there: nothing is missing in between.
      expect(counters).toEqual(Array.from({ length: 2 * each }, (_, i) => i))
      return sequences
    })
    const sequences = await Effect.runPromise(Effect.provide(program, layer({ path, readOnly: true })))
    const own = Effect.flatMap(Database, (db) => Stream.runCollect(Stream.map(db.changes({ from: 1, live: false }), ({ sequence }) => sequence)))
    expect(await Effect.runPromise(Effect.provide(own, layer({ path })))).toEqual(sequences)
  }, 60_000)
})
