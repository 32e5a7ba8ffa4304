import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { crc32 } from "node:zlib"
import { DatabaseLocked } from "../../../src/domain/errors.ts"
import { Opener } from "../../../src/runtime/cli/Opener.ts"
import { type Crash, crashInMidWrite, findFiles, findRecords } from "../../../src/runtime/cli/tour/crash.ts"
import { prepareDirectory } from "../../../src/runtime/cli/tour/directory.ts"
import { importFiles } from "../../../src/runtime/cli/tour/importFiles.ts"
import { askQuestions } from "../../../src/runtime/cli/tour/queries.ts"
import { type RecordId, recordKey, recordValue, writers } from "../../../src/runtime/cli/tour/records.ts"
import { acknowledgedLine, Reports, startedLine } from "../../../src/runtime/cli/tour/reports.ts"
import type { Snapshot } from "../../../src/services/Database.ts"
import { makeMapDatabase, MapStore } from "../../support/mapDatabase.ts"
import { captureOutput } from "./inProcess.ts"

let directory: string
beforeEach(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-tour-")))
})
afterEach(() => fs.rmSync(directory, { recursive: true }))

const opener = (openFailure?: unknown) =>
  Layer.succeed(Opener)({
    open: () => (openFailure === undefined ? Effect.succeed(makeMapDatabase(new MapStore())) : Effect.fail(openFailure)),
    exists: (name) => Effect.sync(() => fs.existsSync(path.join(name, "CURRENT")))
  })

describe("reports", () => {
  it("count what began and what was acknowledged, wherever the pipe cuts them", () => {
    const text = startedLine(0, 0) + startedLine(3, 0) + acknowledgedLine(0, 0) + startedLine(0, 1) + acknowledgedLine(0, 1)
    for (let at = 0; at <= text.length; at++) {
      const reports = new Reports()
      reports.push(text.slice(0, at))
      reports.push(text.slice(at))
      expect([reports.acknowledgedTotal, reports.inFlight, reports.started[0], reports.acknowledged[3]]).toEqual([2, 1, 2, 0])
    }
    const cut = new Reports()
    cut.push(text.slice(0, -1))
    expect(cut.acknowledgedTotal).toBe(1)
  })

  it("refuse what is out of turn", () => {
    for (const line of [startedLine(0, 1), acknowledgedLine(16, 0), "hello\n", "\n"])
      expect(() => new Reports().push(line), line).toThrow("out of turn")
  })
})

describe("records", () => {
  it("differ in all their bytes' source: round, writer and number", () => {
    const ids = [
      { round: 1, writer: 0, number: 0 },
      { round: 2, writer: 0, number: 0 },
      { round: 1, writer: 1, number: 0 },
      { round: 1, writer: 0, number: 1 }
    ]
    expect(new Set(ids.map((id) => recordValue(id).slice(20))).size).toBe(4)
    expect(ids.map((id) => recordValue(id).length)).toEqual([100, 100, 100, 100])
  })
})

const crashOf = (acknowledged: number, started: number): Crash => {
  const reports = new Reports()
  for (let writer = 0; writer < writers; writer++) {
    for (let number = 0; number < started; number++)
      reports.push(startedLine(writer, number) + (number < acknowledged ? acknowledgedLine(writer, number) : ""))
  }
  return { round: 1, pid: 1, reports, acknowledged: reports.acknowledgedTotal, inFlight: reports.inFlight, milliseconds: 1 }
}

