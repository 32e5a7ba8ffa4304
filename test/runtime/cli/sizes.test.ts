/** keyspaces, stats, get and put in what they take and refuse; what they do to files is in `ownVerbs.test.ts`. */
import { describe, expect, it } from "vitest"
import { ratesBetween } from "../../../src/runtime/cli/watching/watchStats.ts"
import { MapStore } from "../../support/mapDatabase.ts"
import { lightning } from "./inProcess.ts"

const filled = async (): Promise<MapStore> => {
  const store = new MapStore()
  for (const args of [
    ["put", "a", "1"],
    ["put", "b", "22", "--keyspace", "people"],
    ["put", "c", '{"n":1,"list":[true]}', "--keyspace", "people"],
    ["put", "k", "v", "--keyspace", "tab\there"]
  ])
    expect((await lightning(args, { store })).code).toBe(0)
  return store
}

describe("keyspaces", () => {
  it("lists them with their sizes, the default one first", async () => {
    const store = await filled()
    const { code, opens, out } = await lightning(["keyspaces"], { store })
    expect(code).toBe(0)
    expect(opens).toEqual([{ path: "./data", readOnly: true }])
    expect(out).toBe(
      [
        "keyspace   entries, about  bytes  history",
        "default                 1    2 B",
        "people                  2   25 B",
        "tab\\there               1    2 B",
        ""
      ].join("\n")
    )
    expect(JSON.parse((await lightning(["keyspaces", "--json"], { store })).out)).toEqual({
      keyspaces: [
        { name: "default", entries: 1, bytes: 2 },
        { name: "people", entries: 2, bytes: 25 },
        { name: "tab\there", entries: 1, bytes: 2 }
      ]
    })
    for (const line of (await lightning(["keyspaces"], { store, terminalColumns: 24 })).out.split("\n")) expect(line.length).toBeLessThanOrEqual(24)
  })

  it("creates one, and says where it was there", async () => {
    const store = new MapStore()
    expect((await lightning(["keyspaces", "create", "x", "--history", "7d"], { store })).out).toBe('created keyspace "x", history 7 d\n')
    expect((await lightning(["keyspaces", "create", "x"], { store })).out).toBe('keyspace "x" was there already\n')
    expect(JSON.parse((await lightning(["keyspaces", "create", "y", "--history", "unlimited", "--json"], { store })).out)).toEqual({
      name: "y",
      created: true,
      historyMs: "unlimited"
    })
    expect([...store.spaces.keys()]).toEqual(["", "x", "y"])
    const wrong = await lightning(["keyspaces", "create", "z", "--history", "long"], { store })
    expect(wrong).toMatchObject({ code: 2, opens: [] })
    expect(wrong.err).toContain("or unlimited")
    expect((await lightning(["keyspaces", "create", ""], { store })).code).toBe(2)
  })

  it("drops one only where somebody says so", async () => {
    const store = await filled()
    const asked = await lightning(["keyspaces", "drop", "people"], { store })
    expect(asked).toMatchObject({ code: 2, out: "", opens: [] })
    expect(asked.err).toContain("--yes")
    expect(store.spaces.has("people")).toBe(true)
    const missing = await lightning(["keyspaces", "drop", "nobody", "--yes", "--json"], { store })
    expect(missing).toMatchObject({ code: 3, out: "" })
    expect(JSON.parse(missing.err)).toMatchObject({ error: { tag: "KeyspaceNotFound", exitCode: 3, keyspaces: ["people", "tab\there"] } })
    expect(JSON.parse((await lightning(["keyspaces", "drop", "people", "--yes", "--json"], { store })).out)).toEqual({
      name: "people",
      dropped: true,
      entries: 2,
      bytes: 25,
      sequence: 5
    })
    expect(store.spaces.has("people")).toBe(false)
    expect((await lightning(["keyspaces", "drop", "people", "--yes"], { store, absent: true })).code).toBe(1)
  })
})

