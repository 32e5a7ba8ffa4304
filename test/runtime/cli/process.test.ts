/** `lightning` as a person uses it: processes, pipes, signals, and the engine on a directory. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { layerEngine, Opener } from "../../../src/runtime/cli/Opener.ts"
import { runTour } from "../../../src/runtime/cli/tour/Tour.ts"
import { captureOutput } from "./inProcess.ts"

// A process takes 0.5 s to start from sources, and several on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 120_000 })

let directory: string
let db: string
beforeAll(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-process-")))
  db = path.join(directory, "data")
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

/** A test that fails leaves no process behind that holds the database. */
const running = new Set<ChildProcess>()
afterEach(() => {
  for (const child of running) child.kill("SIGKILL")
})

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

const start = (args: ReadonlyArray<string>, options: { readonly entry?: string; readonly env?: Record<string, string> } = {}) => {
  const child = spawn(process.execPath, [options.entry ?? "src/runtime/cli/main.ts", ...args], {
    env: { PATH: process.env["PATH"], ...options.env },
    stdio: ["pipe", "pipe", "pipe"]
  })
  running.add(child)
  child.once("close", () => running.delete(child))
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => {
    out += chunk
  })
  child.stderr.on("data", (chunk) => {
    err += chunk
  })
  // A process that has read enough closes its end.
  child.stdin.on("error", () => {})
  const ended = once(child, "close").then(([code]): Ended => ({ code, out, err }))
  return { child, ended, err: () => err, out: () => out }
}

const lightning = (...args: ReadonlyArray<string>): Promise<Ended> => {
  const { child, ended } = start([...args, "--path", db])
  child.stdin.end()
  return ended
}

const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10))
}

describe("a session", () => {
  it("imports a tree, looks at it, changes it and verifies it", async () => {
    const tree = path.join(directory, "tree")
    fs.mkdirSync(path.join(tree, "guide"), { recursive: true })
    for (const [name, content] of [
      ["guide/one.md", "# One\n"],
      ["guide/two.md", "# Two\n\ntext\n"],
      ["readme.md", "hello\n"]
    ] as const) {
      fs.writeFileSync(path.join(tree, name), content)
    }
    const imported = await lightning("import", tree, "--metadata", "meta", "--json")
    expect(imported).toMatchObject({ code: 0, err: "" })
    expect(JSON.parse(imported.out)).toMatchObject({ entries: 3, batches: 1, durability: "sync" })
    const [two, guide, metadata, missing] = await Promise.all([
      lightning("get", "guide/two.md"),
      lightning("scan", "--prefix", "guide/", "--reverse"),
      lightning("get", "readme.md", "--keyspace", "meta"),
      lightning("get", "guide/three.md")
    ])
    expect(two).toEqual({ code: 0, out: "# Two\n\ntext\n", err: "" })
    expect(guide).toEqual({ code: 0, out: "guide/two.md\t# Two\\n\\ntext\\n\nguide/one.md\t# One\\n\n", err: "" })
    expect(JSON.parse(metadata.out)).toMatchObject({ size: 6, lines: 1 })
    expect(missing).toMatchObject({ code: 3, out: "" })
    expect((await lightning("delete", "readme.md")).out).toMatch(/^deleted 1 key, sequence \d+, sync\n$/)
    expect((await lightning("compact")).code).toBe(0)
    const [count, verify, stats] = await Promise.all([lightning("count"), lightning("verify", "--json"), lightning("stats", "--json")])
    expect(count.out).toBe("2\n")
    expect(JSON.parse(verify.out)).toMatchObject({ sound: true })
    // The catalog's own rows are checked as well.
    expect(JSON.parse(verify.out).entries).toBeGreaterThanOrEqual(5)
    expect(JSON.parse(stats.out)).toMatchObject({ health: { state: "readOnly" }, keyspaces: [{ name: "default" }, { name: "meta" }] })
    expect(JSON.parse(stats.out).disk.total).toBeGreaterThan(0)
  })

  it("reads beside a process that writes, and says who holds it when it wants to write too", async () => {
    const hold = Effect.gen(function* () {
      const opener = yield* Opener
      const held = yield* opener.open({ path: db, readOnly: false })
      yield* held.put("live", "yes")
      const [read, write] = yield* Effect.promise(() => Promise.all([lightning("get", "live"), lightning("put", "other", "no", "--json")]))
      expect(read).toEqual({ code: 0, out: "yes", err: "" })
      expect(write).toMatchObject({ code: 4, out: "" })
      expect(JSON.parse(write.err)).toMatchObject({ error: { tag: "DatabaseLocked", pid: process.pid, exitCode: 4 } })
    })
    await Effect.runPromise(Effect.scoped(hold).pipe(Effect.provide(layerEngine)))
  })

  it("says what is wrong with a path", async () => {
    const file = path.join(directory, "file")
    fs.writeFileSync(file, "")
    const runs = await Promise.all(
      [
        ["get", "k", "--path", path.join(directory, "nowhere")],
        ["put", "k", "v", "--path", file]
      ].map((args) => {
        const { child, ended } = start(args)
        child.stdin.end()
        return ended
      })
    )
    expect(runs[0]).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/^error: There is no database at .*nowhere\n {2}Check --path\./) })
    expect(runs[1]).toMatchObject({ code: 1, out: "", err: expect.stringMatching(/^error: .*file is a file, and a database is a directory\n/) })
    expect(fs.existsSync(path.join(directory, "nowhere"))).toBe(false)
  })

  it("names damaged bytes and ends with 5", async () => {
    const copy = path.join(directory, "damaged")
    fs.cpSync(db, copy, { recursive: true })
    const files = fs.readdirSync(copy, { recursive: true, encoding: "utf8" }).filter((name) => /tbl|table|sst/i.test(name))
    expect(files.length).toBeGreaterThan(0)
    const damaged = path.join(copy, files[0]!)
    const bytes = fs.readFileSync(damaged)
    bytes[bytes.length >> 1]! ^= 0x20
    fs.writeFileSync(damaged, bytes)
    const { child, ended } = start(["verify", "--path", copy])
    child.stdin.end()
    const { code, err } = await ended
    expect(code).toBe(5)
    expect(err).toMatch(/^error: .* is damaged at byte \d+: \w+/)
  })
})

