/** Ctrl-C in the verbs that take long: the process ends with 130 and says how to go on, the database is as usable as before, and the same command then does it all. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { type CommandLine, makeCommandLine } from "./commandLine.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const entries = 20_000
const valueBytes = 1_000

let commandLine: CommandLine
beforeAll(async () => {
  commandLine = await makeCommandLine()
  // Text that hardly compresses, so that reading and writing it takes a while.
  let state = 1
  const lines = Array.from({ length: entries }, (_, i) => {
    let value = ""
    while (value.length < valueBytes) value += (state = (Math.imul(state, 1664525) + 1013904223) >>> 0).toString(36)
    return `{"key":"k${i}","value":"${value}"}\n`
  })
  fs.writeFileSync(path.join(commandLine.work, "lines.jsonl"), lines.join(""))
  expect(await start("import", "lines.jsonl", "--durability", "buffered", "--json").ended).toMatchObject({ code: 0, err: "" })
})
afterAll(() => commandLine.remove())

const running = new Set<ChildProcess>()
afterEach(() => {
  for (const child of running) child.kill("SIGKILL")
})

const start = (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, [commandLine.launcher, ...args], {
    cwd: commandLine.work,
    env: commandLine.env,
    stdio: ["pipe", "pipe", "pipe"]
  })
  running.add(child)
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (err += chunk))
  child.stdin.on("error", () => {})
  const ended = once(child, "close").then(([code, signal]) => {
    running.delete(child)
    return { code, signal, out, err }
  })
  return { child, ended }
}

const run = (...args: ReadonlyArray<string>) => {
  const { child, ended } = start(...args)
  child.stdin.end()
  return ended
}

const copies = { made: 0 }
const copyOfData = (): string => {
  const copy = `copy-${copies.made++}`
  fs.cpSync(path.join(commandLine.work, "data"), path.join(commandLine.work, copy), { recursive: true })
  return copy
}

/**
 * Runs the command to its end once, to know how long it takes; then stops it earlier and earlier until it was in the middle. Before its handlers are there (Node itself is
 * starting) a signal ends a process without a word, and at the very end, while the database is closed, it has done and said what it was to do.
 */
const stopped = async (
  prepare: () => ReadonlyArray<string>,
  isMiddle = (_err: string) => true
): Promise<{ readonly err: string; readonly args: ReadonlyArray<string> }> => {
  const startMs = performance.now()
  expect(await run(...prepare())).toMatchObject({ code: 0 })
  const wholeMs = performance.now() - startMs
  // Twice, should the machine have been slower at first than it is now.
  for (let attempt = 0; attempt < 40; attempt++) {
    const share = 0.9 - (attempt % 20) * 0.045
    const args = prepare()
    const { child, ended } = start(...args)
    child.stdin.end()
    await new Promise((resolve) => setTimeout(resolve, wholeMs * share))
    child.kill("SIGINT")
    const { code, err, out, signal } = await ended
    // Nor is it in the middle of its work while it opens the database.
    if (code === 0 || signal !== null || out !== "" || (code === 130 && err === "") || !isMiddle(err)) continue
    expect(code).toBe(130)
    return { err, args }
  }
  throw new Error(`a command of ${Math.round(wholeMs)} ms could not be stopped in its middle`)
}

const countOf = async (database: string): Promise<string> => (await run("count", "--path", database)).out

describe("Ctrl-C", () => {
  it("in verify changes nothing", async () => {
    const { err } = await stopped(() => ["verify"])
    expect(err).toMatch(/^Stopped\. .*Run the same command again/)
    expect(await run("verify")).toMatchObject({ code: 0 })
  })

  it("in compact loses nothing, and the next run goes on", async () => {
    const { args, err } = await stopped(() => ["compact", "--path", copyOfData()])
    expect(err).toMatch(/^Stopped\. .*Run the same command/)
    const database = args[2]!
    expect(await countOf(database)).toBe(`${entries}\n`)
    expect(await run("verify", "--path", database)).toMatchObject({ code: 0 })
    expect(await run("compact", "--path", database)).toMatchObject({ code: 0 })
    expect(await countOf(database)).toBe(`${entries}\n`)
  })

  it("in an import keeps what is stored, and the next run goes on there", async () => {
    let made = 0
    const { args, err } = await stopped(() => ["import", "lines.jsonl", "--path", `imported-${made++}`, "--durability", "buffered"])
    expect(err).toMatch(/^Stopped\. [\d,]+ entr(?:y is|ies are) stored .*Run the same command again to resume/)
    const again = await run(...args, "--json")
    expect(again).toMatchObject({ code: 0 })
    expect(await countOf(args[3]!)).toBe(`${entries}\n`)
  })

  it("in an export leaves no file with its name, and the next run goes on there", async () => {
    let made = 0
    const { args, err } = await stopped(
      () => ["export", `exported-${made++}.jsonl`],
      // Before its first safe point there is nothing to go on from.
      (said) => !said.includes("start anew")
    )
    expect(err).toMatch(/^Stopped.*Run the same command again to go on/)
    const file = path.join(commandLine.work, args[1]!)
    expect(fs.existsSync(file)).toBe(false)
    expect(await run(...args)).toMatchObject({ code: 0 })
    expect(fs.readFileSync(file, "utf8").split("\n").length - 1).toBe(entries)
    expect(fs.existsSync(`${file}.part`)).toBe(false)
  })

  it("in diff says that it is no answer", async () => {
    const { err } = await stopped(() => ["diff", "data", "data", "--summary"])
    expect(err).toMatch(/^Stopped\. .*Run the same command again/)
  })

  it("in bench leaves nothing behind", async () => {
    fs.mkdirSync(path.join(commandLine.work, "measured"))
    const { child, ended } = start("bench", "--dir", "measured", "--seconds", "60")
    while (fs.readdirSync(path.join(commandLine.work, "measured")).length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    await new Promise((resolve) => setTimeout(resolve, 300))
    child.kill("SIGINT")
    const { code, err } = await ended
    expect({ code, left: fs.readdirSync(path.join(commandLine.work, "measured")) }).toEqual({ code: 130, left: [] })
    expect(err).toContain("Stopped")
  })

  it("twice does not wait", async () => {
    const { child, ended } = start("import", "-", "--path", "held")
    while (!fs.existsSync(path.join(commandLine.work, "held", "CURRENT"))) await new Promise((resolve) => setTimeout(resolve, 20))
    child.kill("SIGINT")
    child.kill("SIGTERM")
    expect((await ended).code).toBe(130)
    expect(await run("put", "a", "1", "--path", "held")).toMatchObject({ code: 0 })
  })
})
