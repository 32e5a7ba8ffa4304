import { describe, expect, it } from "vitest"
import * as fs from "node:fs"
import { ExitCode } from "../../../src/runtime/cli/exitCodes.ts"
import { lightning } from "./inProcess.ts"

const verbs = ["import", "get", "put", "delete", "scan", "count", "stats", "verify", "compact"]
const marker = "<!-- What follows is generated from the command definitions: vitest run test/runtime/cli -u -->\n"

describe("help", () => {
  it("is the reference in docs/cli.md, word for word", async () => {
    const written = fs.readFileSync("docs/cli.md", "utf8")
    let text = written.slice(0, written.indexOf(marker)) + marker
    for (const args of [[], ...verbs.map((verb) => [verb])]) {
      const { code, err, out } = await lightning([...args, "--help"])
      expect({ code, err }).toEqual({ code: 0, err: "" })
      text += `\n## ${["lightning", ...args].join(" ")}\n\n\`\`\`text\n${out}\`\`\`\n`
    }
    await expect(text).toMatchFileSnapshot("../../../docs/cli.md")
  })

  it.each(verbs)("of %s has examples that parse", async (verb) => {
    const { out } = await lightning([verb, "--help"])
    const commands = [...out.matchAll(/^ {2}(?:\S+ \| )?(lightning .*)$/gm)].map((match) => match[1]!).filter((line) => !line.includes("[flags]"))
    expect(commands.length).toBeGreaterThanOrEqual(2)
    for (const command of commands) {
      // As a shell would cut them: quotes group, a pipe or redirection ends the command.
      const [, ...args] = [...command.replace(/ [|>] .*/, "").matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!)
      const run = await lightning(
        args.filter((arg) => arg !== "-"),
        { absent: true }
      )
      expect(run.err, command).not.toMatch(/Unrecognized|Unknown|Invalid value/)
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
