/**
 * The command line as users have it, bundled from the sources, for tests that start many processes: a bundle starts in a fifth of the time of the sources. `bin` goes to
 * the front of PATH: it holds `lightning`, `lightning-db`, this `node`, and an `npx` that starts what it is given.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../../", import.meta.url))

/** Of a file of the bundle: what went into it, and which others it loads at once. */
export interface Chunk {
  readonly fileName: string
  readonly imports: ReadonlyArray<string>
  readonly moduleIds: ReadonlyArray<string>
  readonly code: string
}

const { bundleCommandLine } = (await import(new URL("../../../scripts/bundle.mjs", import.meta.url).href)) as {
  readonly bundleCommandLine: (entry: string, root: string, folder: string) => Promise<ReadonlyArray<Chunk>>
}

export interface CommandLine {
  /** The bin file: `node <launcher> …` is `lightning …`. */
  readonly launcher: string
  /** An empty directory for the test's files. */
  readonly work: string
  /** What a process sees: nothing of this machine's settings but the PATH. */
  readonly env: Readonly<Record<string, string>>
  readonly chunks: ReadonlyArray<Chunk>
  readonly remove: () => void
}

export const makeCommandLine = async (): Promise<CommandLine> => {
  // Within the repository, so that the bundle finds the codec by its name.
  fs.mkdirSync(path.join(root, ".lightning"), { recursive: true })
  const folder = fs.mkdtempSync(path.join(root, ".lightning", "cli-"))
  let chunks: ReadonlyArray<Chunk>
  try {
    chunks = await bundleCommandLine(path.join(root, "src", "runtime", "cli", "main.ts"), path.join(root, "src"), folder)
  } catch (error) {
    fs.rmSync(folder, { recursive: true, force: true })
    throw error
  }
  const launcher = path.join(folder, "launcher.js")
  const bin = path.join(folder, "bin")
  fs.mkdirSync(bin)
  for (const name of ["lightning", "lightning-db"]) fs.symlinkSync(launcher, path.join(bin, name))
  fs.symlinkSync(process.execPath, path.join(bin, "node"))
  fs.writeFileSync(path.join(bin, "npx"), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 })
  const work = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-cli-")))
  const home = path.join(folder, "home")
  fs.mkdirSync(home)
  return {
    launcher,
    chunks,
    work,
    env: {
      PATH: `${bin}${path.delimiter}${process.env["PATH"] ?? ""}`,
      HOME: home,
      LC_ALL: "C.UTF-8",
      TZ: "UTC",
      NODE_COMPILE_CACHE: path.join(folder, "compiled")
    },
    remove: () => {
      fs.rmSync(folder, { recursive: true, force: true })
      fs.rmSync(work, { recursive: true, force: true })
    }
  }
}
