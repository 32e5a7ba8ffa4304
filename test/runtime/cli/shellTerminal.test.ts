/** `lightning shell` as a person uses it: on a pseudo-terminal. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import { hasTerminal, openTerminal, type PseudoTerminal, type TerminalOptions } from "../../support/pseudoTerminal.ts"

// Nothing here waits for a clock; a busy machine is slow to start processes.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const rows = 200_000
let directory: string
let db: string
beforeAll(async () => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-shell-")))
  db = path.join(directory, "data")
  if (!hasTerminal) return
  const plain = await LightningDb.open({ path: db, durability: "buffered" })
  for (let from = 0; from < rows; from += 5_000) {
    await plain.batch(
      Array.from({ length: 5_000 }, (_, i) => ({ type: "put", key: `row/${String(from + i).padStart(6, "0")}`, value: `value ${from + i}` }))
    )
  }
  await plain.batch([
    { type: "put", key: "user/ada", value: '{"name":"Ada"}' },
    { type: "put", key: "user/bob", value: "日本語の値 and what follows it, which is longer than a narrow terminal" },
    { type: "put", key: "with 'quotes' and spaces", value: "q" },
    { type: "put", key: new Uint8Array([0xfe, 0x01, 0xff]), value: new Uint8Array([0xff, 0x00]) },
    { type: "put", key: "\u001b[31mred\u001b]0;title\u0007", value: "\u001b[2Jcleared\u009b31m\u202e" }
  ])
  const orders = await plain.keyspace("orders")
  await orders.put("o/1", "first")
  await plain.close()
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

const open = new Set<PseudoTerminal>()
afterEach(async () => {
  // Whatever it was doing: a shell whose window is closed ends.
  const ended = await Promise.all([...open].map((terminal) => terminal.close()))
  open.clear()
  expect(ended).not.toContain(false)
})

const start = async (args: ReadonlyArray<string> = [], options: TerminalOptions = {}): Promise<PseudoTerminal> => {
  const terminal = await openTerminal([process.execPath, "src/runtime/cli/main.ts", "shell", "--path", db, ...args], {
    ...options,
    env: { HOME: directory, PAGER: "cat", ...options.env }
  })
  open.add(terminal)
  return terminal
}

/** Waits for the empty prompt below what came before it. */
const prompt = (terminal: PseudoTerminal): Promise<string> => terminal.waitFor(/lightning\S*(?: \(read-only\))?(?: js)?>$/)

const enter = async (terminal: PseudoTerminal, line: string): Promise<void> => {
  await terminal.type(line)
  await terminal.press("Enter")
}

/** What a line answers: the screen below it, without the prompt that follows. */
const ask = async (terminal: PseudoTerminal, line: string): Promise<string> => {
  await prompt(terminal)
  await terminal.press("C-l")
  await terminal.waitFor(/^lightning\S*(?: \(read-only\))?(?: js)?>$/)
  await enter(terminal, line)
  const screen = await terminal.waitFor((text) => text.split("\n").length > 1 && /\nlightning\S*(?: \(read-only\))?(?: js)?>$/.test(text))
  return screen.split("\n").slice(1, -1).join("\n")
}

describe.skipIf(!hasTerminal)("the prompt", () => {
  it("says what is open and how, answers, times, and ends by .exit with 0", async () => {
    const terminal = await start()
    const banner = await prompt(terminal)
    expect(banner).toContain(`${db}  sequence `)
    expect(banner).toContain("open for writing\nType .help for commands, .exit to end.")
    expect(await ask(terminal, "get user/ada")).toMatch(/^\{"name":"Ada"\}\n1 row in [\d.]+ ms$/)
    expect(await ask(terminal, "nonsense")).toMatch(/^error: There is no command "nonsense"\n {2}\.help lists all commands\.$/)
    expect(await ask(terminal, "cuont")).toContain("Did you mean count?")
    await enter(terminal, ".timer off")
    expect(await ask(terminal, "get user/ada")).toBe('{"name":"Ada"}')
    await enter(terminal, ".exit")
    expect(await terminal.exited()).toBe(0)
  })

  it("ends by Ctrl-D, by Ctrl-C twice, and by a signal, with the database closed each time", async () => {
    const ends: ReadonlyArray<readonly [(terminal: PseudoTerminal) => Promise<unknown>, number]> = [
      [(terminal) => terminal.press("C-d"), 0],
      [
        async (terminal) => {
          await terminal.press("C-c")
          await terminal.waitFor("Press Ctrl-C again or Ctrl-D to end")
          await prompt(terminal)
          await terminal.press("C-c")
        },
        0
      ],
      [async (terminal) => process.kill(await terminal.pid(), "SIGTERM"), 130],
      [async (terminal) => process.kill(await terminal.pid(), "SIGHUP"), 0]
    ]
    for (const [end, code] of ends) {
      const terminal = await start()
      await prompt(terminal)
      await end(terminal)
      expect(await terminal.exited()).toBe(code)
    }
    // Every one of them gave the lock back.
    await (await LightningDb.open({ path: db })).close()
  })

  it("takes a line back with Ctrl-C", async () => {
    const terminal = await start()
    await prompt(terminal)
    await terminal.type("put user/wrong val")
    await terminal.waitFor("put user/wrong val")
    await terminal.press("C-c")
    await terminal.waitFor(/\^C\nlightning>$/)
    expect(await ask(terminal, "count user/wrong")).toMatch(/^0\n/)
  })

  it("runs a paste line by line, each answer below its line", async () => {
    const terminal = await start()
    await prompt(terminal)
    await terminal.type("count user/ada\rcount user/\rget user/ada\r")
    const screen = await terminal.waitFor('{"name":"Ada"}\n1 row')
    expect(screen).toMatch(/> count user\/ada\n1\n.*\nlightning> count user\/\n2\n.*\nlightning> get user\/ada\n/)
  })
})

