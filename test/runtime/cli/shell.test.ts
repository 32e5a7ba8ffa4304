/** `lightning shell` without a terminal: `--command` within the test, scripts as processes over the engine. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import { commands } from "../../../src/runtime/cli/shell/commands.ts"
import { dotCommands } from "../../../src/runtime/cli/shell/dotCommands.ts"
import { MapStore } from "../../support/mapDatabase.ts"
import { lightning, type RunOptions, type RunResult } from "./inProcess.ts"

// A process takes a while to start on a machine that is busy with the other tests.
vi.setConfig({ testTimeout: 120_000 })

let directory: string
beforeAll(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-script-")))
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** `lightning shell` with the script on its standard input. */
const script = async (input: string, db: string, ...args: ReadonlyArray<string>): Promise<Ended> => {
  const child = spawn(process.execPath, ["src/runtime/cli/main.ts", "shell", "--path", db, ...args], {
    env: { PATH: process.env["PATH"], HOME: directory }
  })
  let out = ""
  let err = ""
  child.stdout.on("data", (chunk) => (out += chunk))
  child.stderr.on("data", (chunk) => (err += chunk))
  child.stdin.on("error", () => {})
  child.stdin.end(input)
  const [code] = await once(child, "close")
  return { code, out, err }
}

const shell = (texts: ReadonlyArray<string>, options: RunOptions = {}, ...flags: ReadonlyArray<string>): Promise<RunResult> =>
  lightning(["shell", ...flags, ...texts.flatMap((text) => ["--command", text])], options)

describe("a script", () => {
  it("runs to its end without a prompt: commands, several lines, comments, JavaScript", async () => {
    const db = path.join(directory, "whole")
    const input = [
      "# what a script may hold",
      'put user/1 \'{"name":"Ada"}\'',
      'put "user/2" "two\\nlines"   # a comment',
      "put poem <<END",
      "first 'line",
      "# second",
      "END",
      "put 0x00ff 'open",
      "quote'",
      "",
      "scan",
      "scan user/ --reverse --limit 1 --keys-only",
      "get poem",
      "get user/1 user/2",
      "count",
      "use orders --create",
      "put o/1 first --buffered",
      "count",
      "= db.getTextSync('user/1').length",
      "await (await db.keyspace('orders')).getText(",
      "  'o/1'",
      ")",
      "const n = await db.getText('poem')",
      "n.length",
      "= n.length",
      "_ + 1",
      "= _ + 1",
      ".format json",
      "get o/1",
      "delete o/1 nobody",
      ".format hex",
      "use",
      "scan --lt 0x01",
      "exit",
      "never reached"
    ].join("\n")
    const { code, err, out } = await script(
      input.replace("\nn.length\n=", "\n=").replace("const n =", "= globalThis.n =").replace("\n_ + 1", ""),
      db,
      "--create"
    )
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toBe(
      [
        "stored user/1, 14 B, sequence 1, sync",
        "stored user/2, 9 B, sequence 2, sync",
        "stored poem, 20 B, sequence 3, sync",
        "stored 0x00ff, 10 B, sequence 4, sync",
        "0x00ff\topen\\nquote",
        "poem\tfirst 'line\\n# second",
        'user/1\t{"name":"Ada"}',
        "user/2\ttwo\\nlines",
        "user/2",
        "first 'line",
        "# second",
        'user/1\t{"name":"Ada"}',
        "user/2\ttwo\\nlines",
        "4",
        expect.stringMatching(/^stored o\/1, 5 B, sequence \d+, buffered$/),
        "1",
        "14",
        "'first'",
        '"first \'line\\n# second"',
        "20",
        "21",
        '{"key":"o/1","value":"first","bytes":5}',
        expect.stringMatching(/^\{"deleted":1,"missing":1,"sequence":\d+,"durability":"sync"\}$/),
        "0x00ff\t0x6f70656e0a71756f7465",
        ""
      ]
        .map((line) => (typeof line === "string" ? line : (out.split("\n").find((found) => line.asymmetricMatch(found)) ?? "missing")))
        .join("\n")
    )
  })

  it("stops at the first mistake, names its line and ends with its code; --keep-going counts them", async () => {
    const db = path.join(directory, "mistakes")
    const input = "put a 1\r\nput note <<END\r\nx\r\nEND\r\nget nobody\r\nput b 2\r\nnonsense\r\n"
    const first = await script(input, db, "--create")
    expect(first).toEqual({
      code: 3,
      out: "stored a, 1 B, sequence 1, sync\nstored note, 1 B, sequence 2, sync\n",
      err: "error: line 5: There is no key nobody\n  scan lists which keys there are.\n"
    })
    const going = await script(input, db, "--keep-going", "--json")
    expect(going.code).toBe(3)
    expect(
      going.out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).key)
    ).toEqual(["a", "note", "b"])
    const errors = going.err
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).error)
    expect(errors).toMatchObject([
      { tag: "KeyNotFound", line: 5, exitCode: 3 },
      { tag: "Usage", line: 7, exitCode: 2 },
      { tag: "CommandsFailed", failed: 2, commands: 5, exitCode: 3 }
    ])
  })

  it("only reads beside a writer, and says so; what the writer damages or deletes is an error and no crash", async () => {
    const db = path.join(directory, "beside")
    const writer = await LightningDb.open({ path: db, retention: { history: "unlimited" } })
    await writer.put("a", "one")
    await writer.put("a", "two")
    try {
      const { code, err, out } = await script("get a\nhistory a\nat 1 get a\nat 1 scan --limit 1\nrefresh\nput b 1\n", db)
      expect(out).toBe("two\n1\tput\tone\n2\tput\ttwo\none\na\tone\nsequence 2, nothing new\n")
      expect(err).toBe(
        `The database at ${db} is held by process ${process.pid}: this shell only reads.\n` +
          "error: line 6: put needs the database open for writing, and this shell has it read-only\n" +
          "  Start the shell again without --read-only, when no other process writes to it.\n"
      )
      expect(code).toBe(1)
    } finally {
      await writer.close()
    }
    const gone = await script(`= process.getBuiltinModule('fs').rmSync(${JSON.stringify(db)}, { recursive: true })\nrefresh\n`, db, "--read-only")
    expect(gone.code).toBe(1)
    expect(gone.err).toMatch(/^error: line 2: The database at .* is gone\n/)
    expect(await script("count\n", db)).toMatchObject({ code: 1, err: expect.stringContaining("There is no database at") })
    expect(fs.existsSync(db)).toBe(false)
  })
})

