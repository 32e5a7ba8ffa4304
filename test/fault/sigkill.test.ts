/**
 * Invariants 1 and 2 with real processes on the real disk: sixteen writers are killed in mid-write, round after round, and the next one finds everything they were told is there.
 * A SIGKILL loses nothing that the system was handed, so buffered acknowledgements count as well. `LIGHTNING_KILL_ROUNDS` makes it more, or fewer, than a hundred.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { once } from "node:events"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import type { Readable, Writable } from "node:stream"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { compareBytes } from "../../src/domain/keys/compareBytes.ts"
import { layer } from "../../src/runtime/LightningDb.ts"
import { Database, type DatabaseShape } from "../../src/services/Database.ts"
import { childOptions, type Notes, readNotes, valueFor, writerCount } from "../support/killedWriters.ts"

const rounds = Number(process.env["LIGHTNING_KILL_ROUNDS"] ?? "100")
const child = fileURLToPath(new URL("../support/writer-child.ts", import.meta.url))

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

interface Writer {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly notesPath: string
  readonly round: number
  readonly loaded: Promise<unknown>
  readonly ended: Promise<NodeJS.Signals | null>
  complaints: string
}

/** Loads a writer, which then waits for its turn. */
const startWriter = (path: string, root: string, round: number): Writer => {
  const notesPath = join(root, `notes-${round}`)
  const started = spawn(process.execPath, ["--no-warnings", child, path, notesPath, String(round)], {
    stdio: ["pipe", "pipe", "pipe"],
    // Loading the engine from its sources is most of a round.
    env: { ...process.env, NODE_COMPILE_CACHE: join(root, "compiled") }
  })
  const writer: Writer = {
    process: started,
    notesPath,
    round,
    loaded: Promise.race([once(started.stdout, "data"), once(started, "close")]),
    ended: new Promise((resolve) => started.once("close", (_code, signal) => resolve(signal))),
    complaints: ""
  }
  started.stderr.setEncoding("utf8").on("data", (text: string) => (writer.complaints += text))
  started.stdin.on("error", () => undefined)
  return writer
}

/** Lets the writer open the database, and kills it some time after. */
const killedRound = async (writer: Writer): Promise<Notes> => {
  const text = () => (existsSync(writer.notesPath) ? readFileSync(writer.notesPath, "utf8") : "")
  await writer.loaded
  writer.process.stdin.write("go\n")
  for (let waited = 0; !text().startsWith("open\n") && writer.process.exitCode === null && waited < 20_000; waited += 2) await sleep(2)
  // Not the same moment each round: from the first writes to the middle of compactions.
  await sleep((writer.round * 37) % 120)
  writer.process.kill("SIGKILL")
  expect(await writer.ended, writer.complaints).toBe("SIGKILL")
  return readNotes(text())
}

const withDatabase = <A>(path: string, run: (db: DatabaseShape) => Effect.Effect<A, unknown>): Promise<A> =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        return yield* run(Context.get(yield* Layer.build(Layer.fresh(layer({ path, ...childOptions }))), Database))
      })
    )
  )

describe("sigkill", () => {
  it(`${rounds} rounds under ${writerCount} writers: nothing acknowledged is missing`, async () => {
    const root = mkdtempSync(join(tmpdir(), "lightning-kill-"))
    const path = join(root, "db")
    const all = new Map<string, number>()
    let inFlight = 0
    let survivors = 0
    const startedMs = performance.now()
    try {
      let upcoming = startWriter(path, root, 1)
      for (let round = 1; round <= rounds; round++) {
        const writer = upcoming
        if (round < rounds) upcoming = startWriter(path, root, round + 1)
        const notes = await killedRound(writer)
        expect(notes.failure).toBeUndefined()
        expect(notes.opened).toBe(true)
        inFlight += notes.inFlight.size
        // The next child opens what this one left; every few rounds the whole of it is read here first.
        const checkAll = round % 10 === 0 || round === rounds
        for (const [id, sequence] of notes.acknowledged) all.set(id, sequence)
        const checked = checkAll ? all : notes.acknowledged
        if (!checkAll && round % 3 !== 0) continue
        await withDatabase(path, (db) =>
          Effect.sync(() => {
            for (const id of checked.keys()) {
              const [of, writer, i] = id.split(".")
              const value = db.unsafe.get(`w${writer}/${of}/${i}`)
              if (value === undefined || compareBytes(value, valueFor(id)) !== 0) {
                throw new Error(
                  `round ${round}: ${id} was acknowledged as ${checked.get(id)} and ${value === undefined ? "is missing" : "has another value"}`
                )
              }
            }
            for (const id of notes.inFlight) {
              const [of, writer, i] = id.split(".")
              const value = db.unsafe.get(`w${writer}/${of}/${i}`)
              const last = db.unsafe.getText(`last/${writer}`)
              // A write that nobody was told about is there as a whole, or not at all.
              if ((value !== undefined) !== (last === id)) throw new Error(`round ${round}: half of ${id} is there (the writer's last is ${last})`)
              if (value !== undefined) survivors++
            }
          })
        )
      }
      expect(new Set(all.values()).size).toBe(all.size)
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
    console.log(
      `sigkill: ${rounds} rounds, ${all.size} acknowledged, ${inFlight} in flight (${survivors} of those looked at were there), ${((performance.now() - startedMs) / 1000).toFixed(1)} s`
    )
    expect(inFlight).toBeGreaterThan(0)
    expect(all.size).toBeGreaterThan(rounds * 10)
  }, 600_000)
})