describe.skipIf(!hasTerminal)("Tab", () => {
  it("completes commands, options, keyspaces and what dot commands take", async () => {
    const terminal = await start()
    await prompt(terminal)
    await terminal.type("sc")
    await terminal.press("Tab")
    await terminal.type("--rev")
    await terminal.press("Tab")
    await terminal.waitFor("> scan --reverse")
    await terminal.press("C-u")
    await terminal.type("use or")
    await terminal.press("Tab")
    await terminal.waitFor("> use orders")
    await terminal.press("C-u")
    await terminal.type(".format j")
    await terminal.press("Tab")
    await terminal.waitFor("> .format json")
    await terminal.press("C-u")
    await terminal.press("Tab", "Tab")
    const listed = await terminal.waitFor("keyspaces")
    for (const name of ["get", "put", "scan", "checkpoint", "refresh"]) expect(listed).toMatch(new RegExp(`^.*\\b${name}\\b`, "m"))
  })

  it("completes keys: quoted where they need it, binary ones in hexadecimal, and as far as all of many agree", async () => {
    const terminal = await start()
    await prompt(terminal)
    await terminal.type("get user/a")
    await terminal.press("Tab", "Enter")
    await terminal.waitFor('{"name":"Ada"}')
    await prompt(terminal)
    await terminal.type("get wi")
    await terminal.press("Tab")
    await terminal.waitFor("> get with\\ \\'quotes\\'\\ and\\ spaces")
    await terminal.press("Enter")
    await terminal.waitFor(/\nq\n/)
    await terminal.type('get "with')
    await terminal.press("Tab")
    await terminal.waitFor(`> get "with 'quotes' and spaces"`)
    await terminal.press("C-u")
    await terminal.type("get 0xf")
    await terminal.press("Tab")
    await terminal.waitFor("> get 0xfe01ff")
    await terminal.press("Enter")
    await terminal.waitFor("0xff00")
    // 200,000 keys: not as far as the first fifty agree.
    await terminal.type("get r")
    await terminal.press("Tab")
    await terminal.waitFor(/> get row\/$/)
    await terminal.press("Tab", "Tab")
    await terminal.waitFor("row/199999")
    await terminal.press("C-u")
    await terminal.type("get \\x1b")
    await terminal.press("Tab")
    await terminal.waitFor("> get \\x1b[31mred\\x1b]0;title\\x07")
  })

  it("completes the members of db", async () => {
    const terminal = await start()
    await prompt(terminal)
    await terminal.type("db.getT")
    await terminal.press("Tab", "Tab")
    await terminal.waitFor("db.getTextSync")
    await terminal.type("('user/ada')")
    await terminal.press("Enter")
    await terminal.waitFor(`'{"name":"Ada"}'`)
  })
})

