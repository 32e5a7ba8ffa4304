import type * as Command from "effect/cli/Command"
import { describe, expect, it } from "vitest"
import * as fs from "node:fs"
import { lightning as definitions } from "../../../src/runtime/cli/commands.ts"
import { ExitCode } from "../../../src/runtime/cli/exitCodes.ts"
import { lightning } from "./inProcess.ts"
import { headOf } from "./reference.ts"

const childrenOf = (command: Command.Command.Any): ReadonlyArray<Command.Command.Any> => command.subcommands.flatMap((group) => group.commands)
const verbs = childrenOf(definitions).map(({ name }) => name)

/** Every command by its words after `lightning`, in the order of the help: the root, the verbs, each followed by its own. */
const commands = new Map<string, Command.Command.Any>()
const collect = (words: ReadonlyArray<string>, command: Command.Command.Any): void => {
  commands.set(words.join(" "), command)
  for (const child of childrenOf(command)) collect([...words, child.name], child)
}
collect([], definitions)
const wordsOf = (name: string): ReadonlyArray<string> => (name === "" ? [] : name.split(" "))

describe("help", () => {
  it("is the reference in docs/cli.md, word for word", async () => {
    const written = fs.readFileSync("docs/cli.md", "utf8")
    let text = headOf(written)
    for (const args of [...commands.keys()].map(wordsOf)) {
      const { code, err, out } = await lightning([...args, "--help"])
      expect({ code, err }).toEqual({ code: 0, err: "" })
      text += `\n## ${["lightning", ...args].join(" ")}\n\n\`\`\`text\n${out}\`\`\`\n`
    }
    await expect(text).toMatchFileSnapshot("../../../docs/cli.md")
  })

  it.each([...commands.keys()])("of `lightning %s` has examples, and every flag and argument says what it is", async (name) => {
    const examples = commands.get(name)?.examples ?? []
    // A command that only has commands of its own is shown by theirs.
    if (childrenOf(commands.get(name)!).length === 0 || name === "") expect(examples.length).toBeGreaterThanOrEqual(2)
    for (const { command, description } of examples) {
      expect(command).toContain("lightning")
      expect(description).toMatch(/^[A-Z].*[^.]$/)
    }
    const { out } = await lightning([...wordsOf(name), "--help"])
    const rows = /^(?:ARGUMENTS|FLAGS)\n((?: .*\n)+)/gm
    for (const [, section] of out.matchAll(rows)) for (const row of section!.trimEnd().split("\n")) expect(row).toMatch(/^ {2}\S.* {2,}\S/)
  })

  it.each([60, 100])("fits a terminal of %i columns, with the same words", async (columns) => {
    for (const words of [...commands.keys()].map(wordsOf)) {
      const plain = (await lightning([...words, "--help"])).out
      const { out } = await lightning([...words, "--help"], { terminalColumns: columns })
      expect(out.split(/\s+/)).toEqual(plain.split(/\s+/))
      const beforeExamples = out.split("\nEXAMPLES\n")[0]!.split("\n")
      // One word may be longer than the line has room for.
      for (const line of beforeExamples) if (line.trim().includes(" ")) expect(line.length).toBeLessThanOrEqual(columns)
      // What continues a description stands below it, not below the name.
      for (const line of beforeExamples) expect(line).toMatch(/^(?:\S|$| {2}\S| {6,})/)
    }
  })

  it("documents every exit code", () => {
    const table = [...fs.readFileSync("docs/cli.md", "utf8").matchAll(/^\| (\d+) \|/gm)].map((match) => Number(match[1]))
    expect(table).toEqual(Object.values(ExitCode))
  })

  it("is shown without a verb, and is a success", async () => {
    const { code, out } = await lightning([])
    expect(code).toBe(0)
    for (const verb of verbs) expect(out).toMatch(new RegExp(`^ {2}${verb} `, "m"))
  })

  it("has a version, in words and in JSON", async () => {
    expect((await lightning(["--version"])).out).toMatch(/^lightning \d+\.\d+\.\d+\n$/)
    expect(JSON.parse((await lightning(["--version", "--json"])).out)).toMatchObject({ name: "lightning" })
  })
})

describe("a wrong command line", () => {
  it("is answered with the mistake and where to find help, on standard error", async () => {
    const cases = [
      [["gte", "k"], 'error: Unknown subcommand "gte" for "lightning"; did you mean get\n  Try: lightning --help\n'],
      [["get"], "error: Missing required argument: key\n  Try: lightning get --help\n"],
      [["get", "a", "b"], 'error: Unexpected positional argument: "b"\n  Try: lightning get --help\n'],
      [
        ["scan", "--prefx", "a"],
        "error: Unrecognized flag: --prefx in command lightning scan; did you mean --prefix\n  Try: lightning scan --help\n"
      ],
      [
        ["put", "k", "v", "--durability", "maybe"],
        'error: Invalid value for flag --durability: "maybe". Expected: "sync" | "buffered"\n  Try: lightning put --help\n'
      ]
    ] as const
    for (const [args, err] of cases) expect(await lightning(args)).toMatchObject({ code: 2, out: "", err, opens: [] })
  })

  it("is an object with --json", async () => {
    const { code, err, out } = await lightning(["get", "--json"])
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(JSON.parse(err)).toEqual({
      error: { tag: "Usage", message: "Missing required argument: key", hint: "Try: lightning get --help", exitCode: 2 }
    })
  })

  it("takes what follows -- as it is", async () => {
    const { out, store } = await lightning(["put", "balance", "--", "--json"])
    expect(out).toContain("stored")
    expect(store.entries()).toEqual([["balance", "--json"]])
  })
})
