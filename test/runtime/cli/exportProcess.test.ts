/** `lightning export` as processes: killed, piped, closed, and what it takes of memory. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { open } from "../../../src/runtime/LightningDb.ts"
import { type CommandLine, makeCommandLine } from "./commandLine.ts"

// Processes take their time on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let commandLine: CommandLine
let directory: string
let db: string

/** Text that compresses badly, the same each time. */
const noise = (seed: number, length: number): string => {
  let state = seed * 2_654_435_761
  let text = ""
  while (text.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    text += state.toString(36)
  }
  return text.slice(0, length)
}

beforeAll(async () => {
  commandLine = await makeCommandLine()
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-export-")))
  db = path.join(directory, "data")
  const database = await open({ path: db, durability: "buffered" })
  // 26 MiB in entries of 64 KiB: three points to go on from, and a rest.
  for (let i = 0; i < 26; i++) {
    const parts = Array.from({ length: 16 }, (_, part) => ({ key: `k${1000 + i}/${10 + part}`, value: noise(i * 16 + part, 65_536) }))
    await database.batch(parts.map(({ key, value }) => ({ type: "put", key, value, expiresAt: 4_102_444_800_000 })))
  }
  await database.close()
})
afterAll(() => {
  commandLine.remove()
  fs.rmSync(directory, { recursive: true })
})

const running = new Set<ChildProcess>()
afterEach(() => {
  for (const child of running) child.kill("SIGKILL")
})

const start = (args: ReadonlyArray<string>, node: ReadonlyArray<string> = []) => {
  const child = spawn(process.execPath, [...node, commandLine.launcher, ...args, "--path", db], {
    env: commandLine.env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  running.add(child)
  child.once("close", () => running.delete(child))
  let err = ""
  child.stderr.on("data", (chunk) => {
    err += chunk
  })
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, err }))
  return { child, ended }
}

const finished = async (args: ReadonlyArray<string>) => {
  const { child, ended } = start(args)
  child.stdout.resume()
  return ended
}

/** Entries that the state says are safe; -1 where there is none. */
const safeEntries = (name: string): number => {
  try {
    return JSON.parse(fs.readFileSync(`${name}.part.json`, "utf8")).position?.entries ?? -1
  } catch {
    return -1
  }
}

/** Kills the process as soon as it has got further than an earlier one. */
const killed = async (args: ReadonlyArray<string>, name: string, signal: "SIGKILL" | "SIGINT") => {
  const before = safeEntries(name)
  const { child, ended } = start(args)
  child.stdout.resume()
  let over = false
  const end = ended.finally(() => {
    over = true
  })
  while (!over && safeEntries(name) <= before) await new Promise((resolve) => setTimeout(resolve, 3))
  child.kill(signal)
  return end
}

describe("a killed export", () => {
  it.each(["out.jsonl", "out.csv.gz"])("never looks finished, and ends as if it had not been: %s", async (file) => {
    const name = path.join(directory, file)
    const whole = path.join(directory, `whole-${file}`)
    expect((await finished(["export", whole])).code).toBe(0)
    let kills = 0
    for (;;) {
      const { code, err } = await killed(["export", name], name, "SIGKILL")
      if (code === 0) {
        expect(err).toMatch(/^Going on after \d+ entries|^$/)
        break
      }
      expect(code).toBe(null)
      expect(fs.existsSync(name)).toBe(false)
      kills++
    }
    expect(kills).toBeGreaterThan(0)
    expect(fs.readFileSync(name).equals(fs.readFileSync(whole))).toBe(true)
    expect(fs.readdirSync(directory).filter((left) => left.includes(".part"))).toEqual([])
  })

  it("says at Ctrl-C how to go on", async () => {
    const name = path.join(directory, "stopped.jsonl.gz")
    const { code, err } = await killed(["export", name, "--level", "9"], name, "SIGINT")
    expect(code).toBe(130)
    expect(err).toMatch(/^Stopped\. \d+ entries are in .*stopped\.jsonl\.gz\.part\. Run the same command again to go on from there\.\n$/)
    expect((await finished(["export", name, "--level", "9"])).err).toMatch(/^Going on after \d+ entries/)
  })
})

describe("standard output", () => {
  it("stops quietly when its reader goes away", async () => {
    const { child, ended } = start(["export", "-", "--compress", "gzip"])
    await once(child.stdout, "data")
    child.stdout.destroy()
    expect(await ended).toEqual({ code: 0, err: "" })
  })

  it.skipIf(process.platform !== "linux")("waits for a slow reader, with little memory", async () => {
    const report = path.join(directory, "memory.cjs")
    fs.writeFileSync(report, `process.on("exit", () => require("node:fs").writeSync(2, require("node:fs").readFileSync("/proc/self/status")))`)
    const peakKiB = async (...args: ReadonlyArray<string>): Promise<number> => {
      const { child, ended } = start(args, ["--require", report])
      // Nothing is read for a moment: what does not fit the pipe must wait in the database.
      setTimeout(() => child.stdout.resume(), 300)
      const { code, err } = await ended
      expect(code).toBe(0)
      return Number(/VmHWM:\s*(\d+)/.exec(err)![1])
    }
    const idle = await peakKiB("export", "-", "--prefix", "none")
    // All 27 MB of text at once, as bytes and as a string, would show.
    expect((await peakKiB("export", "-")) - idle).toBeLessThan(48 * 1024)
  })
})