describe.skipIf(!hasTerminal)("history", () => {
  it("comes back by arrow up, in the next session too, without what began with a space, readable by its owner alone", async () => {
    const home = path.join(directory, "home")
    fs.mkdirSync(home)
    const env = { HOME: home }
    const first = await start([], { env })
    await prompt(first)
    await ask(first, "count user/")
    await ask(first, " get user/ada")
    await enter(first, "put note 'one")
    await first.waitFor(/\n\.\.\.$/)
    await enter(first, "two'")
    await first.waitFor("stored note")
    await first.press("Up")
    await first.waitFor('> put note "one\\ntwo"')
    await first.press("Up")
    await first.waitFor("> count user/")
    await first.press("C-u")
    await enter(first, ".exit")
    expect(await first.exited()).toBe(0)

    const file = path.join(home, ".local", "state", "lightning", "history")
    expect(fs.readFileSync(file, "utf8")).toBe('count user/\nput note "one\\ntwo"\n.exit\n')
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)

    const second = await start([], { env })
    await prompt(second)
    await second.press("Up", "Up")
    await second.waitFor('> put note "one\\ntwo"')
    await second.press("Enter")
    await second.waitFor("stored note, 7 B")
    await second.press("C-d")
    await second.exited()

    const none = await start(["--no-history"], { env })
    await prompt(none)
    expect(await ask(none, "count row/00000")).toMatch(/^10\n/)
    expect(await ask(none, ".history")).toBe("count row/00000\n.history")
    await none.press("C-d")
    await none.exited()
    expect(fs.readFileSync(file, "utf8")).not.toContain("row/00000")
  })

  it("that cannot be kept is said once, and nothing else changes", async () => {
    const file = path.join(directory, "state-is-a-file")
    fs.writeFileSync(file, "")
    const terminal = await start([], { env: { XDG_STATE_HOME: file } })
    await prompt(terminal)
    expect(await ask(terminal, "count user/a")).toMatch(/^The history is not kept: [^]*\n1\n/)
    expect(await ask(terminal, "count user/b")).toMatch(/^1\n/)
  })
})

describe.skipIf(!hasTerminal)("Ctrl-C", () => {
  it("stops a long scan and not the shell", async () => {
    const terminal = await start()
    await prompt(terminal)
    await enter(terminal, "scan row/")
    await terminal.waitFor(/row\/\d{6}/)
    await terminal.press("C-c")
    await terminal.waitFor(/Stopped after .*\.\nlightning>$/)
    expect(await terminal.screen()).not.toContain("row/199999")
    expect(await ask(terminal, "count user/a")).toMatch(/^1\n/)
  })

  it("stops JavaScript, that which blocks and that which waits", async () => {
    const terminal = await start()
    await prompt(terminal)
    await enter(terminal, "= (globalThis.console.log('begun'), (() => { for (;;); })())")
    await terminal.waitFor(/\nbegun$/)
    await terminal.press("C-c")
    await terminal.waitFor(/Stopped after .*\.\nlightning>$/)
    await enter(terminal, "await (console.log('waits'), new Promise(() => {}))")
    await terminal.waitFor(/\nwaits$/)
    await terminal.press("C-c")
    await terminal.waitFor(/waits\n\^?C?Stopped after .*\.\nlightning>$/)
    expect(await ask(terminal, "= 1 + 1")).toMatch(/^2\n/)
  })
})

