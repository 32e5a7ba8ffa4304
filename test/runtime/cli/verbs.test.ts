import { describe, expect, it } from "vitest"
import { CorruptFile, DatabaseLocked, NotADatabase } from "../../../src/domain/errors.ts"
import { MapStore } from "../../support/mapDatabase.ts"
import { lightning } from "./inProcess.ts"

const people = async (): Promise<MapStore> => {
  const store = new MapStore()
  for (const [key, value] of [
    ["user/1", "Ada"],
    ["user/2", "Grace\nHopper"],
    ["user/3", "Linus"],
    ["zoo", "animals"]
  ] as const) {
    expect((await lightning(["put", key, value], { store })).code).toBe(0)
  }
  return store
}

describe("get and put", () => {
  it("stores a value and prints it byte for byte", async () => {
    const { store, ...put } = await lightning(["put", "user/1", "Ada"])
    expect(put.out).toBe('stored "user/1", 3 B, sequence 1, sync\n')
    const got = await lightning(["get", "user/1"], { store })
    expect(got).toMatchObject({ code: 0, out: "Ada", err: "" })
    expect(got.opens).toEqual([{ path: "./data", readOnly: true, salvage: false }])
  })

  it("answers in JSON", async () => {
    const { store, out } = await lightning(["put", "--json", "k", "v", "--durability", "buffered"])
    expect(JSON.parse(out)).toEqual({ key: "k", bytes: 1, sequence: 1, durability: "buffered" })
    expect(JSON.parse((await lightning(["get", "k", "--json"], { store })).out)).toEqual({ key: "k", value: "v", bytes: 1 })
  })

  it("ends with 3 where there is no such key, and prints nothing on standard output", async () => {
    const plain = await lightning(["get", "nobody"])
    expect(plain).toMatchObject({ code: 3, out: "" })
    expect(plain.err).toBe('error: There is no key "nobody"\n  `lightning scan --prefix …` shows which keys there are.\n')
    const json = await lightning(["get", "nobody", "--json"])
    expect(json).toMatchObject({ code: 3, out: "" })
    expect(JSON.parse(json.err)).toMatchObject({ error: { tag: "KeyNotFound", exitCode: 3, key: "nobody" } })
  })

  it("takes the value from a file, and says why it cannot", async () => {
    const { store } = await lightning(["put", "me", "--file", import.meta.filename])
    expect(store.entries()[0]![1]).toContain("takes the value from a file")
    const missing = await lightning(["put", "me", "--file", "/nowhere/at-all"])
    expect(missing).toMatchObject({ code: 1, err: "error: /nowhere/at-all cannot be read: no such file or directory\n" })
  })

  it("wants exactly one value", async () => {
    expect(await lightning(["put", "k"])).toMatchObject({ code: 2, err: expect.stringContaining("No value is given") })
    expect(await lightning(["put", "k", "v", "--file", "f"])).toMatchObject({ code: 2, err: expect.stringContaining("A value and --file") })
    expect((await lightning(["put", "k"])).opens).toEqual([])
  })

  it("adds a line break on a terminal, and shows no control characters there", async () => {
    const { store } = await lightning(["put", "k", "a\u001b[31mb"])
    expect((await lightning(["get", "k"], { store, terminalColumns: 80 })).out).toBe("a\ufffd[31mb\n")
    expect((await lightning(["get", "k"], { store })).out).toBe("a\u001b[31mb")
  })

  it("shows bytes that are not text in hexadecimal on a terminal, and as base64 in JSON", async () => {
    const { store } = await lightning(["put", "--hex", "0xff00", "v"])
    store.spaces.get("")!.put(Buffer.from([0xff, 0x01]), Buffer.from([0xff, 0xfe]))
    const terminal = await lightning(["get", "--hex", "ff01"], { store, terminalColumns: 80 })
    expect(terminal.out).toBe("0xfffe\n")
    expect(terminal.err).toContain("not text")
    expect((await lightning(["get", "--hex", "ff01"], { store })).outBytes).toEqual(Buffer.from([0xff, 0xfe]))
    expect(JSON.parse((await lightning(["get", "--hex", "0xff01", "--json"], { store })).out)).toEqual({
      key: "0xff01",
      valueBase64: "//4=",
      bytes: 2
    })
    expect((await lightning(["scan", "--hex"], { store })).out).toBe("0xff00\tv\n0xff01\t0xfffe\n")
  })

  it("refuses keys that are empty or not hexadecimal before it opens anything", async () => {
    for (const args of [
      ["get", ""],
      ["get", "--hex", "xyz"],
      ["get", "--hex", "0xabc"],
      ["put", "", "v"],
      ["delete", ""]
    ]) {
      const run = await lightning(args)
      expect(run.code, args.join(" ")).toBe(2)
      expect(run.opens).toEqual([])
    }
  })
})

