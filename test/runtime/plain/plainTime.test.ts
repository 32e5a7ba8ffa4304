import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it } from "vitest"
import { plainDatabases, refusal, text } from "../../support/plainDatabases.ts"

const { openMemory } = plainDatabases({ retention: { history: "1 day", log: "1 day" } })

describe("the past", () => {
  it("is read as a snapshot, of the database and of each keyspace", async () => {
    const db = await openMemory()
    const users = await db.keyspace("users")
    await users.put("u", "1")
    const { sequence } = await db.put("a", "1")
    await db.put("a", "2")
    await users.put("u", "2")
    const then = await db.at(sequence)
    expect([then.sequence, await then.getText("a"), then.getTextSync("a"), await (await then.keyspace("users")).getText("u")]).toEqual([
      sequence,
      "1",
      "1",
      "1"
    ])
    expect((await then.entries().toArray()).map(([key, value]) => `${text(key)}=${text(value)}`)).toEqual(["a=1"])
    const usersThen = await users.at(sequence)
    expect(await usersThen.getText("u")).toBe("1")
    expect(db.stats().snapshots.open).toBe(2)
    await Promise.all([then.close(), usersThen.close()])
    expect(db.stats().snapshots.open).toBe(0)
    expect(await refusal(() => then.get("a"))).toMatchObject({ _tag: "SnapshotExpired" })
    expect(await refusal(() => db.at(sequence + 1000))).toMatchObject({ _tag: "FutureMoment" })
    expect(await refusal(() => db.at(new Date(Number.NaN)))).toMatchObject({ _tag: "InvalidRange" })
    expect(db.stats().snapshots.open).toBe(0)
  })

  it("has the versions of a key", async () => {
    const db = await openMemory()
    const first = await db.put("a", "1")
    await db.put("a", "2")
    await db.delete("a")
    const shown = (await db.history("a").toArray()).map(({ type, value }) => `${type} ${text(value)}`)
    expect(shown).toEqual(["put 1", "put 2", "delete undefined"])
    const newest = await db.history("a", { reverse: true, limit: 1 }).toArray()
    expect(newest.map(({ type }) => type)).toEqual(["delete"])
    for await (const version of db.history("a")) {
      expect(version.sequence).toBe(first.sequence)
      break
    }
    expect(db.stats().snapshots.open).toBe(0)
    expect(await refusal(() => db.history("").next())).toMatchObject({ _tag: "InvalidKey" })
  })
})

describe("values that expire", () => {
  it("are missing from their time on, by ttl or by moment, in batches and transactions as well", async () => {
    const db = await openMemory()
    const users = await db.keyspace("users", { history: "2 days" })
    const past = new Date(0)
    await db.put("a", "1", { expiresAt: past })
    await db.put("b", "1", { ttl: "1 hour" })
    await users.put("c", "1", { expiresAt: past.getTime() })
    await db.batch([
      { type: "put", key: "d", value: "1", expiresAt: past },
      { type: "put", key: "e", value: "1", ttl: 3_600_000 }
    ])
    await db.transaction((tx) => {
      tx.put("f", "1", { expiresAt: past })
      tx.put("g", "1", { ttl: "1 hour" })
    })
    const found = await db.getMany(["a", "b", "d", "e", "f", "g"])
    expect([...found.map(text), await users.getText("c")]).toEqual([undefined, "1", undefined, "1", undefined, "1", undefined])
    const [version] = await db.history("b").toArray()
    expect(version?.expiresAt).toBeGreaterThan(0)
    expect(await refusal(() => db.put("h", "1", { ttl: -1 }))).toMatchObject({ _tag: "InvalidOptions" })
    expect(await refusal(() => db.put("h", "1", { ttl: 1, expiresAt: 1 }))).toMatchObject({ _tag: "InvalidOptions" })
  })
})

