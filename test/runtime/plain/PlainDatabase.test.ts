import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { DatabaseClosed, PermissionDenied } from "../../../src/domain/errors.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import { openPlain } from "../../../src/runtime/plain/PlainDatabase.ts"
import { Database } from "../../../src/services/Database.ts"
import { plainDatabases, refusal, text, texts } from "../../support/plainDatabases.ts"

const { cleanup, openMemory } = plainDatabases()

const textsAsync = async (entries: AsyncIterable<readonly [Uint8Array, Uint8Array]>): Promise<Array<string>> => {
  const found: Array<readonly [Uint8Array, Uint8Array]> = []
  for await (const entry of entries) found.push(entry)
  return texts(found)
}

const directory = (): string => {
  const path = mkdtempSync(join(tmpdir(), "lightning-plain-"))
  cleanup.push(() => rmSync(path, { recursive: true }))
  return path
}

describe("the database for code without Effect", () => {
  it("reads what it wrote, by promise and synchronously", async () => {
    const db = await openMemory()
    expect(await db.put("a", "1")).toMatchObject({ durability: "memory", sequence: expect.any(Number) })
    await db.put(Uint8Array.of(98), Uint8Array.of(50))
    await db.batch([
      { type: "put", key: "c", value: "3" },
      { type: "put", key: "d", value: "4" },
      { type: "delete", key: "d" }
    ])
    expect([text(await db.get("a")), text(db.getSync("b")), await db.getText("c"), db.getTextSync("c")]).toEqual(["1", "2", "3", "3"])
    expect([await db.get("d"), db.getSync("d"), await db.has("a"), db.hasSync("d")]).toEqual([undefined, undefined, true, false])
    expect((await db.getMany(["c", "zzz", "a"])).map(text)).toEqual(["3", undefined, "1"])
    expect(db.getManySync(["c", "zzz", "a"]).map(text)).toEqual(["3", undefined, "1"])
    await db.delete("a")
    expect(texts(db.entriesSync())).toEqual(["b=2", "c=3"])
    expect(await textsAsync(db.entries({ reverse: true }))).toEqual(["c=3", "b=2"])
  })

  it("has its place in the order when a write returns, awaited or not", async () => {
    const db = await openMemory()
    const writes = Array.from({ length: 1000 }, (_, i) => db.put("key", String(i)))
    const sequences = (await Promise.all(writes)).map((result) => result.sequence)
    expect(sequences).toEqual(sequences.map((_, i) => sequences[0]! + i))
    expect(await db.getText("key")).toBe("999")
  })

  it("walks ranges in chunks, and lets go of its lease when broken out of", async () => {
    const db = await openMemory()
    await db.batch(Array.from({ length: 1000 }, (_, i) => ({ type: "put" as const, key: `k${String(i).padStart(4, "0")}`, value: String(i) })))
    expect(await textsAsync(db.entries())).toEqual(texts(db.entriesSync()))
    expect(await textsAsync(db.entries({ gt: "k0990", limit: 2 }))).toEqual(["k0991=991", "k0992=992"])
    expect(await textsAsync(db.entries({ prefix: "nothing" }))).toEqual([])
    let seen = 0
    for await (const entry of db.entries()) {
      expect(entry).toHaveLength(2)
      expect(db.stats().snapshots.open).toBe(1)
      if (++seen === 500) break
    }
    for (const _ of db.entriesSync()) break
    const unused = db.entries()
    await unused.return?.()
    expect(db.stats().snapshots.open).toBe(0)
  })

  it("keeps keyspaces apart, lists and drops them", async () => {
    const db = await openMemory()
    const users = await db.keyspace("users")
    expect(users.name).toBe("users")
    await users.put("a", "user")
    await db.put("a", "default")
    await db.batch([
      { type: "put", key: "b", value: "2", keyspace: "users" },
      { type: "put", key: "b", value: "3" }
    ])
    expect([await users.getText("a"), db.getTextSync("a"), texts(users.entriesSync())]).toEqual(["user", "default", ["a=user", "b=2"]])
    expect((await db.keyspaces()).map((keyspace) => keyspace.name)).toEqual(["users"])
    await db.dropKeyspace("users")
    expect(await db.keyspaces()).toEqual([])
    expect(await refusal(() => users.get("a"))).toMatchObject({ _tag: "KeyspaceDropped" })
    expect(await refusal(() => users.getSync("a"))).toMatchObject({ _tag: "KeyspaceDropped" })
  })

  it("has snapshots that do not move, until they are closed", async () => {
    const db = await openMemory()
    const users = await db.keyspace("users")
    await users.put("u", "1")
    await db.put("a", "before")
    const snapshot = await db.snapshot()
    await db.put("a", "after")
    await users.put("u", "2")
    expect([await snapshot.getText("a"), snapshot.getTextSync("a"), await (await snapshot.keyspace("users")).getText("u")]).toEqual([
      "before",
      "before",
      "1"
    ])
    expect(texts(snapshot.entriesSync())).toEqual(["a=before"])
    expect(await textsAsync(snapshot.entries())).toEqual(["a=before"])
    expect([snapshot.sequence < (await db.put("b", "")).sequence, db.stats().snapshots.open]).toEqual([true, 1])
    await Promise.all([snapshot.close(), snapshot.close()])
    expect(db.stats().snapshots.open).toBe(0)
    for (const read of [() => snapshot.get("a"), () => snapshot.getSync("a"), () => textsAsync(snapshot.entries())]) {
      expect(await refusal(read)).toMatchObject({ _tag: "SnapshotExpired" })
    }
    {
      await using scoped = await db.snapshot()
      expect(await scoped.getText("a")).toBe("after")
    }
    expect(db.stats().snapshots.open).toBe(0)
  })

  it("flushes, compacts, verifies and tells about itself", async () => {
    const db = await openMemory()
    await db.batch(Array.from({ length: 100 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: "x".repeat(100) })))
    await db.flush()
    await db.compact()
    await db.compact({ gte: "k1", lt: "k2" })
    expect(await db.verify()).toMatchObject({ tables: 1 })
    expect(db.stats().flushes.count).toBeGreaterThan(0)
    expect(db.health()).toEqual({ state: "healthy", reasons: [] })
    await db.refresh()
  })

  it("opens a directory, checkpoints it, closes it, and finds everything again", async () => {
    const path = join(directory(), "db")
    const db = await LightningDb.open({ path })
    expect(await db.put("a", "1")).toMatchObject({ durability: "sync" })
    expect(await db.put("b", "2", { durability: "buffered" })).toMatchObject({ durability: "buffered" })
    expect(await db.checkpoint(`${path}-copy`)).toMatchObject({ path: `${path}-copy` })
    expect(await refusal(() => LightningDb.open({ path }))).toMatchObject({ _tag: "DatabaseLocked", pid: process.pid })
    await db.close()
    for (const place of [path, `${path}-copy`]) {
      await using again = await LightningDb.open({ path: place })
      expect(texts(again.entriesSync())).toEqual(["a=1", "b=2"])
    }
  })

  it("acknowledges what was written before it is closed, and refuses everything afterwards", async () => {
    const path = join(directory(), "db")
    const db = await LightningDb.open({ path })
    const users = await db.keyspace("users")
    const snapshot = await db.snapshot()
    await db.put("a", "0")
    const walking = db.entries()
    await walking.next()
    const walkingSync = db.entriesSync()
    walkingSync.next()
    const writes = Array.from({ length: 100 }, (_, i) => db.put(`k${i}`, "x"))
    const closing = db.close()
    const calls: Record<string, () => unknown> = {
      get: () => db.get("a"),
      getSync: () => db.getSync("a"),
      getText: () => db.getText("a"),
      getTextSync: () => db.getTextSync("a"),
      getMany: () => db.getMany([]),
      getManySync: () => db.getManySync([]),
      has: () => db.has("a"),
      hasSync: () => db.hasSync("a"),
      put: () => db.put("a", ""),
      delete: () => db.delete("a"),
      batch: () => db.batch([]),
      entriesSync: () => [...db.entriesSync()],
      entries: () => textsAsync(db.entries()),
      keyspace: () => db.keyspace("x"),
      keyspaces: () => db.keyspaces(),
      dropKeyspace: () => db.dropKeyspace("users"),
      snapshot: () => db.snapshot(),
      flush: () => db.flush(),
      compact: () => db.compact(),
      checkpoint: () => db.checkpoint("x"),
      verify: () => db.verify(),
      stats: () => db.stats(),
      health: () => db.health(),
      refresh: () => db.refresh(),
      "keyspace.get": () => users.get("a"),
      "keyspace.put": () => users.put("a", ""),
      "snapshot.getSync": () => snapshot.getSync("a"),
      "snapshot.keyspace": () => snapshot.keyspace("users"),
      walkingSync: () => [...walkingSync]
    }
    const refusedBy = async (): Promise<Array<string>> => {
      const refused: Array<string> = []
      for (const [name, call] of Object.entries(calls)) if ((await refusal(call)) instanceof DatabaseClosed) refused.push(name)
      return refused
    }
    expect(await refusedBy()).toEqual(Object.keys(calls))
    expect((await Promise.all(writes)).every((result) => result.durability === "sync")).toBe(true)
    await Promise.all([closing, db.close(), db[Symbol.asyncDispose]()])
    expect(await refusedBy()).toEqual(Object.keys(calls))
    expect(await refusal(() => db.get("a"))).toMatchObject({ _tag: "DatabaseClosed", path })
    await snapshot.close()
    await walking.return?.()
    await using again = await LightningDb.open({ path })
    expect(again.getManySync(Array.from({ length: 100 }, (_, i) => `k${i}`)).every((value) => text(value) === "x")).toBe(true)
  })

  it("a chunk that is there is still handed out; the next one is refused once the database is closed", async () => {
    const db = await openMemory()
    await db.batch(Array.from({ length: 5000 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: "" })))
    const walking = db.entries()
    await walking.next()
    await db.close()
    expect(
      await refusal(async () => {
        while (!(await walking.next()).done);
      })
    ).toBeInstanceOf(DatabaseClosed)
  })

  it("settles every call that was under way when it is closed, flushes and compactions on threads included", async () => {
    const path = join(directory(), "db")
    for (let round = 0; round < 3; round++) {
      const db = await LightningDb.open({ path, memtableBytes: 64 * 1024, walSegmentBytes: 64 * 1024, durability: "buffered" })
      const settled: Array<Promise<unknown>> = []
      for (let i = 0; i < 3000; i++)
        settled.push(
          db.put(`key-${round}-${i}`, "x".repeat(100)).then(
            (result) => result.sequence,
            (error: unknown) => error
          )
        )
      settled.push(
        refusal(() => db.flush()),
        refusal(() => db.compact()),
        refusal(() => db.verify())
      )
      if (round > 0) await settled[2999 - round * 1000]
      await db.close()
      const outcomes = await Promise.all(settled)
      for (const outcome of outcomes.slice(0, 3000)) {
        if (typeof outcome !== "number") expect(outcome).toMatchObject({ _tag: expect.stringMatching(/DatabaseClosed|WriteStalled/) })
      }
      for (const outcome of outcomes.slice(3000)) if (typeof outcome !== "string") expect(outcome).toMatchObject({ _tag: "DatabaseClosed" })
      await using again = await LightningDb.open({ path })
      const kept = again.getManySync(Array.from({ length: 3000 }, (_, i) => `key-${round}-${i}`))
      expect(kept.map((value) => value !== undefined)).toEqual(outcomes.slice(0, 3000).map((outcome) => typeof outcome === "number"))
    }
  })

  it("reads beside a writer when opened readOnly, and moves forward on refresh", async () => {
    const path = join(directory(), "db")
    await using writer = await LightningDb.open({ path })
    await writer.put("a", "1")
    await using reader = await LightningDb.open({ path, readOnly: true })
    expect(await reader.getText("a")).toBe("1")
    await writer.put("a", "2")
    await reader.refresh()
    expect(reader.getTextSync("a")).toBe("2")
    expect(await refusal(() => reader.put("a", "3"))).toMatchObject({ _tag: "DatabaseReadOnly" })
    expect(await refusal(() => reader.keyspace("missing"))).toMatchObject({ _tag: "KeyspaceNotFound" })
  })

  it("rejects an open with the typed error, and leaves nothing behind", async () => {
    const path = directory()
    writeFileSync(join(path, "file"), "")
    expect(await refusal(() => LightningDb.open({ path: join(path, "file") }))).toMatchObject({ _tag: "PathIsFile" })
    expect(await refusal(() => LightningDb.open({ path, cacheBytes: -1, memtableByts: 3 } as never))).toMatchObject({
      _tag: "InvalidOptions",
      problems: [expect.stringContaining("memtableByts"), expect.stringContaining("cacheBytes")]
    })
    const denied = new PermissionDenied({ operation: "open", path: "x", code: "EACCES" })
    let released = 0
    const failing = Layer.effect(
      Database,
      Effect.andThen(
        Effect.addFinalizer(() => Effect.sync(() => void released++)),
        Effect.fail(denied)
      )
    )
    expect(await refusal(() => openPlain(failing))).toBe(denied)
    expect(released).toBe(1)
  })
})