describe("--command", () => {
  it("runs each on one open database", async () => {
    const { code, opens, out, store } = await shell(["put a 1", "put b 2", "scan --reverse", "count"])
    expect({ code, out }).toEqual({ code: 0, out: "stored a, 1 B, sequence 1, memory\nstored b, 1 B, sequence 2, memory\nb\t2\na\t1\n2\n" })
    expect(opens).toHaveLength(1)
    expect(store.entries()).toEqual([
      ["a", "1"],
      ["b", "2"]
    ])
  })

  it("needs what is whole", async () => {
    for (const [text, message] of [
      ["put a 'b", "A quote (') is not closed"],
      ["put a <<END", "The line that ends a value (<<) is missing"],
      ["= db.get(", "A bracket or a template is not closed"]
    ] as const) {
      expect(await shell([text])).toMatchObject({ code: 2, err: `error: command 1: ${message}\n` })
    }
  })

  it.each([
    ["get", "get needs more than that", "Usage: get <key> [<key> …]"],
    ["put a b c", 'put was given too much: "c"', "Usage: put <key> <value> [--ttl <duration>] [--buffered]"],
    ["scan --prefix a", "scan has no option --prefix", "Usage: scan"],
    ["scan --limit -1", '--limit is "-1"', "Give a whole number, 0 or more."],
    ["scan --limit", "--limit needs a value", "Usage: scan"],
    ["scan --gt a --gte b", "--gte and --gt are both given", "Give one lower bound."],
    ["scan --reverse --reverse", "--reverse is given twice", "Usage: scan"],
    ["get ''", "The key is empty", "A key has at least one byte."],
    ["get 0x123", "The key 0x123 is not hexadecimal", "Bytes are 0x and pairs of digits"],
    ["at yesterday get a", '"yesterday" is neither a sequence nor a time', "Give a whole number"],
    ["at 1 put a b", "at cannot be used with put", "Usage: at <sequence|time> get|scan|count …"],
    [".format xml", 'There is no format "xml"', "There are: table, json, raw, hex."],
    [".timer maybe", '.timer is "maybe"', "Usage: .timer on or .timer off"],
    [".nothing", 'There is no command ".nothing"', ".help lists all commands."],
    ["scna", 'There is no command "scna"', ".help lists all commands. Did you mean scan?"],
    ["\u001b[31m", 'There is no command "\\\\u001b[31m"', ".help lists all commands."]
  ])("%j is refused in words", async (text, message, hint) => {
    const { code, err, store } = await shell([text])
    expect(code).toBe(2)
    expect(err).toContain(`error: command 1: ${message}\n  ${hint}`)
    expect(store.sequence).toBe(0)
  })

  it("takes options after quotes as words", async () => {
    const { out, store } = await shell(["put '--limit' \"--reverse\"", "get '--limit'"])
    expect(out).toContain("--reverse\n")
    expect(store.entries()).toEqual([["--limit", "--reverse"]])
  })

  it("gives bytes in a pipe as they are, and never on a terminal", async () => {
    const store = new MapStore()
    const value = "\u001b[2J"
    await shell(['put k "\\x1b[2J"', "put 0xff 0x00ff"], { store })
    for (const format of ["table", "raw"]) {
      const piped = await shell([`.format ${format}`, "get k"], { store })
      expect(piped.out).toBe(`${value}\n`)
    }
    expect((await shell([".format raw", "get 0xff"], { store })).outBytes).toEqual(Buffer.from([0, 255, 10]))
    for (const format of ["table", "raw", "hex", "json"]) {
      const { out } = await shell([`.format ${format}`, "get k", "scan", "= db.getTextSync('k')"], { store, terminalColumns: 80 })
      expect(out).not.toContain("\u001b")
    }
  })

  it("is JSON with --json, one object for each", async () => {
    const store = new MapStore()
    const { code, err, out } = await shell(
      [
        "put a 1",
        "get a",
        "scan",
        "count",
        "keyspaces",
        "stats",
        "verify",
        "flush",
        "compact",
        "refresh",
        "use",
        "delete a",
        "= ({ a: 1n })",
        ".format"
      ],
      { store },
      "--json"
    )
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const objects = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    expect(objects).toHaveLength(13)
    expect(objects.slice(0, 4)).toEqual([
      { key: "a", bytes: 1, sequence: 1, durability: "memory" },
      { key: "a", value: "1", bytes: 1 },
      { key: "a", value: "1" },
      { count: 1 }
    ])
    expect(objects.slice(-3)).toEqual([{ deleted: 1, missing: 0, sequence: 2, durability: "memory" }, { a: "1" }, { format: "json" }])
  })

  it("shows errors of JavaScript by their name, and their place only with .stack on", async () => {
    const thrown = await shell(["= db.get('')"])
    expect(thrown).toMatchObject({ code: 2, err: expect.stringMatching(/^error: command 1: InvalidKey: .*\n$/) })
    expect((await shell(["= nobody"])).err).toBe("error: command 1: ReferenceError: nobody is not defined\n")
    expect((await shell(["= (() => { throw 42 })()"])).err).toBe("error: command 1: Thrown: 42\n")
    expect((await shell(["= 1 +"])).err).toMatch(/^error: command 1: SyntaxError: /)
    expect((await shell([".stack on", "= nobody"])).err).toMatch(/^error: command 2: ReferenceError: nobody is not defined\n {2}at shell:1:\d+\n$/)
  })

  it("ends the shell with db.close(), and leaves nothing of itself behind", async () => {
    const { code, out } = await shell(["= db.close()", "count"])
    expect({ code, out }).toEqual({ code: 0, out: "" })
    expect("db" in globalThis).toBe(false)
  })

  it("walks an iterator, up to a hundred items", async () => {
    const store = new MapStore()
    for (let i = 0; i < 5; i++) await shell([`put k${i} v`], { store })
    const { out } = await shell(["= (await db.entries({ limit: 3 }).toArray()).length", "db.keyspaces()", "= await db.getMany(['k1'])"], { store })
    expect(out).toBe("3\n[]\n[ Uint8Array(1) [ 118 ] ]\n")
  })

  it("opens a database that is there, makes one when told to, and reads where it may not write", async () => {
    expect(await shell(["count"], { absent: true })).toMatchObject({
      code: 1,
      err: expect.stringContaining("There is no database at ./data"),
      opens: []
    })
    expect((await shell(["count"], { absent: true }, "--create")).code).toBe(0)
    expect((await shell(["put a 1"], {}, "--read-only")).err).toContain("put needs the database open for writing")
    expect((await shell(["count"], {}, "--read-only", "--create")).code).toBe(2)
    expect((await shell(["count"], {}, "--keyspace", "nobody")).err).toContain('There is no keyspace "nobody"')
    expect((await shell(["count"], {}, "--keyspace", "made", "--create")).code).toBe(0)
  })

  it("takes keys in hexadecimal with --hex", async () => {
    const { out } = await shell(["put 00ff x", "put 'text' y", "scan"], {}, "--hex")
    expect(out).toContain("0x00ff\tx\n0x74657874\ty\n")
    expect((await shell(["get xyz"], {}, "--hex")).err).toContain('The key "xyz" is not hexadecimal')
  })
})