describe("the change feed", () => {
  it("shows transactions from a sequence on, with annotations and the results of atomic operations", async () => {
    const db = await openMemory()
    const { sequence } = await db.put("a", "1", { annotation: "first" })
    await db.batch([
      { type: "add", key: "n", value: 2 },
      { type: "delete", key: "a" }
    ])
    await db.transaction((tx) => {
      tx.annotate("second")
      tx.put("b", "1")
      tx.put("c", "1")
    })
    const changes = await db.changes({ from: sequence, live: false }).toArray()
    expect(changes.map((change) => [text(change.annotation), change.operations.map(({ type }) => type).sort()])).toEqual([
      ["first", ["put"]],
      [undefined, ["delete", "put"]],
      ["second", ["put", "put"]]
    ])
    expect(changes[1]!.operations).toContainEqual(expect.objectContaining({ type: "put", atomic: "add" }))
    expect(await db.changes({ from: sequence, prefix: "c", live: false }).toArray()).toHaveLength(1)
  })

  it("shows what was replaced, where the keyspace keeps that", async () => {
    const db = await openMemory()
    const users = await db.keyspace("users", { beforeImages: true })
    const { sequence } = await users.put("u", "1")
    await users.put("u", "2")
    await users.delete("u")
    await db.put("u", "3")
    const changes = await db.changes({ from: sequence, live: false }).toArray()
    const before = changes.map(({ operations: [operation] }) => {
      if (operation === undefined || !("before" in operation)) return "not kept"
      return operation.before === null ? "none" : text(operation.before)
    })
    expect(before).toEqual(["none", "1", "2", "not kept"])
  })

  it("begins with the call, whenever its first step is made, and is live", async () => {
    const db = await openMemory()
    await db.put("before", "1")
    const feed = db.changes()
    const watched = db.watch({ prefix: "a" })
    await db.put("a", "1")
    const seen = [await feed.next(), await watched.next()]
    expect(seen.map(({ value }) => (value !== undefined && "operations" in value ? value.operations.length : value?.type))).toEqual([1, "put"])
    const later = Promise.all([feed.next(), watched.next()])
    await db.delete("a")
    const [change, event] = await later
    expect([change.value?.operations[0]?.type, event.value?.type]).toEqual(["delete", "delete"])
    await Promise.all([feed.return(), watched.return()])
  })

  it("return ends a step that waits for a commit", async () => {
    const db = await openMemory()
    for (const feed of [db.changes(), db.watch({ key: "a" })]) {
      const waiting = feed.next()
      await feed.return()
      expect(await waiting).toEqual({ done: true, value: undefined })
      expect(await feed.next()).toEqual({ done: true, value: undefined })
    }
    expect(db.stats().snapshots.open).toBe(0)
  })

  it("rejects the first step where its options are wrong, and is then at its end", async () => {
    const db = await openMemory()
    for (const [options, expected] of [
      [{ cursor: "nobody" }, "CursorNotFound"],
      [{ from: -1 }, "InvalidRange"],
      [{ keyspace: "nowhere" }, "KeyspaceNotFound"],
      [{ from: 1_000_000 }, "FutureMoment"]
    ] as const) {
      const feed = db.changes(options)
      expect(await refusal(() => feed.next())).toMatchObject({ _tag: expected })
      expect((await feed.next()).done).toBe(true)
    }
  })

  it("goes on from a cursor", async () => {
    const db = await openMemory()
    const made = await db.createCursor("c")
    const { sequence } = await db.put("a", "1")
    expect(made.next).toBeLessThanOrEqual(sequence)
    const read = async () => (await db.changes({ cursor: "c", prefix: "a", live: false }).toArray()).map((change) => change.sequence)
    expect([await read(), await read()]).toEqual([[sequence], [sequence]])
    expect(await db.advanceCursor("c", sequence + 1)).toEqual({ name: "c", next: sequence + 1 })
    expect([await read(), (await db.cursors()).map(({ name }) => name)]).toEqual([[], ["c"]])
    await db.dropCursor("c")
    expect(await refusal(read)).toMatchObject({ _tag: "CursorNotFound" })
  })
})

describe("iterators that were thrown away", () => {
  setFlagsFromString("--expose-gc")
  const collectGarbage = runInNewContext("gc") as () => void

  it("give their leases back once they are collected", async () => {
    const db = await openMemory()
    await db.batch(Array.from({ length: 2000 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: "x" })))
    const leave = async () => {
      await db.entries().next()
      await db.history("k1").next()
    }
    await leave()
    expect(db.stats().snapshots.open).toBeGreaterThan(0)
    for (let round = 0; round < 50 && db.stats().snapshots.open > 0; round++) {
      collectGarbage()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    expect(db.stats().snapshots.open).toBe(0)
  })
})
