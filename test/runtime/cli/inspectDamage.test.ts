/** Damaged files are what `inspect` is for: whatever is broken, it shows what is left, says where the damage is, and never stops with a fault of its own. */
import * as Effect from "effect/Effect"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { filesOf, flip, lastOf, makeDatabase, type Ran, run, withDatabase } from "./inspectSupport.ts"

vi.setConfig({ testTimeout: 120_000 })

const kinds = ["manifest", "log", "table", "values"] as const

let directory: string
let sound: string
/** As it lay there while a process was writing: its log is not sealed. */
let unsealed: string
beforeAll(async () => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-damage-")))
  sound = path.join(directory, "sound")
  await makeDatabase(sound)
  unsealed = path.join(directory, "unsealed")
  const live = path.join(directory, "live")
  await withDatabase(live, (db) =>
    Effect.gen(function* () {
      for (let i = 0; i < 20; i++) yield* db.put(`key/${i}`, "v".repeat(i * 10), { durability: i % 3 === 0 ? "sync" : "buffered" })
      fs.cpSync(live, unsealed, { recursive: true, filter: (name) => !path.basename(name).startsWith("LOCK") })
    })
  )
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

let copies = 0
const copyOf = (of: string): string => {
  const copy = path.join(directory, `copy-${++copies}`)
  fs.cpSync(of, copy, { recursive: true })
  return copy
}

const largest = (of: string, kind: (typeof kinds)[number]): string => {
  const [name] = filesOf(of, kind).toSorted((a, b) => fs.statSync(path.join(of, b)).size - fs.statSync(path.join(of, a)).size)
  if (name === undefined) throw new Error(`no ${kind} file`)
  return name
}

const damagesOf = ({ objects }: Ran): ReadonlyArray<Record<string, unknown>> => objects.filter(({ type }) => type === "damage")
/** What is shown, without what it says of itself and of damage. */
const partsOf = ({ objects }: Ran): ReadonlyArray<Record<string, unknown>> =>
  objects.filter(({ type }) => type === "record" || type === "group" || type === "block" || type === "entry" || type === "operation")

describe("one flipped bit", () => {
  // Every byte of these is under a sum.
  it.each(["table", "values"] as const)("of a file of kind %s is shown in its place, and the rest goes on", async (kind) => {
    const name = largest(sound, kind)
    const file = path.join(directory, `one.${kind}`)
    const bytes = fs.readFileSync(path.join(sound, name))
    const whole = await run(["inspect", path.join(sound, name), "--json", ...(kind === "table" ? ["--entries"] : [])])
    expect(damagesOf(whole)).toEqual([])
    for (let offset = 0; offset < bytes.length; offset += kind === "table" ? 61 : 7) {
      fs.writeFileSync(file, bytes)
      flip(file, offset)
      const ran = await run(["inspect", file, "--json", ...(kind === "table" ? ["--entries"] : [])])
      expect({ offset, code: ran.code }).toEqual({ offset, code: 5 })
      expect(JSON.parse(ran.err)).toMatchObject({ error: { tag: "CorruptFile", exitCode: 5, files: [file] } })
      // The damaged unit begins at or before the bit; what depends on it (all leaves under the root) may be out of reach.
      expect(damagesOf(ran).some((damage) => Number(damage["offset"]) <= offset)).toBe(true)
      if (kind === "values") expect(partsOf(ran).length, String(offset)).toBeGreaterThanOrEqual(partsOf(whole).length - 1)
    }
  })

  it("of a sealed log is shown, with every group that is not hit", async () => {
    const copy = copyOf(sound)
    const name = lastOf(copy, "log")
    const file = path.join(copy, name)
    const bytes = fs.readFileSync(file)
    const whole = await run(["inspect", "log", name, "--path", copy, "--json"])
    const groups = whole.objects.filter(({ type }) => type === "group")
    for (let offset = 8; offset < bytes.length; offset += 97) {
      fs.writeFileSync(file, bytes)
      flip(file, offset)
      const ran = await run(["inspect", "log", name, "--path", copy, "--json"])
      expect({ offset, code: ran.code, err: ran.err.includes("Unexpected") }).toEqual({ offset, code: 5, err: false })
      // Salt and alignment are what groups are found by.
      if (offset >= 4096) expect(ran.objects.filter(({ type }) => type === "group").length, String(offset)).toBeGreaterThanOrEqual(groups.length - 1)
    }
  })

  it("of a manifest hides no other record", async () => {
    const copy = copyOf(sound)
    const name = lastOf(copy, "manifest")
    const file = path.join(copy, name)
    const bytes = fs.readFileSync(file)
    const count = (await run(["inspect", "manifest", "--path", copy, "--json"])).objects.filter(({ type }) => type === "record").length
    expect(count).toBeGreaterThan(2)
    for (let record = 0; record < count; record++) {
      fs.writeFileSync(file, bytes)
      flip(file, 4096 * (record + 1) + 30)
      const ran = await run(["inspect", "manifest", "--path", copy, "--json"])
      expect(ran.objects.filter(({ type }) => type === "record")).toHaveLength(count - 1)
      // The last append may have been torn: that is no damage.
      expect({ record, code: ran.code }).toEqual({ record, code: record === count - 1 ? 0 : 5 })
      if (record === count - 1) expect(ran.out).toContain("torn tail at offset")
      else expect(damagesOf(ran)[0]).toMatchObject({ offset: 4096 * (record + 1) })
    }
  })

  it("of any file is told by a process with exit code 5", async () => {
    const copy = copyOf(sound)
    const table = largest(copy, "table")
    flip(path.join(copy, table), 100)
    const child = spawn(process.execPath, ["src/runtime/cli/main.ts", "inspect", table, "--path", copy], {
      env: { PATH: process.env["PATH"] },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let out = ""
    let err = ""
    child.stdout.on("data", (chunk) => (out += chunk))
    child.stderr.on("data", (chunk) => (err += chunk))
    const [code] = await once(child, "close")
    expect(code).toBe(5)
    expect(out).toMatch(/ {2}block 0 {2}offset 64 {2}.*sum WRONG.*\n {4}damaged at offset 64: ChecksumMismatch \(block 0\)\n {2}block 1 {2}/)
    expect(err).toMatch(/^error: 1 damaged place in .*\.table\n {2}Keep a copy/)
  })

  it("in CURRENT or the manifest leaves the other files to be looked at", async () => {
    const copy = copyOf(sound)
    flip(path.join(copy, "CURRENT"), 3)
    const overview = await run(["inspect", "--path", copy])
    expect(overview.code).toBe(5)
    expect(overview.out).toContain("damaged at offset 0: ChecksumMismatch")
    for (const name of filesOf(copy, "table")) expect(overview.out).toContain(`  ${name}  `)
    expect((await run(["inspect", largest(copy, "table"), "--path", copy])).code).toBe(0)
  })
})

describe("a tail cut anywhere", () => {
  it("shows every group before it, and tells a torn end from damage", async () => {
    const copy = copyOf(unsealed)
    const whole = await run(["inspect", "log", "--path", copy, "--json"])
    expect(whole.code).toBe(0)
    const groups = whole.objects.filter(({ type }) => type === "group")
    expect(groups.length).toBeGreaterThan(10)
    const name = String(groups[0]?.["file"])
    const file = path.join(copy, name)
    const bytes = fs.readFileSync(file)
    const last = groups.at(-1)
    const until = Number(last?.["offset"]) + Number(last?.["bytes"])
    for (let length = until; length > 4096; length -= 173) {
      fs.writeFileSync(file, bytes.subarray(0, length))
      const ran = await run(["inspect", "log", name, "--path", copy, "--json"])
      const before = groups.filter((group) => Number(group["offset"]) + Number(group["bytes"]) <= length)
      expect(ran.objects.filter(({ type }) => type === "group").map(({ offset }) => offset)).toEqual(before.map(({ offset }) => offset))
      expect({ length, err: ran.err.includes("Unexpected") }).toEqual({ length, err: false })
      const end = Number(before.at(-1)?.["offset"] ?? 4096) + Number(before.at(-1)?.["bytes"] ?? 0)
      if (ran.code === 0 && bytes.subarray(end, length).some((byte) => byte !== 0)) expect(ran.out).toContain("torn tail at offset")
    }
  })

  it("of a table and of a value file shows what is left", async () => {
    for (const kind of ["table", "values"] as const) {
      const name = largest(sound, kind)
      const file = path.join(directory, `cut.${kind}`)
      const bytes = fs.readFileSync(path.join(sound, name))
      for (let length = bytes.length - 1; length > 0; length -= 131) {
        fs.writeFileSync(file, bytes.subarray(0, length))
        const ran = await run(["inspect", file, "--json"])
        expect({ kind, length, code: ran.code, unexpected: ran.err.includes("Unexpected") }).toEqual({ kind, length, code: 5, unexpected: false })
      }
    }
  })
})

describe("files that are empty, missing or misplaced", () => {
  it.each(kinds)("names an empty file of kind %s", async (kind) => {
    const copy = copyOf(sound)
    const name = largest(copy, kind)
    fs.writeFileSync(path.join(copy, name), "")
    const one = await run(["inspect", name, "--path", copy])
    expect(one).toMatchObject({ code: 5, out: expect.stringContaining("damaged at offset 0: Truncated (the file is empty)") })
    const all = await run(["inspect", "--path", copy])
    expect(all.code).toBe(5)
    expect(all.err).toContain(name)
  })

  it("names what the manifest names and what is not there", async () => {
    const copy = copyOf(sound)
    const table = largest(copy, "table")
    fs.rmSync(path.join(copy, table))
    const { code, out } = await run(["inspect", "--path", copy])
    expect(code).toBe(5)
    expect(out).toContain(`  ${table}\n    damaged at offset 0: Missing (the manifest names this file)\n`)
    expect(out).toContain(`  ${lastOf(copy, "values")}  `)
  })

  it("says what a left-over is, and that a name lies", async () => {
    const copy = copyOf(sound)
    fs.copyFileSync(path.join(copy, largest(copy, "table")), path.join(copy, "000999.table"))
    fs.copyFileSync(path.join(copy, largest(copy, "table")), path.join(copy, "000998.values"))
    expect((await run(["inspect", "--path", copy])).out).toMatch(/\nnot named {2}2 files .*\n {2}000998\.values .*\n {2}000999\.table /)
    expect((await run(["inspect", "table", "999", "--path", copy])).out).toContain("the manifest beside it does not name it")
    expect((await run(["inspect", "000998.values", "--path", copy])).out).toContain("its name says value file, its first bytes say table")
  })

  it("shows random bytes under a name of ours as damage", async () => {
    const seed = 20_261_121
    let state = seed
    const random = () => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) >>> 24
    for (const kind of kinds) {
      for (const length of [1, 63, 64, 150, 5000, 70_000]) {
        const file = path.join(directory, `000077.${kind}`)
        const whole = path.join(sound, largest(sound, kind))
        // With the right beginning and without.
        for (const head of [new Uint8Array(0), fs.readFileSync(whole).subarray(0, 8)]) {
          fs.writeFileSync(file, Buffer.concat([head, Uint8Array.from({ length }, random)]))
          const ran = await run(["inspect", file])
          expect({ seed, kind, length, code: ran.code, err: ran.err.includes("fault of lightning") }).toEqual({
            seed,
            kind,
            length,
            code: 5,
            err: false
          })
        }
        fs.rmSync(file)
      }
    }
  })
})