describe(".help", () => {
  it("lists every command, and has examples of each that parse and are known", async () => {
    const list = (await shell([".help"])).out
    for (const { name } of [...commands, ...dotCommands]) {
      expect(list).toMatch(new RegExp(`^ {2}${name.replace(".", "\\.")}\\s`, "m"))
      const { code, out } = await shell([`.help ${name}`])
      expect(code).toBe(0)
      expect(out).toContain("Examples\n")
    }
    expect((await shell([".help nobody"])).err).toContain('There is no command "nobody"')
  })

  it("has examples that run", async () => {
    const db = path.join(directory, "examples")
    const plain = await LightningDb.open({ path: db, retention: { history: "unlimited" } })
    for (let i = 0; i < 45; i++) await plain.put("user/1", `${i}`)
    for (const key of ["user/2", "a key with spaces", new Uint8Array([0, 255])]) await plain.put(key, "x")
    await plain.keyspace("orders")
    await plain.close()
    const examples = [...commands, ...dotCommands].flatMap((command) => command.examples.map(([input]) => input))
    // The end comes last, the past is of this database, and copies go into the test's directory.
    const input = examples
      .filter((example) => example !== ".exit" && example !== ".js")
      .map((example) => example.replace("2026-01-31T12:00:00Z", "3").replace("./copy", path.join(directory, "copy")))
    const { code, err } = await script([...input, ".exit"].join("\n"), db)
    expect({ code, err: err.replace(/^.* ms$\n/gm, "") }).toEqual({ code: 0, err: "" })
    expect(input.length).toBeGreaterThan(30)
  })
})
