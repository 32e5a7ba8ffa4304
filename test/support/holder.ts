import { spawn } from "node:child_process"
import { once } from "node:events"
import { dirname, join } from "node:path"
import { createInterface, type Interface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import { fileURLToPath } from "node:url"
import { Worker } from "node:worker_threads"

const script = new URL("./holding-child.ts", import.meta.url)

/** Somebody else who holds a database, or tries to: see `holding-child.ts`. */
export interface Holder {
  /** What it said when it tried to open. */
  readonly opened: string
  readonly pid: number | undefined
  /** Tells it a line, and waits for the answer. */
  readonly tell: (line: string) => Promise<string>
  readonly signal: (signal: NodeJS.Signals) => void
  /** Closes the database and waits for its end. */
  readonly close: () => Promise<void>
  readonly kill: () => Promise<void>
}

/** No answer takes as long. */
const answerMsMax = 20_000

const lines = (input: Readable) => {
  const read: Interface = createInterface({ input })
  const came: Array<string> = []
  const waiting: Array<(line: string) => void> = []
  read.on("line", (line) => {
    const next = waiting.shift()
    if (next === undefined) came.push(line)
    else next(line)
  })
  const ended = once(read, "close").then(() => "ended")
  return (): Promise<string> => {
    const first = came.shift()
    if (first !== undefined) return Promise.resolve(first)
    const line = new Promise<string>((resolve) => waiting.push(resolve))
    const timeout = new Promise<string>((resolve) => setTimeout(() => resolve("no answer"), answerMsMax).unref())
    return Promise.race([line, ended, timeout])
  }
}

const talk = async (
  output: Readable,
  input: Writable,
  over: { readonly pid: number | undefined; readonly kill: Holder["kill"]; readonly signal: Holder["signal"]; readonly end: Promise<unknown> }
): Promise<Holder> => {
  const next = lines(output)
  const opened = await next()
  return {
    ...over,
    opened,
    tell: (line) => {
      input.write(`${line}\n`)
      return next()
    },
    close: async () => {
      if (opened.startsWith("open")) {
        input.write("close\n")
        const said = await next()
        if (said !== "closed") throw new Error(`closing was answered with ${said}`)
      }
      input.end()
      await over.end
    }
  }
}

/** Another process. Loading the engine from its sources is most of what it does: what is compiled is kept beside the database, for the next one. */
export const inProcess = async (path: string, access = "write"): Promise<Holder> => {
  const child = spawn(process.execPath, ["--no-warnings", fileURLToPath(script), path, access], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, NODE_COMPILE_CACHE: join(dirname(path), "compiled") }
  })
  child.stdin.on("error", () => undefined)
  const end = once(child, "close")
  return talk(child.stdout, child.stdin, {
    pid: child.pid,
    signal: (signal) => void child.kill(signal),
    kill: async () => {
      child.kill("SIGKILL")
      await end
    },
    end
  })
}

/** A thread of this process. */
export const inThread = async (path: string): Promise<Holder> => {
  const worker = new Worker(script, { argv: [path], stdin: true, stdout: true })
  const end = once(worker, "exit")
  return talk(worker.stdout, worker.stdin!, {
    pid: process.pid,
    signal: () => undefined,
    kill: async () => {
      await worker.terminate()
    },
    end
  })
}
