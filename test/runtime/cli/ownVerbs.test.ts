/** keyspaces, checkpoint, stats, bench, and the times of get and put, as processes over directories, and on a pseudo-terminal. */
import * as Effect from "effect/Effect"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { layerEngine, Opener } from "../../../src/runtime/cli/Opener.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { type CommandLine, makeCommandLine } from "./commandLine.ts"
import { hasTerminal, onTerminal, type Terminal } from "./terminal.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let commandLine: CommandLine
let cwd: string
const running = new Set<{ readonly kill: (signal?: NodeJS.Signals) => unknown }>()
beforeAll(async () => {
  commandLine = await makeCommandLine()
  if (!hasTerminal) console.warn("SKIPPED: no `script` here, so what is shown on a terminal is not tested")
})
afterAll(() => commandLine.remove())
beforeEach(() => {
  cwd = fs.mkdtempSync(path.join(commandLine.work, "case-"))
})
afterEach(() => {
  for (const child of running) child.kill("SIGKILL")
  running.clear()
})

const start = (args: ReadonlyArray<string>) => {
  const child = spawn("lightning", args, { cwd, env: { ...commandLine.env }, stdio: ["ignore", "pipe", "pipe"] })
  running.add(child)
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => {
    out += chunk
  })
  child.stderr.on("data", (chunk) => {
    err += chunk
  })
  const ended = once(child, "close").then(([code]) => {
    running.delete(child)
    return { code, out, err }
  })
  return { child, ended, out: () => out, err: () => err }
}
const lightning = (...args: ReadonlyArray<string>) => start(args).ended
const json = async (...args: ReadonlyArray<string>) => {
  const run = await lightning(...args, "--json")
  expect({ code: run.code, err: run.err }, args.join(" ")).toEqual({ code: 0, err: "" })
  return JSON.parse(run.out)
}

const terminal = (
  command: string,
  options: { readonly columns?: number; readonly rows?: number; readonly env?: Record<string, string> } = {}
): Terminal => {
  const started = onTerminal(command, { ...options, cwd, env: { ...commandLine.env, ...options.env } })
  running.add(started)
  return started
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** With a writer that this process is, while `use` runs. */
const besideWriter = (use: (writer: DatabaseShape) => Promise<void>): Promise<void> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const opener = yield* Opener
        const writer = yield* opener.open({ path: path.join(cwd, "data"), readOnly: false })
        yield* Effect.promise(() => use(writer))
      })
    ).pipe(Effect.provide(layerEngine))
  )
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

describe("checkpoint", () => {
  it("copies beside a writer, as of one moment, and refuses what is in the way", async () => {
    await besideWriter(async (writer) => {
      const batch = (turn: number) => Array.from({ length: 500 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: `${turn}`.padEnd(40) }))
      await run(writer.write(batch(1)))
      await run(writer.flush)
      const { sequence } = await run(writer.write([...batch(2), { type: "put", key: "only in the log", value: "yes" }]))
      // An empty directory is as good as none.
      fs.mkdirSync(path.join(cwd, "copy"))
      const report = await json("checkpoint", "copy")
      expect(report).toMatchObject({ path: "copy", sequence, files: fs.readdirSync(path.join(cwd, "copy")).length, durationMs: expect.any(Number) })
      expect(report.bytes).toBeGreaterThan(0)
      await run(writer.write([{ type: "deleteRange", prefix: "k" }]))
      expect((await lightning("get", "only in the log", "--path", "copy")).out).toBe("yes")
      expect((await json("count", "--path", "copy")).count).toBe(501)
      expect((await lightning("count")).out).toBe("1\n")

      const again = await lightning("checkpoint", "copy", "--json")
      expect(again).toMatchObject({ code: 1, out: "" })
      expect(JSON.parse(again.err)).toMatchObject({ error: { tag: "PathExists", hint: expect.stringContaining("remove it first") } })
      expect((await lightning("checkpoint", "data/inside")).code).toBe(2)
      expect((await lightning("checkpoint", "data")).code).toBe(2)
    })
    // What a kill leaves behind is no database, and is named for what it is.
    fs.renameSync(path.join(cwd, "copy", "CURRENT"), path.join(cwd, "copy", "CURRENT.checkpoint"))
    expect(await lightning("count", "--path", "copy")).toMatchObject({ code: 1, out: "" })
    expect((await lightning("checkpoint", "copy")).err).toContain("cut short")
    expect((await lightning("checkpoint", "elsewhere", "--path", "nowhere")).code).toBe(1)
    expect(fs.existsSync(path.join(cwd, "elsewhere"))).toBe(false)
  })
})

