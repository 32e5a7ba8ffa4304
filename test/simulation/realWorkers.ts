/**
 * The same scripts and the same oracle on the real file system with worker threads: each life is a process that is killed at a random moment, and the next one finds what the
 * kernel has. Nothing of it is deterministic but the scripts; a killed process loses nothing that was acknowledged, buffered or not.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"
import { scriptOf } from "./campaign.ts"
import { History } from "./History.ts"
import { probe, reconcile } from "./judging.ts"
import { type Cells, Ledger } from "./Ledger.ts"
import { realOptions, replayNotes } from "./realNotes.ts"
import type { LifeContext } from "./steps.ts"

const child = fileURLToPath(new URL("realChild.ts", import.meta.url))

/** What a long run must have met. */
export const requiredReal: Cells = {
  kills: ["while opening", "while running", "after the last step"],
  outcomes: ["acknowledged, sync", "acknowledged, buffered", "unknown and there", "unknown and not there"],
  steps: ["write", "transaction", "flush", "compact", "hold", "checkpoint"],
  recoveries: ["opened", "replayed"]
}

/** When the process is killed: so long after it was started, or after its database was open. */
interface Kill {
  readonly after: "start" | "opened"
  readonly ms: number
}

/** Ends with the kill. */
const liveUntilKilled = (args: ReadonlyArray<string>, { after, ms }: Kill): Promise<{ readonly code: number | null; readonly complaints: string }> =>
  new Promise((resolve, reject) => {
    const life = spawn(process.execPath, [child, ...args], { stdio: ["ignore", "pipe", "pipe"] })
    let complaints = ""
    life.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text))
    let timer: NodeJS.Timeout | undefined
    const begin = () => {
      timer ??= setTimeout(() => life.kill("SIGKILL"), ms)
    }
    if (after === "start") begin()
    // The only thing it says is that it is open.
    life.stdout.once("data", begin)
    life.once("error", reject).once("close", (code) => {
      clearTimeout(timer)
      resolve({ code, complaints })
    })
  })

export interface RealRun {
  readonly histories: number
  readonly seconds: number
  readonly ledger: Ledger
  readonly violations: ReadonlyArray<string>
}

const judgeLife = (directory: string, history: History, name: string): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const life: LifeContext = {
      db: yield* Database,
      history,
      isAlive: () => true,
      note: () => undefined,
      judgeError: (tag, during, cause) => history.violate(`${during} was answered with ${tag}, although nothing failed: ${Cause.pretty(cause)}`),
      checkpointPath: (id) => `${directory}-copy-${id}`,
      onCheckpoint: () => undefined,
      keepsByCursor: false
    }
    yield* reconcile(life, true)
    yield* probe(life, name)
    history.judge()
  }).pipe(
    Effect.provide(Layer.fresh(LightningDb.layer({ ...realOptions, path: directory }))),
    Effect.provideService(References.MinimumLogLevel, "None")
  )

/** One script: each of its lives is killed, and judged. */
const runHistory = async (
  seed: number,
  nth: number,
  drawKill: () => Kill
): Promise<{ readonly ledger: Ledger; readonly violations: ReadonlyArray<string> }> => {
  const root = mkdtempSync(join(tmpdir(), "lightning-real-"))
  const directory = join(root, "db")
  const ledger = new Ledger()
  const history = new History(ledger)
  try {
    for (const [index, life] of scriptOf(seed, nth).lives.entries()) {
      const name = String(index)
      const notes = join(root, `notes-${index}`)
      const { code, complaints } = await liveUntilKilled([directory, notes, String(seed), String(nth), name], drawKill())
      const text = existsSync(notes) ? readFileSync(notes, "utf8") : ""
      if (code !== null) history.violate(`life ${index} ended by itself (${code}): ${complaints.slice(0, 2000)}`)
      ledger.count("kills", text.includes("\ndone\n") ? "after the last step" : text.startsWith("opened\n") ? "while running" : "while opening")
      replayNotes(history, name, life, text)
      const exit = await Effect.runPromiseExit(judgeLife(directory, history, name))
      if (Exit.isFailure(exit)) history.violate(`life ${index} does not open after it was killed: ${Cause.pretty(exit.cause)}`)
      if (history.violations.length > 0) break
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
  return { ledger, violations: history.violations.map((violation) => `seed ${seed}, script ${nth}: ${violation}`) }
}

export const runRealWorkers = async (options: {
  readonly seed: number
  readonly deadlineMs?: number
  readonly historiesMax?: number
  readonly onHistory?: (done: number, ledger: Ledger) => void
}): Promise<RealRun> => {
  const { deadlineMs = Infinity, historiesMax = Infinity, onHistory, seed } = options
  const startedMs = performance.now()
  const ledger = new Ledger()
  const violations: Array<string> = []
  const prng = seededPrng(seed)
  let histories = 0
  while (histories < historiesMax && performance.now() - startedMs < deadlineMs && violations.length === 0) {
    const found = await runHistory(seed, histories++, () =>
      prng() < 0.15 ? { after: "start", ms: 100 + drawInt(prng, 600) } : { after: "opened", ms: prng() < 0.3 ? 1500 : drawInt(prng, 400) }
    )
    ledger.add(found.ledger)
    violations.push(...found.violations)
    onHistory?.(histories, ledger)
  }
  return { histories, seconds: (performance.now() - startedMs) / 1000, ledger, violations }
}
