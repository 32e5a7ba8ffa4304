/**
 * Runs a command on a pseudo-terminal, through tmux: what it shows is the screen a person would see (after cursor movements and erasures), and keys arrive as from a keyboard.
 * Nothing here depends on speed: tests wait for a text, with a generous limit.
 */
import { execFile, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** Whether there is a pseudo-terminal here. `describe.skipIf(!hasTerminal)(…)` leaves its tests out; that is said aloud below. */
export const hasTerminal = spawnSync("tmux", ["-V"]).status === 0
if (!hasTerminal) process.stderr.write("\n*** tmux is not installed: the tests on a pseudo-terminal are SKIPPED ***\n\n")

export interface TerminalOptions {
  readonly columns?: number
  readonly rows?: number
  /** All there is of an environment, besides PATH, LANG and TERM (xterm-256color). */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export interface PseudoTerminal {
  /** Types the text as it is. */
  readonly type: (text: string) => Promise<void>
  /** Presses keys by the names of tmux: "Enter", "Tab", "Up", "C-c", "C-d", "Space", "Escape". */
  readonly press: (...keys: ReadonlyArray<string>) => Promise<void>
  /** What the screen shows now: its lines without the space at their ends. */
  readonly screen: () => Promise<string>
  /** The screen and all that has scrolled off it. */
  readonly everything: () => Promise<string>
  /** Waits until the screen, without empty lines at its end, has this text or matches this; answers with it. Fails with what it shows instead. */
  readonly waitFor: (wanted: string | RegExp | ((screen: string) => boolean), timeoutMs?: number) => Promise<string>
  /** Waits until the command has ended; answers with its exit code (128 and the number of the signal where one ended it). */
  readonly exited: (timeoutMs?: number) => Promise<number>
  /** Process id of the command. */
  readonly pid: () => Promise<number>
  readonly resize: (columns: number, rows: number) => Promise<void>
  /** Every byte the command sent to the terminal. */
  readonly bytes: () => string
  /** Takes the terminal away, as closing its window does. Answers whether the command ended by itself; one that does not is killed. */
  readonly close: () => Promise<boolean>
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Of 20 ms. */
const triesMax = 1_500

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Starts `command` (a program and its arguments) on a terminal of its own. Close it. */
export const openTerminal = async (command: ReadonlyArray<string>, options: TerminalOptions = {}): Promise<PseudoTerminal> => {
  const { columns = 80, cwd = process.cwd(), env = {}, rows = 24 } = options
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "terminal-"))
  const socket = path.join(directory, "socket")
  const log = path.join(directory, "bytes")
  fs.writeFileSync(log, "")
  const tmux = (...args: ReadonlyArray<string>): Promise<string> =>
    new Promise((resolve, reject) => {
      execFile("tmux", ["-S", socket, "-f", "/dev/null", ...args], { encoding: "utf8", maxBuffer: 1 << 26 }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(error)
      )
    })
  const variables = { PATH: process.env["PATH"] ?? "", LANG: "C.UTF-8", TERM: "xterm-256color", ...env }
  const assignments = Object.entries(variables).map(([name, value]) => quoted(`${name}=${value}`))
  const started = path.join(directory, "started")
  const pidFile = path.join(directory, "pid")
  const statusFile = path.join(directory, "status")
  // The bytes are recorded from the beginning: the command waits for it. Its end is written to a file, as tmux at times misses it.
  const inner = `echo $$ > ${quoted(pidFile)}; ${["exec env -i", ...assignments, ...command.map(quoted)].join(" ")}`
  const line = [
    `while [ ! -e ${quoted(started)} ]; do sleep 0.02; done`,
    "trap : INT QUIT HUP TERM",
    `sh -c ${quoted(inner)}`,
    `echo $? > ${quoted(`${statusFile}.new`)}`,
    `mv ${quoted(`${statusFile}.new`)} ${quoted(statusFile)}`
  ].join("; ")
  await tmux(
    ...[
      "set-option",
      "-g",
      "remain-on-exit",
      "on",
      ";",
      "set-option",
      "-g",
      "history-limit",
      "50000",
      ";",
      "set-option",
      "-s",
      "escape-time",
      "0",
      ";"
    ],
    ...["new-session", "-d", "-x", String(columns), "-y", String(rows), "-c", cwd, line, ";", "pipe-pane", "-O", `cat >> ${quoted(log)}`]
  )
  fs.writeFileSync(started, "")

  const read = (file: string): number | undefined => {
    const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim() : ""
    return text === "" ? undefined : Number(text)
  }

  const capture = async (...more: ReadonlyArray<string>): Promise<string> =>
    (await tmux("capture-pane", "-p", ...more))
      .split("\n")
      .map((text) => text.trimEnd())
      .join("\n")
      .trimEnd()
  const screen = (): Promise<string> => capture()

  const until = async <A>(look: () => Promise<A | undefined>, timeoutMs: number, complaint: () => Promise<string>): Promise<A> => {
    const endMs = performance.now() + timeoutMs
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      if (performance.now() > endMs) throw new Error(await complaint())
      await pause(30)
    }
  }

  return {
    screen,
    type: async (text) => void (await tmux("send-keys", "-l", "--", text)),
    press: async (...keys) => void (await tmux("send-keys", "--", ...keys)),
    everything: () => capture("-S", "-"),
    waitFor: (wanted, timeoutMs = 60_000) => {
      const holds = (text: string): boolean =>
        typeof wanted === "string" ? text.includes(wanted) : wanted instanceof RegExp ? wanted.test(text) : wanted(text)
      return until(
        async () => {
          const text = await screen()
          return holds(text) ? text : undefined
        },
        timeoutMs,
        async () => `The terminal never showed ${String(wanted)}. It shows:\n${await capture("-S", "-200")}`
      )
    },
    exited: (timeoutMs = 60_000) =>
      until(
        async () => read(statusFile),
        timeoutMs,
        async () => `The command has not ended. The terminal shows:\n${await screen()}`
      ),
    pid: () =>
      until(
        async () => read(pidFile),
        60_000,
        async () => "The command has not begun."
      ),
    resize: async (width, height) => void (await tmux("resize-window", "-x", String(width), "-y", String(height))),
    bytes: () => fs.readFileSync(log, "latin1"),
    close: async () => {
      const pid = read(pidFile) ?? 0
      await tmux("kill-server").catch(() => undefined)
      // The command is told by a hang-up. What it held is free once it has ended.
      let tries = 0
      for (; pid > 0 && isAlive(pid); tries++) {
        if (tries === triesMax) process.kill(pid, "SIGKILL")
        await pause(20)
      }
      fs.rmSync(directory, { recursive: true, force: true })
      return tries <= triesMax
    }
  }
}