describe("keyspaces", () => {
  it("are listed with sizes and history, beside a writer and after it", async () => {
    await besideWriter(async (writer) => {
      const people = await run(writer.keyspace("people", { history: "7 days" }))
      await run(people.write(Array.from({ length: 300 }, (_, i) => ({ type: "put" as const, key: `p${i}`, value: "x".repeat(50) }))))
      await run(writer.put("k", "v"))
      const { keyspaces } = await json("keyspaces")
      expect(keyspaces).toEqual([
        { name: "default", entries: 1, bytes: 2 },
        { name: "people", entries: 300, bytes: expect.any(Number), historyMs: 604_800_000 }
      ])
      expect(await lightning("keyspaces", "drop", "people", "--yes")).toMatchObject({ code: 4, out: "" })
    })
    expect((await lightning("keyspaces")).out).toMatch(/^people +300 +\d[\d.]* kB +7 d$/m)
    expect(await json("keyspaces", "drop", "people", "--yes")).toMatchObject({ dropped: true, entries: 300 })
    expect((await json("keyspaces")).keyspaces).toHaveLength(1)
    expect((await lightning("keyspaces", "create", "default")).code).toBe(2)
  })

  it.skipIf(!hasTerminal)("are dropped on a terminal by whoever types the name, and by nobody else", async () => {
    for (const name of ["people", "orders"]) await json("keyspaces", "create", name)
    const wrong = terminal("lightning keyspaces drop people")
    await wrong.shows("Type its name")
    wrong.type("yes\n")
    expect(await wrong.ended).toBe(1)
    expect(wrong.out()).toContain("nothing was dropped")
    const stopped = terminal("lightning keyspaces drop people")
    await stopped.shows("Type its name")
    stopped.type("\u0003")
    expect(await stopped.ended).toBe(130)
    expect((await json("keyspaces")).keyspaces).toHaveLength(3)
    const right = terminal("lightning keyspaces drop people")
    await right.shows("Type its name")
    right.type("people\n")
    expect(await right.ended).toBe(0)
    expect(right.out()).toContain('dropped keyspace "people"')
    expect((await json("keyspaces")).keyspaces.map(({ name }: { readonly name: string }) => name)).toEqual(["default", "orders"])
  })
})

