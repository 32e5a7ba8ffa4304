/** A command on a pseudo-terminal, through `script`: what a person sees and types. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"

/** Of util-linux; BSD's takes other flags. */
const program = "script"

/** Whether this machine has a `script` that takes a command and answers with its exit code. */
export const hasTerminal = spawnSync(program, ["-qec", "true", "/dev/null"], { stdio: "ignore" }).status === 0

export interface Terminal {
  readonly out: () => string
  readonly type: (text: string) => void
  /** Waits until what is shown from now on, or was shown already, holds the text. */
  readonly shows: (text: string) => Promise<void>
  readonly ended: Promise<number | null>
  readonly kill: () => void
}

export const onTerminal = (
  command: string,
  options: { readonly env: Readonly<Record<string, string>>; readonly cwd: string; readonly columns?: number; readonly rows?: number }
): Terminal => {
  const { columns = 80, cwd, env, rows = 24 } = options
  const child = spawn(program, ["-qec", `stty cols ${columns} rows ${rows}; ${command}`, "/dev/null"], {
    cwd,
    env: { TERM: "xterm-256color", SHELL: "/bin/sh", ...env },
    stdio: ["pipe", "pipe", "ignore"]
  })
  let out = ""
  child.stdout.on("data", (chunk) => {
    out += chunk
  })
  child.stdin.on("error", () => {})
  return {
    out: () => out,
    type: (text) => void child.stdin.write(text),
    shows: async (text) => {
      while (!out.includes(text)) {
        if (child.exitCode !== null) throw new Error(`it ended without ${JSON.stringify(text)}: ${JSON.stringify(out)}`)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },
    ended: once(child, "close").then(([code]) => code),
    kill: () => void child.kill("SIGKILL")
  }
}