describe("the proof", () => {
  const stored = async (change: (put: (id: RecordId, value?: string) => void, remove: (id: RecordId) => void) => void) => {
    const store = new MapStore()
    const space = store.spaces.get("")!
    const put = (id: RecordId, value = recordValue(id)): void => space.put(Buffer.from(recordKey(id)), Buffer.from(value))
    for (let writer = 0; writer < writers; writer++) for (let number = 0; number < 3; number++) put({ round: 1, writer, number })
    change(put, (id) => space.put(Buffer.from(recordKey(id)), undefined))
    return Effect.runPromise(findRecords(makeMapDatabase(store), crashOf(3, 4)))
  }

  it("holds when everything acknowledged is there, with or without what was in flight", async () => {
    expect(await stored(() => {})).toEqual({ missing: 0, wrong: 0, inFlightKept: 0, invented: 0, checked: 48 })
    expect(await stored((put) => put({ round: 1, writer: 2, number: 3 }))).toEqual({
      missing: 0,
      wrong: 0,
      inFlightKept: 1,
      invented: 0,
      checked: 48
    })
  })

  it("fails for each way of breaking the promise", async () => {
    expect(await stored((_, remove) => remove({ round: 1, writer: 15, number: 2 }))).toMatchObject({ missing: 1 })
    expect(await stored((put) => put({ round: 1, writer: 0, number: 0 }, recordValue({ round: 1, writer: 0, number: 1 })))).toMatchObject({
      wrong: 1
    })
    expect(await stored((put) => put({ round: 1, writer: 0, number: 3 }, "half a rec"))).toMatchObject({ wrong: 1, inFlightKept: 0 })
    expect(await stored((put) => put({ round: 1, writer: 0, number: 4 }))).toMatchObject({ invented: 1 })
    expect(await stored((put) => put({ round: 1, writer: 16, number: 0 }))).toMatchObject({ invented: 1 })
  })

  it("compares every file", async () => {
    const store = new MapStore()
    for (const [key, value] of [
      ["a", "1"],
      ["b", "2"]
    ] as const)
      store.spaces.get("")!.put(Buffer.from(key), Buffer.from(value))
    const find = (files: Record<string, string>) =>
      Effect.runPromise(findFiles(makeMapDatabase(store), new Map(Object.entries(files).map(([key, value]) => [key, crc32(value)])), crc32))
    expect(await find({ a: "1", b: "2" })).toEqual({ checked: 2, wrong: 0, missing: 0 })
    expect(await find({ a: "1", b: "3" })).toEqual({ checked: 2, wrong: 1, missing: 1 })
    expect(await find({ a: "1", b: "2", c: "3" })).toEqual({ checked: 2, wrong: 0, missing: 1 })
    expect(await find({ a: "1" })).toEqual({ checked: 2, wrong: 1, missing: 0 })
  })
})

describe("the killed process", () => {
  const writer = (code: string): URL => {
    const file = path.join(directory, "writer with a space.mjs")
    fs.writeFileSync(file, code)
    return pathToFileURL(file)
  }
  const crash = (code: string) =>
    Effect.runPromise(Effect.result(crashInMidWrite({ path: directory, writerEntry: writer(code), acknowledgedMin: 100 })))

  it("is killed in mid-write, and its pipe is read to the end", async () => {
    const result = await crash(`
      import { writeSync } from "node:fs"
      for (let n = 0;; n++) writeSync(1, "+ 5 " + n + "\\n= 5 " + n + "\\n" + (n === 0 ? "+ 6 0\\n" : ""))`)
    expect(result._tag).toBe("Success")
    if (result._tag === "Success") {
      expect(result.success.round).toBe(1)
      expect(result.success.acknowledged).toBeGreaterThanOrEqual(100)
      expect(result.success.inFlight).toBeGreaterThanOrEqual(1)
      expect(result.success.reports.acknowledged[5]).toBe(result.success.acknowledged)
    }
  })

  it("is a failure when it ends by itself or reports nonsense", async () => {
    const ended = await crash('process.stderr.write("no database here"); process.exit(3)')
    expect(ended).toMatchObject({ _tag: "Failure", failure: { message: "The writing process ended by itself (exit code 3). no database here" } })
    const nonsense = await crash('import { writeSync } from "node:fs"; writeSync(1, "= 0 7\\n"); setInterval(() => {}, 1000)')
    expect(nonsense).toMatchObject({ _tag: "Failure", failure: { message: expect.stringContaining("out of turn") } })
  })
})