describe("stats", () => {
  it("sees what a writer does, without its counters", async () => {
    await besideWriter(async (writer) => {
      await run(writer.put("k", "v".repeat(1000)))
      const { child, ended, out } = start(["stats", "--watch", "--interval", "100ms", "--json"])
      await until(() => out().includes("\n"))
      for (let i = 0; i < 50; i++) await run(writer.put(`k${i}`, "v".repeat(1000), { durability: "buffered" }))
      const { visibleSequence } = await run(writer.stats)
      await until(() => out().includes(`"visibleSequence":${visibleSequence}`))
      child.kill("SIGINT")
      const { code, err } = await ended
      expect({ code, err }).toEqual({ code: 130, err: "" })
      const looks = out()
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      expect(looks.some(({ rates }) => rates?.commitsPerSecond > 0)).toBe(true)
      expect(looks[0].disk.log).toBeGreaterThan(1000)
      expect(looks[0].disk.manifest).toBeGreaterThan(0)
      expect(looks[0]).not.toHaveProperty("blockCache")
      await run(writer.flush)
      const stats = await json("stats")
      expect(stats.retention).toMatchObject({ logSegments: expect.any(Number), historyFromSequence: expect.any(Number) })
      expect(stats.levels[0]).toMatchObject({ level: 0, tables: 1, entries: expect.any(Number) })
    })
  })

  it("ends when its reader goes away", async () => {
    await lightning("put", "k", "v")
    const { child, ended, err } = start(["stats", "--watch", "--interval", "100ms"])
    await once(child.stdout, "data")
    child.stdout.destroy()
    expect((await ended).code).toBe(0)
    expect(err()).toBe("")
  })

  const leave = "\u001b[?25h\u001b[?1049l"

  it.skipIf(!hasTerminal)("is a live view that fits, and leaves the terminal as it was", async () => {
    await lightning("put", "k", "v")
    // What stty says afterwards is the terminal itself: in raw mode it would echo nothing.
    const after = "; code=$?; stty -a | tr ';' '\\n' | grep -oE -- '-?(icanon|echo)\\b' | tr '\\n' ' '; exit $code"
    const view = terminal(`lightning stats --watch --interval 200ms${after}`, { columns: 44, rows: 12, env: { NO_COLOR: "1" } })
    await view.shows("commits 0/s")
    view.type("x")
    view.type("q")
    expect(await view.ended).toBe(0)
    const out = view.out()
    expect(out.startsWith("\u001b[?1049h\u001b[?25l")).toBe(true)
    expect(out).toContain(leave)
    expect(out.slice(out.indexOf(leave))).toMatch(/icanon echo/)
    expect(out.slice(out.indexOf(leave))).not.toMatch(/-icanon|-echo/)
    // oxlint-disable-next-line no-control-regex
    expect(out).not.toMatch(/\u001b\[[\d;]*m/)
    for (const frame of out.slice(0, out.indexOf(leave)).split("\u001b[H").slice(1)) {
      const lines = frame
        // oxlint-disable-next-line no-control-regex
        .replaceAll(/\u001b\[[KJ]/g, "")
        .trimEnd()
        .split(/\r+\n/)
      expect(lines.length).toBeLessThanOrEqual(11)
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(44)
    }
    const stopped = terminal(`lightning stats --watch${after}`)
    await stopped.shows("q ends")
    stopped.type("\u0003")
    expect(await stopped.ended).toBe(130)
    expect(stopped.out().slice(stopped.out().indexOf(leave))).toMatch(/icanon echo/)
    // What was asked for ends by itself, and the last look stays on the terminal.
    const few = terminal("lightning stats --watch --interval 100ms --count 2")
    expect(await few.ended).toBe(0)
    expect(few.out().slice(few.out().indexOf(leave))).toContain("space on disk")
  })
})

describe("bench", () => {
  const left = () => fs.readdirSync(cwd).filter((name) => name.includes("bench"))

  it("measures, says what it means, and leaves nothing", async () => {
    const report = await json("bench", "--dir", ".", "--seconds", "1")
    for (const name of ["sync", "commits", "callers", "batches", "gets", "scan"]) {
      const { count, p50Ms, p99Ms, perSecond } = report.results[name]
      expect(count, name).toBeGreaterThan(0)
      expect(perSecond, name).toBeGreaterThan(0)
      expect(p99Ms, name).toBeGreaterThanOrEqual(p50Ms)
      expect(report.reference[name].perSecond).toBeGreaterThan(0)
    }
    expect(report.verdict[0]).toMatch(/^A sync takes /)
    expect(left()).toEqual([])
    expect(fs.existsSync(path.join(cwd, "data"))).toBe(false)
  })

  it("stops at Ctrl-C, and leaves nothing then either", async () => {
    const { child, ended } = start(["bench", "--dir", "."])
    await until(() => left().length > 0 && fs.existsSync(path.join(cwd, left()[0]!, "data", "CURRENT")))
    child.kill("SIGINT")
    expect(await ended).toMatchObject({ code: 130, out: "", err: "Stopped. The temporary directory is removed.\n" })
    expect(left()).toEqual([])
  })

  it("says where it cannot measure", async () => {
    const missing = await lightning("bench", "--dir", "nowhere")
    expect(missing).toMatchObject({ code: 1, out: "" })
    expect(missing.err).toMatch(/^error: Nothing can be measured in nowhere: no such file or directory\n {2}Give a directory/)
    expect((await lightning("bench", "--seconds", "0")).code).toBe(2)
  })
})

describe("the times of values", () => {
  it("end one that has a ttl, and show one as it was", async () => {
    await json("keyspaces", "create", "kept", "--history", "unlimited")
    const first = await json("put", "k", "one", "--keyspace", "kept")
    await json("put", "k", "two", "--keyspace", "kept")
    expect((await lightning("get", "k", "--keyspace", "kept", "--at", String(first.sequence))).out).toBe("one")
    expect((await lightning("get", "k", "--keyspace", "kept")).out).toBe("two")
    const future = await lightning("get", "k", "--keyspace", "kept", "--at", "999999")
    expect(future).toMatchObject({ code: 1, out: "" })
    await json("delete", "k", "--keyspace", "kept")
    const versions = await lightning("history", "k", "--keyspace", "kept", "--json")
    expect(
      versions.out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
    ).toMatchObject([{ sequence: first.sequence, type: "put", value: "one" }, { type: "put", value: "two" }, { type: "delete" }])
    expect((await lightning("history", "k", "--keyspace", "kept", "--reverse", "--limit", "2")).out).toMatch(/^\d+\tdelete\t\n\d+\tput\ttwo\n$/)
    expect((await lightning("history", "nobody", "--keyspace", "kept")).code).toBe(3)
    expect(await json("put", "brief", "v", "--ttl", "1ms")).toMatchObject({ ttlMs: 1 })
    await json("put", "lasting", "v", "--ttl", "1h")
    expect((await lightning("get", "brief")).code).toBe(3)
    expect((await lightning("get", "lasting")).out).toBe("v")
    expect((await lightning("put", "lasting", "w", "--if-absent")).code).toBe(1)
    expect((await lightning("put", "brief", "w", "--if-absent")).code).toBe(0)
  })
})

describe("a damaged table", () => {
  it("does not keep stats from telling of the rest, and is named by keyspaces", async () => {
    await json("put", "k", "v")
    await json("put", "p", "v", "--keyspace", "people")
    await json("compact")
    // Compaction gives each keyspace tables of its own, in their order: the last one is that of people. Its end holds the index that an estimate needs.
    const table = path.join(
      cwd,
      "data",
      fs
        .readdirSync(path.join(cwd, "data"))
        .filter((name) => name.endsWith(".table"))
        .toSorted()
        .at(-1)!
    )
    const bytes = fs.readFileSync(table)
    fs.writeFileSync(table, bytes.fill(0xff, bytes.length >> 1))
    const { keyspaces } = await json("stats")
    expect(keyspaces).toMatchObject([
      { name: "default", entries: 1 },
      { name: "people", bytes: bytes.length, problem: expect.stringContaining("damaged") }
    ])
    expect((await lightning("stats")).out).toMatch(/people .* not readable/)
    const listed = await lightning("keyspaces")
    expect(listed.code).toBe(5)
    expect(listed.out).toMatch(/^default +1 [\s\S]*^people +not readable/m)
    expect(listed.err).toMatch(/^error: .*\.table is damaged at byte \d+/)
  })
})