describe("stats", () => {
  it("shows no numbers that only the writing process knows", async () => {
    const store = await filled()
    const json = JSON.parse((await lightning(["stats", "--json"], { store })).out)
    for (const name of [
      "blockCache",
      "valueCache",
      "commits",
      "flushes",
      "compactions",
      "writeAmplification",
      "stalls",
      "transactions",
      "snapshots"
    ]) {
      expect(json).not.toHaveProperty(name)
      expect(json.notVisible).toContain(name)
    }
    expect(json).toMatchObject({ visibleSequence: 4, keyspaces: [{ name: "default" }, { name: "people", entries: 2 }, { name: "tab\there" }] })
    const { out } = await lightning(["stats"], { store })
    expect(out).toContain("not visible from outside")
    expect(out).not.toMatch(/write amplification +\d/)
  })

  it("watches in lines or objects where there is no terminal, as often as it is told", async () => {
    const store = await filled()
    const lines = await lightning(["stats", "--watch", "--interval", "100ms", "--count", "3"], { store })
    expect(lines.code).toBe(0)
    expect(
      lines.out
        .split("\n")
        .slice(0, -1)
        .map((line) => /sequence (\d+) {2}commits (\S+)/.exec(line)!.slice(1))
    ).toEqual([
      ["4", "-"],
      ["4", "0/s"],
      ["4", "0/s"]
    ])
    const objects = (await lightning(["stats", "--watch", "--interval", "100ms", "--count", "2", "--json"], { store })).out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
    expect(objects).toHaveLength(2)
    expect(objects[0]).not.toHaveProperty("rates")
    expect(objects[1]).toMatchObject({ visibleSequence: 4, rates: { commitsPerSecond: 0 } })
    expect((await lightning(["stats", "--watch", "--interval", "100ms"], { store, closeAfterWrites: 2 })).code).toBe(0)
  })

  it("refuses flags that make no sense", async () => {
    for (const args of [
      ["--interval", "1s"],
      ["--count", "1"],
      ["--watch", "--interval", "soon"],
      ["--watch", "--interval", "1ms"],
      ["--watch", "--count", "0"]
    ])
      expect(await lightning(["stats", ...args]), args.join(" ")).toMatchObject({ code: 2, opens: [] })
  })

  it("takes rates over the time that has passed", async () => {
    const json = JSON.parse((await lightning(["stats", "--json"], { store: await filled() })).out)
    const at = (atMs: number, visibleSequence: number, log: number) => ({ atMs, values: { ...json, visibleSequence, disk: { ...json.disk, log } } })
    expect(ratesBetween(at(1000, 100, 5000), at(3000, 500, 1000))).toMatchObject({
      seconds: 2,
      commitsPerSecond: 200,
      bytesPerSecond: { log: -2000, tables: 0 }
    })
    expect(ratesBetween(at(1000, 100, 0), at(1000, 100, 0))).toBeUndefined()
  })
})

describe("get --format", () => {
  it("shows a value raw, dumped, indented or as JSON", async () => {
    const store = await filled()
    const get = (...args: ReadonlyArray<string>) => lightning(["get", "c", "--keyspace", "people", ...args], { store })
    expect((await get("--format", "pretty")).out).toBe('{\n  "n": 1,\n  "list": [\n    true\n  ]\n}\n')
    expect((await get("--format", "json")).out).toBe((await get("--json")).out)
    expect((await get("--format", "hex")).out).toMatch(/^00000000 {2}7b 22 6e 22 3a 31 2c 22 {2}.*\|\{"n":1,"list":\[t\|\n00000010 /)
    store.spaces.get("")!.put(Buffer.from("bin"), Buffer.from([0xff, 0x1b]))
    // Raw is raw, also on a terminal: whoever asks for it gets it.
    const raw = await lightning(["get", "bin", "--format", "raw"], { store, terminalColumns: 80 })
    expect(raw.outBytes).toEqual(Buffer.from([0xff, 0x1b]))
    expect(await lightning(["get", "bin", "--format", "pretty"], { store })).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("is not JSON")
    })
    expect(await get("--format", "hex", "--json")).toMatchObject({ code: 2, opens: [] })
    expect(await get("--at", "yesterday")).toMatchObject({ code: 2, opens: [], err: expect.stringContaining("10m ago") })
  })
})

describe("put", () => {
  it("--if-absent leaves what is there, and says so", async () => {
    const store = await filled()
    const refused = await lightning(["put", "a", "2", "--if-absent"], { store })
    expect(refused).toMatchObject({ code: 1, out: "", err: expect.stringContaining("Nothing was changed") })
    expect(store.entries()).toEqual([["a", "1"]])
    expect((await lightning(["put", "new", "2", "--if-absent"], { store })).code).toBe(0)
    expect(store.entries()).toContainEqual(["new", "2"])
  })

  it("--ttl wants a duration", async () => {
    const wrong = await lightning(["put", "a", "1", "--ttl", "soon"])
    expect(wrong).toMatchObject({ code: 2, opens: [] })
    expect(wrong.err).toContain("Give a number and a unit: 500ms")
    const { out } = await lightning(["put", "a", "1", "--ttl", "90m"])
    expect(out).toBe('stored "a", 1 B, sequence 1, sync, for 1 h 30 m\n')
  })
})