describe("streams", () => {
  it("imports from standard input and names the malformed line", async () => {
    const { child, ended } = start(["import", "-", "--keyspace", "piped", "--path", db])
    child.stdin.end('{"key":"a","value":1}\n{"key":"b","value":2}\nnonsense\n')
    const { code, err } = await ended
    expect(code).toBe(1)
    expect(err).toMatch(/^error: standard input:3: not JSON: .*\n {2}2 entries before it are stored\. Correct the input/)
    expect((await lightning("scan", "--keyspace", "piped")).out).toBe("a\t1\nb\t2\n")
  })

  it("stops quietly when its reader goes away", async () => {
    const lines = path.join(directory, "many.jsonl")
    fs.writeFileSync(lines, Array.from({ length: 20_000 }, (_, i) => `{"key":"many/${i}","value":"${"x".repeat(100)}"}\n`).join(""))
    expect((await lightning("import", lines, "--durability", "buffered")).code).toBe(0)
    const { child, ended, err } = start(["scan", "--path", db])
    child.stdin.end()
    await once(child.stdout, "data")
    child.stdout.destroy()
    expect((await ended).code).toBe(0)
    expect(err()).toBe("")
  })

  it("stops cleanly at Ctrl-C, says what is stored, and has stored it", async () => {
    const { child, ended } = start(["import", "-", "--keyspace", "stopped", "--path", db])
    // A batch is full at 1,000 entries; the 500 after it wait for more input, which does not come.
    child.stdin.write(Array.from({ length: 1_500 }, (_, i) => `{"key":"${i}","value":"v"}\n`).join(""))
    await until(() =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const opener = yield* Opener
            const reader = yield* opener.open({ path: db, readOnly: true })
            const names = (yield* reader.keyspaces).map(({ name }) => name)
            return names.includes("stopped") && (yield* (yield* reader.keyspace("stopped")).has("999"))
          })
        ).pipe(Effect.provide(layerEngine))
      )
    )
    // It is in the log; its acknowledgement is a moment later.
    await new Promise((resolve) => setTimeout(resolve, 100))
    child.kill("SIGINT")
    const { code, err, out } = await ended
    expect({ code, out }).toEqual({ code: 130, out: "" })
    expect(err).toBe(
      "Stopped. 1,000 entries are stored (3.89 kB). Run the same command again to resume: what is there is overwritten with the same content.\n"
    )
    expect((await lightning("count", "--keyspace", "stopped")).out).toBe("1000\n")
  })
})

describe("starting", () => {
  it("is the same through the launcher and through npm start", async () => {
    const runs = await Promise.all(
      ["src/runtime/cli/launcher.ts", "scripts/start.ts"].map((entry) => {
        const { child, ended } = start(["get", "nobody", "--path", db], { entry, env: { FORCE_COLOR: "1" } })
        child.stdin.end()
        return ended
      })
    )
    for (const run of runs)
      expect(run).toEqual({
        code: 3,
        out: "",
        err: '\u001b[31merror\u001b[39m: There is no key "nobody"\n  `lightning scan --prefix …` shows which keys there are.\n'
      })
  })

  it("prints completions", async () => {
    const runs = await Promise.all(
      ["bash", "fish"].map((shell) => {
        const { child, ended } = start(["--completions", shell])
        child.stdin.end()
        return ended
      })
    )
    for (const { code, out } of runs) {
      expect(code).toBe(0)
      for (const word of ["import", "verify", "metadata"]) expect(out).toContain(word)
    }
  })
})

describe("the tour", () => {
  it("imports, answers, is killed in mid-write, and finds everything that was acknowledged", async () => {
    const root = path.join(directory, "node_modules")
    fs.cpSync("node_modules/effect/dist/cli", path.join(root, "effect", "cli"), { recursive: true })
    const tour = path.join(directory, ".lightning", "tour")
    for (const json of [false, true]) {
      const captured = captureOutput()
      const report = await Effect.runPromise(
        runTour({
          root,
          path: tour,
          bytesMax: 100_000_000,
          acknowledgedMin: 500,
          writerEntry: new URL("../../../src/runtime/cli/tour/writer.ts", import.meta.url),
          json
        }).pipe(Effect.provide(Layer.mergeAll(captured.layer, layerEngine)))
      )
      expect(report.proofs.filter((proof) => !proof.holds)).toEqual([])
      expect(report.holds).toBe(true)
      expect(report.crash.acknowledged).toBeGreaterThanOrEqual(500)
      expect(report.crash.inFlight).toBeGreaterThan(0)
      const out = captured.out().toString()
      if (json) expect(JSON.parse(out)).toMatchObject({ holds: true, import: { files: report.import.files } })
      else for (const text of ["in flight", "holds  no acknowledged write is missing", "Try next"]) expect(out).toContain(text)
    }
  })
})
