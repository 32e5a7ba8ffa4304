/** The sessions in test/scripts, each run in an empty directory with real processes. `-u` writes their answers anew. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { lightning } from "../../../src/runtime/cli/commands.ts"
import { type CommandLine, makeCommandLine } from "./commandLine.ts"
import { parseTranscript, runTranscript } from "./transcript.ts"

vi.setConfig({ testTimeout: 120_000 })

const scripts = fileURLToPath(new URL("../../scripts/", import.meta.url))
const names = fs.readdirSync(scripts).filter((name) => name.endsWith(".transcript"))

let commandLine: CommandLine
beforeAll(async () => {
  commandLine = await makeCommandLine()
})
afterAll(() => commandLine.remove())

describe("a session", () => {
  it.concurrent.for(names)("%s", async (name, { expect: expectHere }) => {
    const file = path.join(scripts, name)
    const transcript = parseTranscript(fs.readFileSync(file, "utf8"))
    const text = await runTranscript(transcript, commandLine, path.join(commandLine.work, name))
    await expectHere(text).toMatchFileSnapshot(file)
  })

  it("exists for every verb", () => {
    const shown = new Set(
      names.flatMap((name) =>
        parseTranscript(fs.readFileSync(path.join(scripts, name), "utf8")).steps.flatMap(({ command }) =>
          [...command.join("\n").matchAll(/\blightning ([a-z]+)/g)].map((match) => match[1]!)
        )
      )
    )
    for (const verb of lightning.subcommands.flatMap((group) => group.commands)) expect(shown).toContain(verb.name)
  })
})

describe("the format", () => {
  const text = `# What this is\n~ \\d+ B => <size>\n\n$ one\na\n\nb\n! c\n[exit 3]\n\n# and\n$ two \\\n> three\n$ four\n`
  it("tells answers from comments", () => {
    expect(parseTranscript(text)).toEqual({
      steps: [
        { before: ["# What this is", "~ \\d+ B => <size>", ""], command: ["one"] },
        { before: ["", "# and"], command: ["two \\", "three"] },
        { before: [], command: ["four"] }
      ],
      replacements: [[/\d+ B/gm, "<size>"]]
    })
  })

  it("shows what a command answers, and replaces what varies", async () => {
    const steps = [
      `$ echo took 12.3 ms, 1,234/s, 5 MB/s, in $PWD, 17 B`,
      `$ echo bad >&2; echo; (exit 7)`,
      `$ printf 'no end'`,
      `$ x=1; echo '{"milliseconds":12}'`,
      `$ echo $x`
    ]
    const found = await runTranscript(
      parseTranscript(`~ \\d+ B => <size>\n\n${steps.join("\n\n")}\n`),
      commandLine,
      path.join(commandLine.work, "format")
    )
    expect(found).toBe(
      `~ \\d+ B => <size>\n\n${steps[0]}\ntook <time>, <rate>, <rate>, in <here>, <size>\n\n${steps[1]}\n\n! bad\n[exit 7]\n\n` +
        `${steps[2]}\nno end[no newline]\n\n${steps[3]}\n{"milliseconds":<n>}\n\n${steps[4]}\n1\n`
    )
  })
})
