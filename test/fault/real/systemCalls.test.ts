/**
 * System calls that kill, or fail, at the n-th time they are made, in a process of its own under `strace`: what the process says of it is typed and true, and what the next one finds is
 * what was acknowledged. `LIGHTNING_KILL_ROUNDS` makes it more rounds than the few of every run.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe, expect } from "vitest"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { layer } from "../../../src/runtime/LightningDb.ts"
import { Database } from "../../../src/services/Database.ts"
import { childOptions, valueFor } from "../../support/killedWriters.ts"
import { type InjectedNotes, readInjectedNotes } from "../../support/real/injected.ts"
import { realTest, strace } from "../../support/real/means.ts"
import { compiled } from "../../support/real/startRemote.ts"

const rounds = Number(process.env["LIGHTNING_KILL_ROUNDS"] ?? "20")
const child = fileURLToPath(new URL("../../support/real/injected-child.ts", import.meta.url))

interface Injection {
  readonly calls: string
  readonly does: string
  /** The n-th, or ("n+") each from the n-th on. */
  readonly when: number | string
  /** Only calls on this file of the database. */
  readonly only?: string | undefined
}

/** A process that writes, under strace; resolves with what it noted, and whether something was injected. */
const injectedRun = async (path: string, root: string, round: number, { calls, does, only, when }: Injection) => {
  const notesPath = join(root, `notes-${round}`)
  const tracePath = join(root, `trace-${round}`)
  // Stops at these calls alone; some versions then forget signals.
  const quick = does.startsWith("error") ? ["--seccomp-bpf"] : []
  const inject = ["-e", `trace=${calls}`, "-e", `inject=${calls}:${does}:when=${when}`, ...(only === undefined ? [] : ["-P", join(path, only)])]
  const started = spawn(
    "strace",
    ["-f", "-qq", ...quick, "-o", tracePath, ...inject, process.execPath, "--no-warnings", child, path, notesPath, String(round)],
    {
      stdio: ["ignore", "ignore", "pipe"],
      // One thread for the calls of the pool: strace counts by thread.
      env: { ...process.env, UV_THREADPOOL_SIZE: "1", NODE_COMPILE_CACHE: compiled }
    }
  )
  let complaints = ""
  started.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text))
  const [code, signal] = (await once(started, "close")) as [number | null, NodeJS.Signals | null]
  const trace = readFileSync(tracePath, "utf8")
  const notes = readInjectedNotes(readFileSync(notesPath, "utf8"))
  const killed = signal === "SIGKILL"
  rmSync(tracePath)
  return { notes, killed, injected: killed || trace.includes("(INJECTED)"), how: `${code} ${signal} ${complaints}` }
}

/** What the next process finds of what the earlier ones were told. */
const judge = (path: string, told: ReadonlyArray<InjectedNotes>, what: string): Promise<ReadonlyArray<string>> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const db = Context.get(yield* Layer.build(Layer.fresh(layer({ path, ...childOptions }))), Database)
        const complaints: Array<string> = []
        const valueOf = (id: string) => {
          const [of, writer, i] = id.split(".")
          return db.unsafe.get(`w${writer}/${of}/${i}`)
        }
        for (const { acknowledged, open, refused } of told) {
          for (const id of acknowledged.keys()) {
            const value = valueOf(id)
            if (value === undefined || compareBytes(value, valueFor(id)) !== 0)
              complaints.push(`${what}: ${id} was acknowledged, and is ${value === undefined ? "missing" : "another value"}`)
          }
          for (const id of refused) if (valueOf(id) !== undefined) complaints.push(`${what}: ${id} was refused, and is there`)
          for (const id of open) {
            const value = valueOf(id)
            if (value !== undefined && compareBytes(value, valueFor(id)) !== 0) complaints.push(`${what}: ${id} is there as another value`)
          }
        }
        return complaints
      })
    )
  )

