import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { layer as layerOf } from "../../../src/runtime/LightningDb.ts"
import { Database } from "../../../src/services/Database.ts"
import { flip, lastOf, run, withDatabase } from "./inspectSupport.ts"

vi.setConfig({ testTimeout: 120_000 })

let directory: string
let a: string
let b: string
const rows = 3000
beforeAll(async () => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-diff-")))
  a = path.join(directory, "a")
  b = path.join(directory, "b")
  await withDatabase(a, (db) =>
    Effect.gen(function* () {
      const meta = yield* db.keyspace("meta")
      yield* db.keyspace("old")
      yield* db.write(Array.from({ length: rows }, (_, i) => ({ type: "put" as const, key: `row/${String(i).padStart(5, "0")}`, value: `v${i}` })))
      yield* meta.put("shared", "same")
      yield* meta.put("version", "1")
      yield* db.flush
      yield* db.checkpoint(b)
    })
  )
  await withDatabase(b, (db) =>
    Effect.gen(function* () {
      yield* db.put("row/00007", "changed\tvalue")
      yield* db.put("added", "new\nvalue")
      yield* db.delete("row/01500")
      yield* (yield* db.keyspace("meta")).put("version", "2")
      yield* db.dropKeyspace("old")
      yield* (yield* db.keyspace("young")).put("first", "1")
    })
  )
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

const differences = ["+ added\tnew\\nvalue", "~ row/00007\tv7\tchanged\\tvalue", "- row/01500\tv1500", "# keyspace meta", "~ version\t1\t2"]

const start = (args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["src/runtime/cli/main.ts", "diff", ...args], {
    env: { PATH: process.env["PATH"], NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (err += chunk))
  return { child, ended: once(child, "close").then(([code]) => ({ code: Number(code), out, err })) }
}

describe("diff", () => {
  it("shows what was added, removed and changed, over all keyspaces, and ends with 1", async () => {
    const { code, err, out } = await start([a, b]).ended
    expect(out).toBe(`${[...differences, `# keyspace old, only in ${a}`, `# keyspace young, only in ${b}`, "+ first\t1"].join("\n")}\n`)
    expect({ code, err }).toEqual({ code: 1, err: `2 added, 1 removed, 2 changed, ${(rows - 1).toLocaleString("en")} the same\n` })
  })

  it("is the mirror image the other way round", async () => {
    const turned = { "+": "-", "-": "+", "~": "~", "#": "#" }
    const there = await run(["diff", a, b])
    const back = await run(["diff", b, a])
    const mirrored = there.out.split("\n").map((line) => {
      const mark = line.slice(0, 1)
      const [key, ...values] = line.slice(1).split("\t")
      return line === ""
        ? ""
        : [`${mark === "+" || mark === "-" || mark === "~" || mark === "#" ? turned[mark] : mark}${key}`, ...values.reverse()].join("\t")
    })
    expect(back.out).toBe(mirrored.join("\n"))
  })

  it("says nothing of what is the same, and ends with 0", async () => {
    const same = await start([a, a]).ended
    expect(same).toEqual({ code: 0, out: "", err: `the same: ${(rows + 2).toLocaleString("en")} entries\n` })
    expect(await run(["diff", a, b, "--gte", "row/00008", "--lt", "row/01000"])).toMatchObject({ code: 1, out: expect.not.stringContaining("row/") })
    expect(await run(["diff", a, b, "--keyspace", "meta", "--prefix", "sha"])).toMatchObject({ code: 0, out: "" })
  })

  it("counts alone, and answers in objects", async () => {
    const summary = await run(["diff", a, b, "--summary"])
    expect(summary.code).toBe(1)
    expect(summary.out).toBe(
      `added         2  only in ${b}\nremoved       1  only in ${a}\nchanged       2  another value\nsame      2,999\nkeyspace  young  only in ${b}\nkeyspace    old  only in ${a}\n`
    )
    expect((await run(["diff", a, b, "--summary", "--json"])).objects).toEqual([
      { identical: false, added: 2, removed: 1, changed: 2, same: rows - 1, keyspacesAdded: ["young"], keyspacesRemoved: ["old"] }
    ])
    expect((await run(["diff", a, b, "--json"])).objects).toEqual([
      { change: "added", key: "added", after: "new\nvalue" },
      { change: "changed", key: "row/00007", before: "v7", after: "changed\tvalue" },
      { change: "removed", key: "row/01500", before: "v1500" },
      { change: "changed", keyspace: "meta", key: "version", before: "1", after: "2" },
      { change: "keyspaceRemoved", keyspace: "old" },
      { change: "keyspaceAdded", keyspace: "young" },
      { change: "added", keyspace: "young", key: "first", after: "1" }
    ])
    expect((await run(["diff", a, b, "--keys-only", "--lt", "row/00100", "--hex"])).code).toBe(2)
    expect((await run(["diff", a, b, "--keys-only", "--lt", "row/00100", "--keyspace", "meta"])).out).toBe("")
    expect((await run(["diff", a, b, "--keys-only", "--lt", "row/00100"])).out).toContain("+ added\n~ row/00007\n#")
  })

  it("cuts values to the width of a terminal, unless all is asked for", async () => {
    const left = path.join(directory, "wide-a")
    const right = path.join(directory, "wide-b")
    await withDatabase(left, (db) => db.put("key", "l".repeat(200)))
    await withDatabase(right, (db) => db.put("key", "r".repeat(200)))
    const cut = await run(["diff", left, right], { terminalColumns: 50 })
    expect(cut.out).toMatch(/^~ key {2}l{15,}… {2}-> {2}r{15,}…\n$/)
    expect(cut.out.length).toBeLessThanOrEqual(51)
    const narrow = await run(["diff", left, right], { terminalColumns: 24 })
    for (const line of narrow.out.split("\n")) expect(line.length).toBeLessThanOrEqual(26)
    expect((await run(["diff", left, right, "--full"], { terminalColumns: 50 })).out).toContain("l".repeat(200))
    expect((await run(["diff", left, right], { terminalColumns: 50, colours: true })).out).toContain("\u001b[33m~ key\u001b[39m")
  })

  it("agrees with a comparison of sorted maps", async () => {
    const seed = 4711
    let state = seed
    const random = (below: number) => ((state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 8) % below
    const sides = [new Map<string, string>(), new Map<string, string>()] as const
    for (let i = 0; i < 900; i++) for (const side of sides) if (random(4) > 0) side.set(`k${random(600)}`, `v${random(3)}`)
    const paths = [path.join(directory, "map-a"), path.join(directory, "map-b")] as const
    for (const i of [0, 1] as const)
      await withDatabase(paths[i], (db) => db.write([...sides[i]].map(([key, value]) => ({ type: "put" as const, key, value }))))
    const expected = [...new Set([...sides[0].keys(), ...sides[1].keys()])].sort().flatMap((key) => {
      const [before, after] = [sides[0].get(key), sides[1].get(key)]
      if (before === after) return []
      return [before === undefined ? `+ ${key}\t${after}` : after === undefined ? `- ${key}\t${before}` : `~ ${key}\t${before}\t${after}`]
    })
    const { out } = await run(["diff", ...paths])
    expect({ seed, lines: out.trimEnd().split("\n") }).toEqual({ seed, lines: expected })
  })

  it("notices a value that goes at another time", async () => {
    const paths = [path.join(directory, "ends-a"), path.join(directory, "ends-b")] as const
    const end = Date.UTC(2100, 0, 1)
    for (const [i, of] of paths.entries())
      await withDatabase(of, (db) => db.write([{ type: "put", key: "k", value: "v", ...(i === 0 ? {} : { expiresAt: end }) }]))
    expect(await run(["diff", ...paths])).toMatchObject({ code: 1, out: "~ k\tv\tv\texpires never -> 2100-01-01T00:00:00.000Z\n" })
    expect((await run(["diff", ...paths, "--json"])).objects).toEqual([{ change: "changed", key: "k", before: "v", after: "v", afterExpiresAt: end }])
  })

  it("compares moments of the past", async () => {
    const kept = path.join(directory, "history")
    await Effect.runPromise(
      Effect.gen(function* () {
        const db = yield* Database
        yield* db.put("k", "1")
        yield* db.put("k", "2")
        yield* db.put("l", "3")
      }).pipe(Effect.provide(Layer.fresh(layerOf({ path: kept, retention: { history: "unlimited" } }))))
    )
    const [first] = (await run(["diff", kept, kept, "--json"])).objects
    expect(first).toBeUndefined()
    expect((await run(["diff", kept, kept, "--at-a", "1"])).out).toBe("~ k\t1\t2\n+ l\t3\n")
    expect((await run(["diff", kept, kept, "--at-a", "2", "--at-b", "1"])).out).toBe("~ k\t2\t1\n")
    const gone = await run(["diff", a, b, "--at-a", "1"])
    expect(gone.code).toBeGreaterThanOrEqual(2)
  })
})

describe("trouble", () => {
  it("never ends with 1, which says that they differ", async () => {
    const nowhere = path.join(directory, "nowhere")
    const file = path.join(directory, "file")
    fs.writeFileSync(file, "")
    for (const args of [
      [a, nowhere],
      [nowhere, a],
      [a, file],
      [a, b, "--at-a", "-1"]
    ]) {
      const { code, err, out } = await run(["diff", ...args])
      expect({ args, code, out }).toEqual({ args, code: 2, out: "" })
      expect(err).toMatch(/^error: /)
    }
    expect((await run(["diff", a, nowhere])).err).toContain("diff takes the directories of two databases or checkpoints.")
    expect(await run(["diff", a, b, "--keyspace", "nobody"])).toMatchObject({ code: 3, out: "" })
    expect(await run(["diff", a, b, "--keyspace", "young"])).toMatchObject({ code: 1, out: `# keyspace young, only in ${b}\n+ first\t1\n` })
    const damaged = path.join(directory, "damaged")
    fs.cpSync(a, damaged, { recursive: true })
    const tables = fs.readdirSync(damaged).filter((name) => name.endsWith(".table"))
    for (const name of tables.length > 0 ? tables : [lastOf(damaged, "table")]) {
      const table = path.join(damaged, name)
      if (fs.statSync(table).size > 5000) flip(table, 100)
    }
    expect((await run(["diff", a, damaged])).code).toBe(5)
  })

  it("is none where the reader has read enough: they differ", async () => {
    const empty = path.join(directory, "nothing")
    await withDatabase(empty, (db) => Effect.asVoid(db.health))
    const { child, ended } = start([empty, a])
    await once(child.stdout, "data")
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 1, err: "" })
  })

  it("is none beside a process that writes", async () => {
    await withDatabase(a, () =>
      Effect.gen(function* () {
        const { code } = yield* Effect.promise(() => run(["diff", a, b, "--summary"]))
        expect(code).toBe(1)
      })
    )
  })
})
