/**
 * Every example of the help, and every command that docs/cli.md names, is run as it stands, in a copy of a directory that has what they speak of. An example that needs more
 * than that directory fails here: give the directory what it needs, or say below how it is to be run.
 */
import type * as Command from "effect/cli/Command"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { lightning } from "../../../src/runtime/cli/commands.ts"
import { type CommandLine, makeCommandLine } from "./commandLine.ts"
import { headOf } from "./reference.ts"

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const root = fileURLToPath(new URL("../../../", import.meta.url))

const examplesOf = (command: Command.Command.Any): ReadonlyArray<string> => [
  ...command.examples.map((example) => example.command),
  ...command.subcommands.flatMap((group) => group.commands.flatMap(examplesOf))
]

/** Blocks of shell commands, and commands in the prose. */
const commandsOf = (markdown: string): ReadonlyArray<string> => {
  const blocks = [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => match[1]!.trimEnd())
  const prose = markdown.replaceAll(/^```[\s\S]*?^```$/gm, "")
  return [...blocks, ...[...prose.matchAll(/`((?:npx lightning-db|lightning|npm start --) [^`]+)`/g)].map((match) => match[1]!)]
}

const fromHelp = examplesOf(lightning)
const fromDocument = commandsOf(headOf(fs.readFileSync(path.join(root, "docs", "cli.md"), "utf8")))
const all = [...new Set([...fromHelp, ...fromDocument])]

/** What does not end by itself is interrupted, as a person would, and answers with 130. */
const endless = (command: string): boolean => command.includes("--watch") && !command.includes("--count")

/** What takes its time by default takes less here, and nobody is there to be asked. */
const shortened = (command: string): string => {
  if (/^lightning bench(?!.*--seconds)/.test(command)) return `${command} --seconds 1`
  return /^lightning rollback(?!.*--yes)/.test(command) ? `${command} --yes` : command
}

/** What must have happened before it makes sense. */
const beforehand = (command: string): string => {
  if (command.includes("restore ./backups/monday")) return "lightning checkpoint ./backups/monday >/dev/null; mv data lost; "
  // One version is enough for a name without one.
  return command === "lightning points remove before-import" || command === "lightning rollback before-import"
    ? ""
    : "lightning points create nightly >/dev/null; "
}

/** Only what speaks of restore points needs some. */
const needsPoints = (command: string): boolean => /^lightning (?:points|restore|rollback)/.test(command)

/** The programs of a pipeline that are not `lightning` itself. */
const programsOf = (command: string): ReadonlyArray<string> =>
  command
    .replaceAll(/'[^']*'|"[^"]*"/g, "x")
    .split(/\|\||&&|[|;\n]/)
    .map(
      (part) =>
        part
          .trim()
          .replace(/^(?:\w+=\S* )+/, "")
          .split(" ")[0]!
    )
    .filter((word) => /^[a-z][\w-]*$/.test(word) && !["lightning", "npx", "npm"].includes(word))

/** What the examples speak of. */
const furnish = `
mkdir -p docs/guide
echo '# Start' > docs/guide/start.md
echo '# Read me' > docs/README.md
echo 'no markdown' > docs/notes.txt
printf '%s\\n' '{"order":{"id":"o1"},"total":3}' '{"order":{"id":"o2"},"total":4}' > orders.jsonl
printf 'id,country,name\\n1,uk,Ada\\n2,us,Grace\\n' | gzip > people.csv.gz
printf '%s\\n' 'count' 'scan user/' > commands.txt
printf '\\211PNG' > logo.png
mkdir backups
lightning import docs --metadata meta
printf '%s\\n' '{"key":"user/1","value":"Ada"}' '{"key":"user/2","value":"Grace"}' '{"key":"log/2024/1","value":"x"}' | lightning import -
lightning put logo.png --file logo.png
lightning keyspaces create people --history unlimited
lightning put user/1 Ada --keyspace people
printf '%s\\n' '{"key":"order/1","value":{"total":3,"customer":{"name":"Ada"}}}' | lightning import -
lightning put o1 '{"total":3}' --path orders
lightning compact
lightning put user/1 '{"name":"Ada"}'
lightning points create before-import
lightning points create nightly
cp -r data backup
cp -r data elsewhere
`

let commandLine: CommandLine
beforeAll(async () => {
  commandLine = await makeCommandLine()
  fs.mkdirSync(path.join(commandLine.work, "furnished"))
  // In the repository, \`npm start -- …\` is the command line from the sources.
  fs.writeFileSync(path.join(path.dirname(commandLine.launcher), "bin", "npm"), `#!/bin/sh\nshift 2\nexec node ${root}scripts/start.ts "$@"\n`, {
    mode: 0o755
  })
  expect(await inBash(furnish, "furnished")).toMatchObject({ code: 0, err: "" })
})
afterAll(() => commandLine.remove())

const inBash = async (command: string, folder: string) => {
  const child = spawn("bash", ["--norc", "--noprofile", "-eo", "pipefail", "-c", command], {
    cwd: path.join(commandLine.work, folder),
    env: commandLine.env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (err += chunk))
  const [code] = await once(child, "close")
  return { code, out, err }
}

const isInstalled = (program: string): boolean => spawnSync("bash", ["-c", 'type -- "$0"', program]).status === 0

describe("an example", () => {
  it("is there to be run", () => {
    expect(fromHelp.length).toBeGreaterThan(20)
    expect(fromDocument.length).toBeGreaterThan(0)
  })

  it.concurrent.for(all)("%s", async (command, { expect: expectHere, skip }) => {
    const missing = programsOf(command).filter((program) => !isInstalled(program))
    if (missing.length > 0) {
      process.stderr.write(`NOT RUN, because ${missing.join(" and ")} is not installed: ${command}\n`)
      return skip(`needs ${missing.join(", ")}`)
    }
    const folder = `example-${all.indexOf(command)}`
    fs.cpSync(path.join(commandLine.work, "furnished"), path.join(commandLine.work, folder), { recursive: true })
    const before = needsPoints(command) ? beforehand(command) : ""
    const run = await inBash(endless(command) ? `timeout --preserve-status --signal INT 4 ${command}` : `${before}${shortened(command)}`, folder)
    expectHere({ code: run.code, err: run.code === 0 ? "" : run.err }).toEqual({
      code: endless(command) ? 130 : 0,
      err: endless(command) ? run.err : ""
    })
    // A result is an object on a line of its own.
    if (/--json\b/.test(command) && !/[|>]/.test(command)) for (const line of run.out.trimEnd().split("\n")) JSON.parse(line)
  })
})