const withRoot = async (run: (root: string) => Promise<void>): Promise<void> => {
  const root = mkdtempSync(join(tmpdir(), "lightning-calls-"))
  try {
    await run(root)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** Numbers that are spread over the run of a process: 1, 2, 3, and then further apart. */
const nthOf = (index: number): number => (index < 3 ? index + 1 : Math.floor(3 * 1.55 ** (index - 2)) % 180 || 1)

describe("system calls", () => {
  /** With about how many of them a run makes on one thread. */
  const killing: ReadonlyArray<readonly [calls: string, most: number]> = [
    ["fdatasync", 30],
    ["pwrite64,pwritev", 40],
    ["fsync", 5],
    ["rename", 1],
    ["unlink", 5],
    ["pwrite64", 30],
    ["pwritev", 10]
  ]
  realTest(
    `${rounds / 2} rounds killed at the n-th system call: nothing acknowledged is missing`,
    strace(),
    () =>
      withRoot(async (root) => {
        const path = join(root, "db")
        const told: Array<InjectedNotes> = []
        const kills = new Map<string, number>()
        let acknowledged = 0
        for (let round = 0; round < rounds / 2; round++) {
          const [calls, most] = killing[round % killing.length]!
          const when = ((nthOf(Math.floor(round / killing.length) * 3 + (round % 4)) - 1) % most) + 1
          const { how, killed, notes } = await injectedRun(path, root, round, { calls, does: "signal=KILL", when })
          expect(notes.loaded, how).toBe(true)
          expect([...notes.complaints, ...notes.errors]).toEqual([])
          expect(killed || notes.done, how).toBe(true)
          if (killed) kills.set(calls, (kills.get(calls) ?? 0) + 1)
          told.push(notes)
          acknowledged += notes.acknowledged.size
          // The next round opens what this one left; now and then all of it is read here, too.
          if (round % 4 === 3 || round + 1 >= rounds / 2) expect(await judge(path, told, `round ${round}, ${calls} ${when}`)).toEqual([])
        }
        console.log(`killed at the n-th system call: ${JSON.stringify(Object.fromEntries(kills))}, ${acknowledged} acknowledged`)
        expect(kills.size).toBeGreaterThan(3)
        expect(acknowledged).toBeGreaterThan(100)
      }),
    600_000
  )

  const failing: ReadonlyArray<readonly [calls: string, error: string, only?: string]> = [
    ["pwrite64,pwritev", "EROFS"],
    ["fdatasync", "EIO"],
    ["pwrite64", "EIO"],
    ["pwritev", "ENOSPC"],
    ["fsync", "EIO"],
    ["rename", "EACCES"],
    ["unlink", "EIO"],
    ["pread64", "EIO", "CURRENT"],
    ["openat", "EMFILE", "CURRENT"],
    ["pwrite64", "EDQUOT"],
    ["fdatasync", "ENOSPC"]
  ]
  realTest(
    `${rounds / 2} rounds with a system call that fails: what was said of it is typed and true`,
    strace(),
    () =>
      withRoot(async (root) => {
        const errors = new Set<string>()
        let struck = 0
        let path = join(root, "db0")
        let told: Array<InjectedNotes> = []
        for (let round = 0; round < rounds / 2; round++) {
          const [calls, error, only] = failing[round % failing.length]!
          const nth = only !== undefined || calls === "rename" ? 1 : nthOf(Math.floor(round / failing.length) * 2 + (round % 3))
          // A file system that became read-only stays so.
          const when = error === "EROFS" ? `${nth + 5}+` : nth
          const what = `${calls} ${when} ${error}`
          const { how, injected, notes } = await injectedRun(path, root, round, { calls, does: `error=${error}`, when, only })
          expect(notes.loaded, how).toBe(true)
          expect(notes.complaints, what).toEqual([])
          expect(notes.done || [...notes.errors].some((tag) => tag.startsWith("open")), `${what}: ${how}`).toBe(true)
          for (const tag of notes.errors) errors.add(`${error}: ${tag}`)
          if (injected) struck++
          told.push(notes)
          expect(await judge(path, told, what)).toEqual([])
          // A database that grows makes rounds slow.
          if (told.length === 6) {
            told = []
            path = join(root, `db${round}`)
          }
        }
        console.log(`failed at the n-th system call: ${struck} struck; ${[...errors].sort().join(", ")}`)
        // Node has no name for this one.
        expect([...errors].some((tag) => tag.startsWith("EDQUOT: "))).toBe(true)
        expect([...errors].filter((tag) => /^(?:EDQUOT|ENOSPC): open /.test(tag) && !tag.endsWith("DiskFull"))).toEqual([])
        expect(struck).toBeGreaterThan(rounds / 4)
        expect(errors.size).toBeGreaterThan(2)
      }),
    600_000
  )
})
