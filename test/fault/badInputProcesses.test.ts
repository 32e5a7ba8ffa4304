/** Several processes over one directory, and a directory that is copied while it is written: one writer at a time, and who has lost the directory notices before it acknowledges anything. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { type Holder, inProcess, inThread } from "../support/holder.ts"
import { openLayer, quickRoot } from "../support/openLayer.ts"

const root = fs.mkdtempSync(path.join(quickRoot, "lightning-processes-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))
let made = 0
const newPath = () => path.join(root, String(made++))

const holders: Array<Holder> = []
afterEach(async () => {
  for (const holder of holders.splice(0)) await holder.kill()
})
const held = async (holder: Promise<Holder>): Promise<Holder> => {
  holders.push(await holder)
  return holders.at(-1)!
}

const layerAt = (directory: string, readOnly = false) =>
  LightningDb.layer({ path: directory, readOnly, compactionWorkers: 0, memtableBytes: 65_536, walSegmentBytes: 65_536, tableBytes: 65_536 })
const use = <A, E>(directory: string, run: (db: DatabaseShape) => Effect.Effect<A, E>, readOnly = false) =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(openLayer(layerAt(directory, readOnly)), run)))
const refusal = (directory: string) => Effect.runPromise(Effect.flip(Effect.scoped(openLayer(layerAt(directory)))))

describe("two at once", () => {
  it("a second process, a thread, a second open, by the path and by a link to it: refused, naming the holder; a reader is not", async () => {
    const directory = newPath()
    const first = await held(inProcess(directory))
    expect(first.opened).toBe(`open ${first.pid}`)
    expect(await first.tell("put a 1")).toMatch(/^ok/)
    const link = newPath()
    fs.symlinkSync(directory, link)
    for (const at of [directory, link, path.join(directory, "..", path.basename(directory)), `${directory}/`]) {
      expect(await refusal(at), at).toMatchObject({ _tag: "DatabaseLocked", pid: first.pid })
      expect((await held(inProcess(at))).opened, at).toContain(`refused DatabaseLocked ${first.pid}`)
    }
    expect(await use(directory, (db) => db.getText("a"), true)).toBe("1")
    expect(await first.tell("put a 2")).toMatch(/^ok/)
    await first.close()
    await use(directory, (db) =>
      Effect.gen(function* () {
        expect(yield* db.getText("a")).toBe("2")
        expect((yield* Effect.promise(() => held(inThread(directory)))).opened).toContain(`refused DatabaseLocked ${process.pid}`)
        expect(yield* Effect.promise(() => refusal(link))).toMatchObject({ _tag: "DatabaseLocked", pid: process.pid })
        yield* db.put("a", "3")
      })
    )
    const thread = await held(inThread(directory))
    expect(thread.opened).toBe(`open ${process.pid}`)
    expect(await thread.tell("get a")).toBe("value 3")
    expect(await refusal(directory)).toMatchObject({ _tag: "DatabaseLocked" })
    await thread.close()
  }, 60_000)

  it("a holder that is stopped keeps its lock, and goes on when it is continued", async () => {
    const directory = newPath()
    const first = await held(inProcess(directory))
    expect(await first.tell("put a 1")).toMatch(/^ok/)
    first.signal("SIGSTOP")
    const told = first.tell("put b 2")
    for (let i = 0; i < 3; i++) {
      expect(await refusal(directory)).toMatchObject({ _tag: "DatabaseLocked", pid: first.pid })
      // A reader needs nothing of the writer.
      expect(await use(directory, (db) => db.getText("a"), true)).toBe("1")
    }
    expect((await held(inProcess(directory))).opened).toContain(`refused DatabaseLocked ${first.pid}`)
    first.signal("SIGCONT")
    expect(await told).toMatch(/^ok/)
    expect(await first.tell("health")).toBe("health healthy")
    await first.close()
    expect(await use(directory, (db) => db.getMany(["a", "b"]))).toHaveLength(2)
  }, 60_000)

  it("a holder that is killed gives it back at once", async () => {
    const directory = newPath()
    const first = await held(inProcess(directory))
    expect(await first.tell("put a 1")).toMatch(/^ok/)
    await first.kill()
    expect(await use(directory, (db) => db.getText("a"))).toBe("1")
  }, 60_000)

  it.each([
    ["LOCK is removed", (directory: string) => fs.rmSync(path.join(directory, "LOCK"))],
    ["the process copies its own directory, which frees its locks", (directory: string) => fs.cpSync(directory, newPath(), { recursive: true })],
    [
      "the directory is replaced by a copy",
      (directory: string) => {
        const copy = newPath()
        spawnSync("cp", ["-r", directory, copy])
        fs.renameSync(directory, newPath())
        fs.renameSync(copy, directory)
      }
    ]
  ])(
    "a lock that was lost (%s) and taken by another one: nothing is acknowledged any more",
    async (_, lose) => {
      const directory = newPath()
      await use(directory, (db) =>
        Effect.gen(function* () {
          yield* db.put("a", "first")
          yield* Effect.sync(() => lose(directory))
          const second = yield* Effect.promise(() => held(inProcess(directory)))
          expect(second.opened).toBe(`open ${second.pid}`)
          expect(yield* Effect.promise(() => second.tell("put a second"))).toMatch(/^ok/)
          const refused = yield* Effect.flip(db.put("a", "lost"))
          // What the background does may have noticed it first.
          expect(["LockLost", "CommitOutcomeUnknown", "DatabasePoisoned"]).toContain(refused._tag)
          expect(yield* Effect.flip(db.put("b", "lost"))).toMatchObject({ _tag: expect.stringMatching(/LockLost|DatabasePoisoned/) })
          expect((yield* db.health).state).toBe("readOnly")
          // What it closes with harms nobody.
          expect(yield* Effect.promise(() => second.tell("put c second"))).toMatch(/^ok/)
          yield* Effect.promise(second.close)
        })
      )
      await use(directory, (db) =>
        Effect.gen(function* () {
          expect(yield* db.getText("a")).toBe("second")
          expect(yield* db.getText("b")).toBeUndefined()
          expect(yield* db.getText("c")).toBe("second")
          yield* db.verify
        })
      )
    },
    60_000
  )
})

describe("a directory that is copied while it is written", () => {
  it("the copy is a state that once was, or is refused by name; the original goes on", async () => {
    const directory = newPath()
    const writer = await held(inProcess(directory))
    expect(writer.opened).toBe(`open ${writer.pid}`)
    expect(await writer.tell("write 150")).toBe("written 150")
    const outcomes = { state: 0, refused: 0 }
    for (let round = 1; round <= 24; round++) {
      const told = writer.tell("write 60")
      const copy = newPath()
      // It says so where a file went away under it.
      expect(spawnSync("cp", ["-r", directory, copy]).status).toBeLessThanOrEqual(1)
      const { failure, success } = await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openLayer(layerAt(copy))
            const entries = yield* Stream.runCollect(db.scan({ prefix: "n" }))
            yield* db.verify
            return { keys: entries.map(({ key }) => Buffer.from(key).toString()), last: yield* db.getText("last") }
          })
        ).pipe(
          Effect.match({
            onFailure: (error) => ({ failure: error, success: undefined }),
            onSuccess: (found) => ({ failure: undefined, success: found })
          })
        )
      )
      if (success === undefined) {
        // A file that was made or removed meanwhile.
        expect(failure!._tag).toBe("CorruptFile")
        outcomes.refused++
      } else {
        // Each write made the next key and noted it: no hole, none without its note, and nothing of what was acknowledged before.
        expect(success.keys).toEqual(success.keys.map((_, i) => `n${String(i).padStart(6, "0")}`))
        expect(success.last).toBe(String(success.keys.length - 1))
        expect(success.keys.length).toBeGreaterThanOrEqual(150 + 60 * (round - 1))
        outcomes.state++
      }
      fs.rmSync(copy, { recursive: true })
      expect(await told).toBe(`written ${150 + 60 * round}`)
    }
    expect(await writer.tell("health")).toBe("health healthy")
    await writer.close()
    console.log(`copies of a live directory: ${outcomes.state} a state of it, ${outcomes.refused} refused`)
    expect(outcomes.state).toBeGreaterThan(0)
    await use(directory, (db) => Effect.map(Effect.andThen(db.verify, db.getText("last")), (last) => expect(last).toBe(String(150 + 60 * 24 - 1))))
  }, 120_000)
})