describe("the tour's directory", () => {
  const prepare = (name: string, openFailure?: unknown) =>
    Effect.runPromise(Effect.result(prepareDirectory(name).pipe(Effect.provide(opener(openFailure)))))

  it("is removed when the tour made it, and never otherwise", async () => {
    const tour = path.join(directory, ".lightning", "tour")
    expect(await prepare(tour)).toMatchObject({ _tag: "Success" })
    fs.mkdirSync(tour)
    fs.writeFileSync(path.join(tour, "CURRENT"), "x")
    expect(await prepare(tour, new DatabaseLocked({ path: tour, pid: 1 }))).toMatchObject({ _tag: "Failure", failure: { exitCode: 4 } })
    expect(fs.readdirSync(tour)).toEqual(["CURRENT"])
    expect(await prepare(tour, new Error("damaged beyond opening"))).toMatchObject({ _tag: "Success" })
    expect(fs.existsSync(tour)).toBe(false)

    const foreign = path.join(directory, "foreign")
    fs.mkdirSync(foreign)
    fs.writeFileSync(path.join(foreign, "thesis.txt"), "x")
    expect(await prepare(foreign)).toMatchObject({
      _tag: "Failure",
      failure: { message: expect.stringContaining("holds files that the tour did not put there") }
    })
    fs.symlinkSync(foreign, path.join(directory, "link"))
    fs.writeFileSync(path.join(directory, "link.owner"), "")
    expect(await prepare(path.join(directory, "link"))).toMatchObject({
      _tag: "Failure",
      failure: { message: expect.stringContaining("is not a directory") }
    })
    expect(fs.readdirSync(foreign)).toEqual(["thesis.txt"])
  })
})

describe("import and queries of the tour", () => {
  it("take the text files of the tree, and the snapshot stands still", async () => {
    const root = path.join(directory, "node_modules")
    for (let i = 0; i < 30; i++) {
      fs.mkdirSync(path.join(root, `package${i}`), { recursive: true })
      fs.writeFileSync(path.join(root, `package${i}`, "index.js"), `export default ${i}\n`)
      fs.writeFileSync(path.join(root, `package${i}`, "binary.node"), "no")
    }
    fs.mkdirSync(path.join(root, "node-linux-x64"))
    fs.writeFileSync(path.join(root, "node-linux-x64", "README.md"), "no")
    const store = new MapStore()
    const db = makeMapDatabase(store)
    const options = { root, exclude: path.join(directory, "db"), bytesMax: 1e6, quiet: true }
    const imported = await Effect.runPromise(importFiles(db, options).pipe(Effect.provide(captureOutput().layer)))
    expect(imported).toMatchObject({ files: 30, capped: false })
    expect(imported.checksums.get("package7/index.js")).toBe(crc32("export default 7\n"))
    expect(store.entries("meta")).toHaveLength(30)
    const before = store.entries()
    const answers = await Effect.runPromise(askQuestions(db, [...imported.checksums.keys()]))
    expect(answers.snapshot).toMatchObject({
      unchanged: true,
      overwritten: 15,
      deleted: 15,
      entriesBefore: 30,
      entriesInSnapshot: 30,
      entriesNow: 15
    })
    expect(answers.prefix).toMatchObject({ entries: 1 })
    expect(answers.backward.keys).toHaveLength(3)
    expect(store.entries()).toEqual(before)
    const capped = await Effect.runPromise(importFiles(db, { ...options, bytesMax: 100 }).pipe(Effect.provide(captureOutput().layer)))
    expect(capped.capped).toBe(true)
    expect(capped.files).toBeLessThan(6)
  })

  it("see a snapshot that moves", async () => {
    const store = new MapStore()
    const keys = Array.from({ length: 10 }, (_, i) => `a/${i}`)
    for (const key of keys) store.spaces.get("")!.put(Buffer.from(key), Buffer.from(key))
    const db = makeMapDatabase(store)
    const ask = async (moving: Partial<Snapshot>) => {
      const snapshot = Effect.map(db.snapshot, (still): Snapshot => ({ ...still, ...moving }))
      return (await Effect.runPromise(askQuestions({ ...db, snapshot }, keys))).snapshot.unchanged
    }
    expect(await ask({})).toBe(true)
    expect(await ask({ scan: db.scan })).toBe(false)
    expect(await ask({ getMany: db.getMany })).toBe(false)
  })
})
