/** Starts a process with a database in it (`remote-child.ts`), and talks to it. */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { afterAll } from "vitest"
import type { DatabaseStats, Health } from "../../../src/services/Database.ts"
import type { Answer, Checked, Command, Filled, JsonOptions, Numbers, ProcessFigures, Told } from "./remote.ts"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Loading the engine from its sources is most of a start: what was compiled is kept for the next, until the tests of the file are done. */
export const compiled = mkdtempSync(join(tmpdir(), "lightning-compiled-"))
chmodSync(compiled, 0o777)
afterAll(() => rmSync(compiled, { recursive: true, force: true }))

const child = fileURLToPath(new URL("./remote-child.ts", import.meta.url))

export interface RemoteSettings {
  /** What stands before `node`: a shell that limits files, or another root of mounts. Arguments follow as they are. */
  readonly before?: ReadonlyArray<string>
  readonly nodeArguments?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
}

export class Remote {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  complaints = ""
  readonly #answers: AsyncIterator<string>

  constructor(process: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.process = process
    this.ended = new Promise((resolve) => process.once("close", (code, signal) => resolve({ code, signal })))
    process.stderr.setEncoding("utf8").on("data", (text: string) => (this.complaints += text))
    process.stdin.on("error", () => undefined)
    this.#answers = createInterface({ input: process.stdout })[Symbol.asyncIterator]()
  }

  async answer(): Promise<Answer> {
    const { done, value } = await this.#answers.next()
    if (done === true) throw new Error(`the process ended: ${this.complaints}`)
    return JSON.parse(value) as Answer
  }

  ask(command: Command): Promise<Answer> {
    this.process.stdin.write(`${JSON.stringify(command)}\n`)
    return this.answer()
  }

  /** The answer, which must be no error. */
  async demand(command: Command): Promise<unknown> {
    const answer = await this.ask(command)
    if ("error" in answer) throw new Error(`${command.op}: ${answer.error.tag}: ${answer.error.message}`)
    return answer.ok
  }

  /** The error, which there must be. */
  async refused(command: Command): Promise<Told> {
    const answer = await this.ask(command)
    if ("ok" in answer) throw new Error(`${command.op} was not refused: ${JSON.stringify(answer.ok)}`)
    return answer.error
  }

  readonly open = (options: JsonOptions) => this.demand({ op: "open", options })
  readonly close = () => this.demand({ op: "close" })
  readonly fill = (of: Numbers & Omit<Extract<Command, { op: "fill" }>, "op">) => this.demand({ op: "fill", ...of }) as Promise<Filled>
  readonly check = (of: Numbers & { readonly step?: number }) => this.demand({ op: "check", ...of }) as Promise<Checked>
  readonly health = () => this.demand({ op: "health" }) as Promise<Health>
  readonly stats = () => this.demand({ op: "stats" }) as Promise<DatabaseStats>
  readonly figures = () => this.demand({ op: "process" }) as Promise<ProcessFigures>
  readonly run = (...argv: ReadonlyArray<string>) => this.demand({ op: "run", argv }) as Promise<string>

  /** Ends it without asking, and waits. */
  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill("SIGKILL")
    await this.ended
  }

  /** Lets it end by itself, database and all. */
  async end(): Promise<number | null> {
    this.process.stdin.end()
    return (await this.ended).code
  }
}

export const startRemote = async ({ before = [], environment = {}, nodeArguments = [] }: RemoteSettings = {}): Promise<Remote> => {
  const [program, ...rest] = [...before, process.execPath, "--no-warnings", ...nodeArguments, child]
  const remote = new Remote(
    spawn(program!, rest, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, NODE_COMPILE_CACHE: compiled, ...environment }
    })
  )
  const loaded = await remote.answer()
  if (!("ok" in loaded)) throw new Error("the process did not start")
  return remote
}

/** Runs `use` with a process, and ends it whatever happens. */
export const withRemote = async <A>(settings: RemoteSettings, use: (remote: Remote) => Promise<A>): Promise<A> => {
  const remote = await startRemote(settings)
  try {
    return await use(remote)
  } finally {
    await remote.kill()
  }
}