describe("delete", () => {
  it("says how many keys there were", async () => {
    const store = await people()
    const run = await lightning(["delete", "user/1", "user/9", "zoo"], { store })
    expect(run).toMatchObject({ code: 0, out: 'deleted 2 keys, sequence 5, sync\nwas not there: "user/9"\n' })
    expect(store.entries().map(([key]) => key)).toEqual(["user/2", "user/3"])
    expect(JSON.parse((await lightning(["delete", "user/2", "--json"], { store })).out)).toEqual({
      deleted: 1,
      missing: [],
      sequence: 6,
      durability: "sync"
    })
  })

  it("does not make a database or a keyspace to delete from", async () => {
    const absent = await lightning(["delete", "k", "--path", "nowhere"], { absent: true })
    expect(absent).toMatchObject({ code: 1, opens: [] })
    expect(absent.err).toContain("There is no database at nowhere")
    const store = await people()
    const keyspace = await lightning(["delete", "k", "--keyspace", "typo"], { store })
    expect(keyspace.code).toBe(3)
    expect([...store.spaces.keys()]).toEqual([""])
  })
})

describe("scan", () => {
  it("lists one entry a line, escaped, in both directions and within bounds", async () => {
    const store = await people()
    const scan = async (...args: Array<string>) => (await lightning(["scan", ...args], { store })).out
    expect(await scan()).toBe("user/1\tAda\nuser/2\tGrace\\nHopper\nuser/3\tLinus\nzoo\tanimals\n")
    expect(await scan("--prefix", "user/", "--reverse", "--limit", "1")).toBe("user/3\tLinus\n")
    expect(await scan("--gt", "user/1", "--lte", "user/3", "--keys-only")).toBe("user/2\nuser/3\n")
    expect(await scan("--gte", "user/2", "--lt", "zoo", "--keys-only")).toBe("user/2\nuser/3\n")
    expect(await scan("--limit", "0")).toBe("")
    expect(await scan("--json", "--limit", "2")).toBe('{"key":"user/1","value":"Ada"}\n{"key":"user/2","value":"Grace\\nHopper"}\n')
    expect(await scan("--json", "--hex", "--keys-only", "--prefix", "7a")).toBe('{"keyHex":"7a6f6f"}\n')
  })

  it("prints what import reads back", async () => {
    const store = await people()
    store.spaces.get("")!.put(Buffer.from([0xff]), Buffer.from([0, 0x80]))
    const { out } = await lightning(["scan", "--json"], { store })
    expect(out).toContain('{"keyBase64":"/w==","valueBase64":"AIA="}')
  })

  it("cuts values to the width of a terminal", async () => {
    const { store } = await lightning(["put", "key", "x".repeat(200)])
    await lightning(["put", "a".repeat(60), "y".repeat(200)], { store })
    const { out } = await lightning(["scan"], { store, terminalColumns: 40 })
    expect(out.split("\n")).toEqual(["a".repeat(60), `    ${"y".repeat(35)}…`, `key  ${"x".repeat(34)}…`, ""])
    expect((await lightning(["scan", "--prefix", "k"], { store, terminalColumns: 40, colours: true })).out).toContain("\u001b[36mkey\u001b[39m")
  })

  it("refuses contradictory bounds without opening", async () => {
    for (const args of [
      ["--gte", "a", "--gt", "a"],
      ["--lte", "a", "--lt", "a"],
      ["--lt", ""],
      ["--limit", "-1"],
      ["--limit", "many"]
    ]) {
      const run = await lightning(["scan", ...args])
      expect(run.code, args.join(" ")).toBe(2)
      expect(run.opens).toEqual([])
    }
  })

  it("stops quietly when nobody reads any more", async () => {
    const store = await people()
    expect(await lightning(["scan"], { store, closeAfterWrites: 0 })).toMatchObject({ code: 0, out: "", err: "" })
  })
})

