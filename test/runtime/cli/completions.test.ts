/** The completion scripts, asked in the shells they are for: what would be offered at the end of a line. A shell that is not installed is left out, and says so. */
import type * as Command from "effect/cli/Command"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { lightning as definitions } from "../../../src/runtime/cli/commands.ts"
import { lightning } from "./inProcess.ts"

const shells = ["bash", "zsh", "fish"] as const
type Shell = (typeof shells)[number]

let directory: string
beforeAll(async () => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-completions-")))
  fs.mkdirSync(path.join(directory, "data-of-mine"))
  fs.writeFileSync(path.join(directory, "data-file"), "")
  for (const shell of shells) fs.writeFileSync(path.join(directory, `script.${shell}`), (await lightning(["--completions", shell])).out)
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

/** Does for one line what the shell does at the tab key, and prints what it is offered. */
const askers: { readonly [S in Shell]: string } = {
  // As readline cuts it, but for the breaks within words.
  bash: `
. ./script.bash
COMP_LINE="$1"; COMP_POINT=\${#COMP_LINE}
read -ra COMP_WORDS <<<"$COMP_LINE"
[[ "$COMP_LINE" == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
read -ra how <<<"$(complete -p "\${COMP_WORDS[0]}")"
"\${how[2]}" "\${COMP_WORDS[0]}" "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
printf 'OFFER:%s\\n' "\${COMPREPLY[@]}"`,
  // Completion of zsh only runs inside its line editor: a second zsh on a pseudo-terminal gets the line and a tab.
  zsh: `
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'PROMPT=; autoload -Uz compinit; compinit -D -u; . ./script.zsh'
zpty -w inner 'compadd() { if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi; typeset -a hits; builtin compadd -A hits "$@"; for hit in $hits; do print -r -- "OFFER:$hit"; done; builtin compadd "$@" }'
zpty -w inner 'ask() { zle complete-word; print; print "ASK""ED" }; zle -N ask; bindkey "^I" ask; print "READ""Y"'
while zpty -r inner line; do [[ $line == *READY* ]] && break; done
zpty -w -n inner "$1"$'\\t'
while zpty -r inner line; do print -r -- "$line"; [[ $line == *ASKED* ]] && break; done
zpty -d inner`,
  fish: `
source ./script.fish
for offer in (complete -C $argv[1]); echo OFFER:$offer; end`
}

const argsOf: { readonly [S in Shell]: (asker: string, line: string) => ReadonlyArray<string> } = {
  bash: (asker, line) => ["--norc", "--noprofile", "-c", asker, "bash", line],
  zsh: (asker, line) => ["-f", "-c", asker, "zsh", line],
  fish: (asker, line) => ["--no-config", "-c", asker, line]
}

const installed = (shell: Shell): boolean => spawnSync(shell, ["-c", "true"]).status === 0

/** What the shell offers at the end of `line`, without what it says about it. */
const offers = (shell: Shell, line: string): ReadonlyArray<string> => {
  const { stderr, stdout } = spawnSync(shell, argsOf[shell](askers[shell], line), {
    cwd: directory,
    env: { PATH: process.env["PATH"], HOME: directory, TERM: "dumb", LC_ALL: "C.UTF-8" },
    encoding: "utf8",
    timeout: 20_000
  })
  expect(shell === "zsh" ? "" : stderr).toBe("")
  // A shell may think of a path by two ways.
  return [...new Set([...stdout.matchAll(/OFFER:([^\s]+)/g)].map((match) => match[1]!.replace(/\/$/, "")))]
}

describe.each(shells)("in %s", (shell) => {
  const there = installed(shell)
  if (!there) process.stderr.write(`NOT RUN, because ${shell} is not installed: what its completion script offers\n`)

  it.skipIf(!there)("verbs, flags, choices and paths are offered", () => {
    expect(offers(shell, "lightning st")).toEqual(["stats"])
    expect(offers(shell, "lightning --path x ver")).toEqual(["verify"])
    expect(offers(shell, "lightning keyspaces dr")).toEqual(["drop"])
    expect(offers(shell, "lightning scan --pref")).toEqual(["--prefix"])
    expect(offers(shell, "lightning import --on-error s")).toEqual(expect.arrayContaining(["stop", "skip"]))
    expect(offers(shell, "lightning get --pat")).toEqual(["--path"])
    expect(offers(shell, "lightning get --path data")).toEqual(["data-of-mine"])
    expect(offers(shell, "lightning import data")).toEqual(expect.arrayContaining(["data-of-mine", "data-file"]))
  })

  it.skipIf(!there)("both names of the command complete alike", () => {
    expect(offers(shell, "lightning-db com")).toEqual(["compact"])
  })
})

/** Flags whose help says that their value is a path, by command. */
const pathFlagsOf = async (words: ReadonlyArray<string>, command: Command.Command.Any): Promise<ReadonlyArray<string>> => {
  const { out } = await lightning([...words, "--help"])
  const own = [...out.matchAll(/^ {2}--([a-z-]+) <(?:directory|file|path)>/gm)].map((match) => match[1]!)
  const below = command.subcommands.flatMap((group) => group.commands.map((child) => pathFlagsOf([...words, child.name], child)))
  return [...own, ...(await Promise.all(below)).flat()]
}

describe("the scripts", () => {
  it("complete every flag that takes a path", async () => {
    const script = fs.readFileSync(path.join(directory, "script.bash"), "utf8")
    const flags = new Set(await pathFlagsOf([], definitions))
    expect(flags).toContain("path")
    for (const flag of flags) expect(script).toMatch(new RegExp(`^ *--${flag}\\)\n *_lightning--paths `, "m"))
  })

  it("are not made for other shells", async () => {
    expect(await lightning(["--completions", "tcsh"])).toMatchObject({ code: 2, out: "" })
  })
})
