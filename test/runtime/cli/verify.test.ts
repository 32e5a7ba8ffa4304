import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Opener } from "../../../src/runtime/cli/Opener.ts"
import { runCli } from "../../../src/runtime/cli/run.ts"
import { layerMemory } from "../../../src/runtime/LightningDb.ts"
import { Database, type DatabaseShape } from "../../../src/services/Database.ts"
import type { WorkProgress } from "../../../src/services/WorkProgress.ts"
import { makeMapDatabase, MapStore } from "../../support/mapDatabase.ts"
import { captureOutput } from "./inProcess.ts"
import { contentOf, filesOf, flip, lastOf, makeDatabase, run, withDatabase } from "./inspectSupport.ts"

vi.setConfig({ testTimeout: 120_000 })

let directory: string
let sound: string
beforeAll(async () => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-verify-")))
  sound = path.join(directory, "sound")
  await makeDatabase(sound)
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

let copies = 0
const copy = (): string => {
  const to = path.join(directory, `copy-${++copies}`)
  fs.cpSync(sound, to, { recursive: true })
  return to
}
const half = (file: string): number => fs.statSync(file).size >> 1
const damage = (of: string, names: ReadonlyArray<string>): Array<string> =>
  names.map((name) => {
    const file = path.join(of, name)
    flip(file, half(file))
    return file
  })

/** Runs a verb over a database whose long work goes on for as long as it takes to be seen. */
const runSlowly = async (args: ReadonlyArray<string>, terminalColumns: number | undefined) => {
  let done = 0
  const progress: WorkProgress = { bytes: () => done, bytesTotal: () => 2_000_000 }
  const slowly = Effect.gen(function* () {
    for (done = 500_000; done < 2_000_000; done += 500_000) yield* Effect.sleep(130)
  })
  const opener = Layer.succeed(Opener)({
    open: () =>
      Effect.sync(() => {
        const db = makeMapDatabase(new MapStore())
        const slow: DatabaseShape = {
          ...db,
          verifyAll: (options) => Effect.suspend(() => (options?.onStart?.(progress), Effect.andThen(slowly, db.verifyAll()))),
          compact: (_range, options) => Effect.suspend(() => (options?.onStart?.(progress), slowly))
        }
        return slow
      }),
    exists: () => Effect.succeed(true)
  })
  const captured = captureOutput(terminalColumns === undefined ? {} : { terminalColumns })
  const code = await Effect.runPromise(runCli(args).pipe(Effect.provide(Layer.mergeAll(captured.layer, opener))))
  return { code, out: captured.out().toString(), err: captured.err(), statuses: captured.statuses }
}

describe("verify", () => {
  it("names every damaged file, and says that the others are sound", async () => {
    const db = copy()
    const damaged = damage(db, [lastOf(db, "values"), ...filesOf(db, "table").slice(0, 2)])
    const child = spawn(process.execPath, ["src/runtime/cli/main.ts", "verify", "--path", db], {
      env: { PATH: process.env["PATH"] },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let out = ""
    let err = ""
    child.stdout.on("data", (chunk) => (out += chunk))
    child.stderr.on("data", (chunk) => (err += chunk))
    const [code] = await once(child, "close")
    expect({ code, out }).toEqual({ code: 5, out: "" })
    for (const file of damaged) expect(err).toContain(`${file} is damaged at byte `)
    expect(err).toMatch(/\n {2}1 other file is sound\. Keep a copy/)
    const json = await run(["verify", "--path", db, "--json"])
    expect(JSON.parse(json.err)).toMatchObject({
      error: {
        tag: "CorruptFile",
        exitCode: 5,
        file: damaged[0],
        damaged: damaged.map((file) => ({ tag: "CorruptFile", file })),
        soundTables: 1,
        soundValueFiles: 0
      }
    })
  })

  it.each([
    ["log", (db: string) => lastOf(db, "log")],
    ["table of the catalog, without which it does not open", (db: string) => filesOf(db, "table")[0]!]
  ])("goes on where the %s is damaged", async (_, pick) => {
    const db = copy()
    const damaged = damage(db, [pick(db), lastOf(db, "values")])
    const { code, err } = await run(["verify", "--path", db])
    expect(code).toBe(5)
    for (const file of damaged) expect(err).toContain(`${file} is damaged at byte `)
    expect(err.match(/is damaged at byte/g)).toHaveLength(damaged.length)
  })

  it("names files that are gone and files that are empty", async () => {
    const db = copy()
    const [first, second] = filesOf(db, "table")
    fs.rmSync(path.join(db, first!))
    fs.writeFileSync(path.join(db, second!), "")
    const { code, err } = await run(["verify", "--path", db])
    expect(code).toBe(5)
    expect(err).toContain(`${first} is damaged at byte 0: Missing`)
    expect(err).toContain(`${second} is damaged at byte`)
  })

  it("says what is wrong where nothing says which files there are", async () => {
    const db = copy()
    flip(path.join(db, "CURRENT"), 2)
    expect(await run(["verify", "--path", db])).toMatchObject({
      code: 5,
      err: expect.stringContaining("CURRENT is damaged at byte 0: ChecksumMismatch")
    })
    const manifest = copy()
    flip(path.join(manifest, lastOf(manifest, "manifest")), 4130)
    expect(await run(["verify", "--path", manifest])).toMatchObject({ code: 5, err: expect.stringContaining(".manifest is damaged at byte 4096") })
    expect(await run(["verify", "--path", path.join(directory, "nowhere")])).toMatchObject({ code: 1 })
  })

  it("finds no damage in a sound database, beside its writer too, and changes nothing", async () => {
    const before = contentOf(sound)
    expect(await run(["verify", "--path", sound, "--json"])).toMatchObject({ code: 0, err: "", objects: [{ sound: true, tables: 3, valueFiles: 1 }] })
    expect(contentOf(sound)).toEqual(before)
    const live = copy()
    await withDatabase(live, (db) =>
      Effect.gen(function* () {
        yield* db.put("k", "v")
        expect(yield* Effect.promise(() => run(["verify", "--path", live]))).toMatchObject({ code: 0 })
        const own = yield* db.verifyAll()
        expect(own).toMatchObject({ tables: 3, valueFiles: 1, damaged: [] })
        // The next segment of the log may be prepared in between.
        const { logBytes: _logBytes, logSegments: _logSegments, ...still } = yield* db.verify
        expect(own).toMatchObject(still)
      })
    )
  })

  it("names every damaged file to the process that writes, too", async () => {
    const db = copy()
    await withDatabase(db, (open) =>
      Effect.gen(function* () {
        yield* open.put("before", "the damage")
        const damaged = damage(db, [lastOf(db, "values"), filesOf(db, "table").at(-1)!])
        const report = yield* open.verifyAll()
        expect(report.damaged.map((error) => error.file)).toEqual(damaged)
        expect(report).toMatchObject({ tables: 2, valueFiles: 0 })
        expect(yield* Effect.result(open.verify)).toMatchObject({ _tag: "Failure" })
      })
    )
  })

  it("and inspect take nothing for damage that a writer is about to let go of", async () => {
    const live = path.join(directory, "moving")
    await withDatabase(live, (db) =>
      Effect.gen(function* () {
        let writes = 0
        const writing = yield* Effect.forkChild(
          Effect.forever(
            Effect.gen(function* () {
              for (let i = 0; i < 20; i++) yield* db.put(`key/${writes++ % 50}`, "x".repeat(3000), { durability: "buffered" })
              yield* db.flush
              if (writes % 40 === 0) yield* db.compact()
            })
          )
        )
        for (let round = 0; round < 400 && (round < 6 || writes < 120); round++) {
          // A verb may be over without a turn of the event loop, and the writer waits for its disk and its workers.
          yield* Effect.sleep(1)
          for (const args of [["verify"], ["inspect"], ["inspect", "log"], ["inspect", "manifest"]]) {
            const { code, err } = yield* Effect.promise(() => run([...args, "--path", live]))
            expect({ round, args, code, err }).toEqual({ round, args, code: 0, err: "" })
          }
        }
        expect(writes).toBeGreaterThanOrEqual(120)
        yield* Fiber.interrupt(writing)
      })
    )
  })

  it("tells how far it is: bytes that grow to those there are", async () => {
    const seen: Array<number> = []
    await withDatabase(copy(), (db) =>
      Effect.gen(function* () {
        let progress: WorkProgress | undefined
        const look = Effect.sync(() => seen.push(progress?.bytes() ?? 0))
        const looking = yield* Effect.forkChild(Effect.forever(Effect.andThen(look, Effect.yieldNow)))
        const report = yield* db.verifyAll({
          onStart: (started) => {
            progress = started
          }
        })
        yield* Fiber.interrupt(looking)
        expect(progress?.bytesTotal()).toBe(report.bytes)
        expect(progress?.bytes()).toBe(report.bytes)
      })
    )
    expect(new Set(seen).size).toBeGreaterThan(3)
    expect(seen).toEqual(seen.toSorted((x, y) => x - y))
  })

  it("shows it on a terminal, in its width, and nowhere else", async () => {
    const wide = await runSlowly(["verify"], 80)
    expect(wide.code).toBe(0)
    expect(wide.statuses.some((line) => /^verifying \.\/data {2}\d\.\d\d MB {2}\S+ MB\/s {2}50 % {2}\d s left$/.test(line))).toBe(true)
    const narrow = await runSlowly(["verify"], 24)
    for (const line of narrow.statuses) expect(line.length).toBeLessThan(24)
    const json = await runSlowly(["verify", "--json"], undefined)
    expect(json).toMatchObject({ code: 0, err: "", statuses: [] })
    expect(JSON.parse(json.out)).toMatchObject({ sound: true })
  })
})

describe("compact", () => {
  it("tells how far it is", async () => {
    await withDatabase(copy(), (db) =>
      Effect.gen(function* () {
        let progress: WorkProgress | undefined
        yield* db.put("row/0000", "another value")
        yield* db.compact(undefined, {
          onStart: (started) => {
            progress = started
          }
        })
        // Every table, and those that the flush has made of what was in the log.
        expect(progress?.bytesTotal()).toBeGreaterThan(5000)
        expect(progress?.bytes()).toBeGreaterThan(5000)
        expect(progress?.bytes()).toBeLessThanOrEqual(progress?.bytesTotal() ?? 0)
      })
    )
  })

  it("tells it without threads as well, and of nothing where there is nothing to do", async () => {
    const program = Effect.gen(function* () {
      const db = yield* Database
      yield* db.put("k", "v".repeat(1000))
      yield* db.put("l", "v".repeat(1000))
      const all: Array<WorkProgress> = []
      yield* db.compact(undefined, { onStart: (progress) => all.push(progress) })
      expect(all).toHaveLength(1)
      expect(all[0]?.bytes()).toBeGreaterThan(0)
      expect(all[0]?.bytes()).toBeLessThanOrEqual(all[0]?.bytesTotal() ?? 0)
      yield* db.compact({ gte: "zzz" }, { onStart: (progress) => all.push(progress) })
      expect(all.slice(1).every((progress) => progress.bytesTotal() === 0)).toBe(true)
    })
    await Effect.runPromise(program.pipe(Effect.provide(Layer.fresh(layerMemory()))))
  })

  it("shows it on a terminal", async () => {
    const { code, out, statuses } = await runSlowly(["compact"], 80)
    expect(code).toBe(0)
    expect(out).toContain("compacted ./data in ")
    expect(statuses.some((line) => /^compacting \.\/data {2}1\.\d\d MB {2}.*50 % /.test(line))).toBe(true)
  })

  it("gives space back, in a process, and says how much", async () => {
    const db = copy()
    const child = spawn(process.execPath, ["src/runtime/cli/main.ts", "compact", "--path", db, "--json"], {
      env: { PATH: process.env["PATH"] },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let out = ""
    child.stdout.on("data", (chunk) => (out += chunk))
    const [code] = await once(child, "close")
    expect(code).toBe(0)
    const { after, before } = JSON.parse(out)
    expect(after.log).toBeLessThan(before.log)
    expect(await run(["verify", "--path", db])).toMatchObject({ code: 0 })
    expect(await run(["count", "--path", db])).toMatchObject({ code: 0 })
  })
})