describe.skipIf(!hasTerminal)("several lines", () => {
  it("are asked for while a quote, a heredoc or a bracket is open, and given up by Ctrl-C", async () => {
    const terminal = await start()
    await prompt(terminal)
    await enter(terminal, "put poem <<END")
    await terminal.waitFor(/\n\.\.\.$/)
    await enter(terminal, "first 'line")
    await enter(terminal, "END")
    await terminal.waitFor("stored poem, 11 B")
    await enter(terminal, "= [1, 2].map((n) => {")
    await terminal.waitFor(/\n\.\.\.$/)
    await enter(terminal, "return n * 21 })")
    await terminal.waitFor("[ 21, 42 ]")
    await enter(terminal, 'put poem "never')
    await terminal.waitFor(/\n\.\.\.$/)
    await terminal.press("C-c")
    await prompt(terminal)
    expect(await ask(terminal, "get poem")).toMatch(/^first 'line\n1 row/)
  })
})

describe.skipIf(!hasTerminal)("what is stored", () => {
  it("never steers the terminal, in any format", async () => {
    const terminal = await start([], { env: { NO_COLOR: "1" } })
    await prompt(terminal)
    const red = String.raw`"\x1b[31mred\x1b]0;title\x07"`
    for (const format of ["table", "raw", "json", "hex"]) {
      await enter(terminal, `.format ${format}`)
      await terminal.waitFor(`.format ${format}`)
      await prompt(terminal)
      for (const command of [`get ${red}`, "scan --lt a", "= db.getTextSync('\\x1b[31mred\\x1b]0;title\\x07')", `get ${red}missing`]) {
        await enter(terminal, command)
        await terminal.waitFor((text) => text.includes(command.slice(0, 12)) && text.endsWith("\nlightning>"))
      }
    }
    const shown = terminal.bytes()
    // latin1 of the UTF-8 of U+009B and U+202E.
    for (const steering of ["\u001b[31m", "\u001b]0;", "\u001b[2J", "\u00c2\u009b", "\u00e2\u0080\u00ae", "\u0007"])
      expect(shown.includes(steering)).toBe(false)
    expect(shown).toContain(String.raw`\x1b[2Jcleared\x9b31m\u202e`)
  })

  it("fits a narrow terminal, wide characters included, and follows its width", async () => {
    const terminal = await start([], { columns: 36, rows: 30 })
    await prompt(terminal)
    const narrow = (await ask(terminal, "scan user/")).split("\n")
    expect(narrow[0]).toBe("key       value")
    expect(narrow[1]).toBe('user/ada  {"name":"Ada"}')
    expect(narrow[2]).toBe("user/bob  日本語の値 and what follo…")
    await terminal.resize(70, 30)
    expect((await ask(terminal, "scan user/")).split("\n")[2]).toBe("user/bob  日本語の値 and what follows it, which is longer than a narr…")
  })

  it("is coloured, unless NO_COLOR asks for none", async () => {
    const coloured = await start()
    await prompt(coloured)
    await ask(coloured, "scan user/")
    expect(coloured.bytes()).toContain("\u001b[36muser/ada")
    const plain = await start(["--read-only"], { env: { NO_COLOR: "1" } })
    await prompt(plain)
    await ask(plain, "scan user/")
    expect(plain.bytes()).not.toContain("\u001b[36m")
  })
})

describe.skipIf(!hasTerminal)("paging", () => {
  it("shows what is longer than the screen a page at a time where no pager is installed, and stops the scan when one has seen enough", async () => {
    const terminal = await start([], { rows: 12, env: { PAGER: "no-such-pager", PATH: "/nonexistent" } })
    await prompt(terminal)
    await enter(terminal, "scan row/")
    expect(await terminal.waitFor("-- more --")).toContain("row/000009")
    await terminal.press("Enter")
    await terminal.waitFor(/row\/000010\s.*\n-- more --/)
    await terminal.press("Space")
    expect(await terminal.waitFor(/row\/000021\s.*\n-- more --/)).not.toContain("row/000022")
    await terminal.press("q")
    await prompt(terminal)
    expect(await terminal.screen()).not.toContain("more --")
    expect(await ask(terminal, "scan row/ --limit 5")).toContain("5 rows in")
  })

  it("goes through $PAGER, which has the keyboard meanwhile", async () => {
    const pager = path.join(directory, "pager")
    fs.writeFileSync(pager, '#!/bin/sh\nhead -n 4\nprintf "press: "\nread answer < /dev/tty\necho "was $answer"\n', { mode: 0o755 })
    const terminal = await start([], { rows: 12, env: { PAGER: pager } })
    await prompt(terminal)
    await enter(terminal, "scan row/ --limit 100")
    await terminal.waitFor(/row\/000002.*\npress:$/)
    await enter(terminal, "typed")
    await terminal.waitFor("was typed")
    await prompt(terminal)
    expect(await ask(terminal, "scan row/ --limit 3")).toMatch(/row\/000002 .*\n3 rows in/)
  })
})

describe.skipIf(!hasTerminal)("beside a writer", () => {
  it("reads, says so, refuses to write, and moves forward by refresh", async () => {
    const writer = await LightningDb.open({ path: db })
    try {
      const terminal = await start(["--keyspace", "orders"])
      expect(await prompt(terminal)).toMatch(new RegExp(`read-only.*held by process ${process.pid}`, "s"))
      expect(await ask(terminal, "put o/2 second")).toMatch(/^error: put needs the database open for writing/)
      expect(await ask(terminal, "count")).toMatch(/^1\n/)
      const orders = await writer.keyspace("orders")
      await orders.put("o/2", "second")
      expect(await ask(terminal, "count")).toMatch(/^1\n/)
      expect(await ask(terminal, "refresh")).toMatch(/^sequence \d+, was \d+\n/)
      expect(await ask(terminal, "get o/2")).toMatch(/^second\n/)
      await orders.delete("o/2")
    } finally {
      await writer.close()
    }
  })

  it("lives through the database being deleted under it", async () => {
    const copy = path.join(directory, "deleted")
    const made = await LightningDb.open({ path: copy })
    await made.put("a", "1")
    await made.close()
    const terminal = await openTerminal([process.execPath, "src/runtime/cli/main.ts", "shell", "--read-only", "--path", copy], {
      env: { HOME: directory }
    })
    open.add(terminal)
    await prompt(terminal)
    fs.rmSync(copy, { recursive: true })
    expect(await ask(terminal, "refresh")).toMatch(/^error: .*\n/)
    await enter(terminal, ".exit")
    expect(await terminal.exited()).toBe(0)
  })
})