describe("count, stats, verify, compact", () => {
  it("counts exactly", async () => {
    const store = await people()
    expect((await lightning(["count"], { store })).out).toBe("4\n")
    expect((await lightning(["count", "--prefix", "user/"], { store })).out).toBe("3\n")
    expect((await lightning(["count", "--json", "--gt", "user/1"], { store })).out).toBe('{"count":3}\n')
  })

  it("shows stats for a person and for a program", async () => {
    const store = await people()
    await lightning(["put", "k", "v", "--keyspace", "extra"], { store })
    const { out } = await lightning(["stats"], { store })
    expect(out).toMatchInlineSnapshot(`
      "memory  seen from outside, read-only

      commits
        visible up to sequence          5
        in tables up to                 0
        not yet in tables       0 entries

      space on disk
        tables           0 B
        value files      0 B
        log              0 B
        manifest         0 B
        total            0 B
        set aside    nothing

      kept of the past
        log                                   0 files
        default keyspace readable from  the beginning

      keyspaces
        default  48 B  about 4 entries
        extra     2 B    about 1 entry

      memory of this look
        in use           0 B  no budget
        left for caches  0 B

      opening
        transactions replayed from the log        0  0 B
        took                                0.00 ms

      The writer's memory, its caches, write amplification, transactions, snapshots and scrubbing are counted in the process that writes, and not visible from outside: ask db.stats there.
      "
    `)
    expect(JSON.parse((await lightning(["stats", "--json"], { store })).out)).toMatchObject({
      visibleSequence: 5,
      keyspaces: [{ name: "default" }, { name: "extra" }],
      health: { state: "readOnly" }
    })
  })

  it("verifies, and ends with 5 where bytes are damaged", async () => {
    const store = await people()
    const sound = await lightning(["verify"], { store })
    expect(sound.out).toContain("./data is sound: every checksum holds\n")
    expect(sound.out).toMatch(/entries +4\n/)
    expect(JSON.parse((await lightning(["verify", "--json"], { store })).out)).toMatchObject({ sound: true, entries: 4 })
    const damaged = await lightning(["verify"], { store, damaged: true })
    expect(damaged).toMatchObject({ code: 5, out: "" })
    expect(damaged.err).toContain("error: 000007.table is damaged at byte 4096: ChecksumMismatch\n")
    const json = await lightning(["verify", "--json"], { store, damaged: true })
    expect(JSON.parse(json.err)).toMatchObject({
      error: { tag: "CorruptFile", exitCode: 5, file: "000007.table", offsetBytes: 4096, reason: "ChecksumMismatch" }
    })
  })

  it("compacts what is there, and nothing that is not", async () => {
    const store = await people()
    const run = await lightning(["compact"], { store })
    expect(run).toMatchObject({ code: 0, opens: [{ path: "./data", readOnly: false }] })
    expect(run.out).toContain("compacted ./data in ")
    expect(JSON.parse((await lightning(["compact", "--gte", "a", "--lt", "b", "--json"], { store })).out)).toHaveProperty("after.total")
    expect((await lightning(["compact"], { absent: true })).code).toBe(1)
  })
})

describe("keyspaces", () => {
  it("are made by put and refused by reads", async () => {
    const { store } = await lightning(["put", "k", "v", "--keyspace", "people"])
    expect((await lightning(["get", "k", "--keyspace", "people"], { store })).out).toBe("v")
    expect((await lightning(["get", "k"], { store })).code).toBe(3)
    const missing = await lightning(["scan", "--keyspace", "poeple"], { store })
    expect(missing).toMatchObject({ code: 3 })
    expect(missing.err).toBe('error: There is no keyspace "poeple" in ./data\n  It has: people.\n')
  })
})

describe("failures of the engine", () => {
  it("become words and exit codes", async () => {
    const locked = await lightning(["put", "k", "v"], { openFailure: new DatabaseLocked({ path: "./data", pid: 4711 }) })
    expect(locked.code).toBe(4)
    expect(locked.err).toMatchInlineSnapshot(`
      "error: The database at ./data is held by process 4711
        Stop the process that writes to it, or wait until it is done. Verbs that only read work beside it.
      "
    `)
    const nothing = await lightning(["get", "k"], { openFailure: new NotADatabase({ path: "./data" }) })
    expect(nothing).toMatchObject({ code: 1, err: expect.stringContaining("error: ./data is not a database\n  Check --path.") })
    const damage = await lightning(["get", "k", "--json"], {
      openFailure: new CorruptFile({ file: "MANIFEST-1", offsetBytes: 12, reason: "BadMagic", detail: "" })
    })
    expect(damage.code).toBe(5)
  })

  it("shows a fault of its own with its stack", async () => {
    const run = await lightning(["get", "k"], { openFailure: new Error("boom") })
    expect(run.code).toBe(1)
    expect(run.err).toMatch(/^error: boom\n {2}This is a fault of lightning itself\..*\nError: boom\n/)
  })

  it("shows control characters escaped", async () => {
    expect((await lightning(["get", "k"], { openFailure: new NotADatabase({ path: "\u001b]0;x\u0007" }) })).err).toContain("\\x1b]0;x\\x07")
  })
})