describe("wrong types from code without types", () => {
  const wrong = async (call: (db: Record<string, (...given: Array<unknown>) => unknown>) => unknown): Promise<unknown> => {
    const db = await openMemory()
    await db.put("a", "1")
    return refusal(() => call(Object.fromEntries(Object.entries(db))))
  }
  it.each<[string, (db: Record<string, (...given: Array<unknown>) => unknown>) => unknown, object]>([
    ["get of a number", (db) => db["get"]!(5), { _tag: "InvalidKey", reason: "WrongType", found: "a number" }],
    ["getSync of nothing", (db) => db["getSync"]!(), { _tag: "InvalidKey", reason: "WrongType" }],
    ["get of an empty key", (db) => db["get"]!(""), { _tag: "InvalidKey", reason: "Empty" }],
    ["getMany of a string", (db) => db["getMany"]!("abc"), { _tag: "InvalidKey", reason: "WrongType", found: expect.stringContaining("a string") }],
    ["getManySync of null", (db) => db["getManySync"]!(null), { _tag: "InvalidKey", reason: "WrongType" }],
    ["getMany with a wrong key", (db) => db["getMany"]!(["a", {}]), { _tag: "InvalidKey", reason: "WrongType", found: "an object" }],
    ["hasSync of an array", (db) => db["hasSync"]!([]), { _tag: "InvalidKey", reason: "WrongType" }],
    ["put of a number", (db) => db["put"]!("a", 5), { _tag: "InvalidValue", reason: "WrongType", found: "a number" }],
    ["put of a lone surrogate", (db) => db["put"]!("\ud800", ""), { _tag: "InvalidKey", reason: "LoneSurrogate" }],
    ["put with a string for options", (db) => db["put"]!("a", "1", "sync"), { _tag: "InvalidOptions" }],
    ["put with a mistyped option", (db) => db["put"]!("a", "1", { durabilty: "sync" }), { _tag: "InvalidOptions" }],
    ["put with an unknown durability", (db) => db["put"]!("a", "1", { durability: "maybe" }), { _tag: "InvalidOptions" }],
    ["delete of undefined", (db) => db["delete"]!(undefined), { _tag: "InvalidKey", reason: "WrongType" }],
    ["batch of a string", (db) => db["batch"]!("abc"), { _tag: "InvalidBatch" }],
    ["batch of null", (db) => db["batch"]!([null]), { _tag: "InvalidBatch", index: 0 }],
    ["batch with an unknown type", (db) => db["batch"]!([{ type: "upsert", key: "a" }]), { _tag: "InvalidBatch", index: 0 }],
    ["entriesSync of a number", (db) => [...(db["entriesSync"]!(5) as Iterable<unknown>)], { _tag: "InvalidRange" }],
    [
      "entries of an unknown bound",
      (db) => textsAsync(db["entries"]!({ from: "a" }) as AsyncIterable<[Uint8Array, Uint8Array]>),
      { _tag: "InvalidRange" }
    ],
    ["keyspace of a number", (db) => db["keyspace"]!(5), { _tag: "InvalidKeyspaceName" }],
    ["dropKeyspace of nothing", (db) => db["dropKeyspace"]!(), { _tag: "InvalidKeyspaceName" }],
    ["compact of a number", (db) => db["compact"]!(5), { _tag: "InvalidRange" }],
    ["checkpoint of nothing", (db) => db["checkpoint"]!(), { _tag: "InvalidOptions" }],
    ["compact of an inverted range", (db) => db["compact"]!({ gte: "b", lt: "a" }), { _tag: "InvalidRange" }]
  ])("%s", async (_, call, expected) => {
    expect(await wrong(call)).toMatchObject(expected)
  })
})
