import { describe, expect, it } from "vitest"
import { DatabaseClosed } from "../../../src/domain/errors.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import { openPlain } from "../../../src/runtime/plain/PlainDatabase.ts"
import type { PlainTransaction } from "../../../src/runtime/plain/PlainTransaction.ts"
import { interfere, plainDatabases, refusal, refusals } from "../../support/plainDatabases.ts"

const { cleanup, openMemory } = plainDatabases()

describe("begin", () => {
  it("leaves the end to its owner: commit, rollback, or dispose", async () => {
    const db = await openMemory()
    const committed = await db.begin({ durability: "buffered" })
    committed.put("a", "1")
    expect(db.stats().transactions.open).toBe(1)
    expect(await committed.commit()).toMatchObject({ durability: "memory", sequence: expect.any(Number) })
    const rolledBack = await db.begin()
    rolledBack.put("a", "2")
    await rolledBack.rollback()
    let disposed: PlainTransaction
    {
      await using tx = await db.begin()
      tx.put("a", "3")
      disposed = tx
    }
    expect([await db.getText("a"), db.stats().transactions.open]).toEqual(["1", 0])
    for (const tx of [committed, rolledBack, disposed]) expect(await refusals(tx)).toEqual(new Set(["TransactionFinished"]))
    for (const tx of [committed, rolledBack]) {
      expect(await refusal(() => tx.commit())).toMatchObject({ _tag: "TransactionFinished" })
      await tx.rollback()
      await tx[Symbol.asyncDispose]()
    }
    expect(db.stats().transactions).toMatchObject({ committed: 1, rolledBack: 2, open: 0 })
  })

  it("is over after a conflict", async () => {
    const db = await openMemory()
    const tx = await db.begin()
    tx.getText("a")
    await interfere(db, "a")
    tx.put("b", "1")
    expect(await refusal(() => tx.commit())).toMatchObject({ _tag: "TransactionConflict" })
    expect(await refusals(tx)).toEqual(new Set(["TransactionFinished"]))
    expect(db.stats().transactions.open).toBe(0)
  })
})

describe("a transaction that was begun and left", () => {
  it("reads nothing after its timeout, and does not commit", async () => {
    const db = await openMemory()
    const tx = await db.begin({ timeout: 5 })
    tx.put("a", "1")
    await new Promise((resolve) => setTimeout(resolve, 10))
    for (const read of [() => tx.get("a"), () => tx.getMany(["b"]), () => [...tx.entries()]])
      expect(await refusal(read)).toMatchObject({ _tag: "TransactionTooOld", reason: "time" })
    expect(await refusal(() => tx.commit())).toMatchObject({ _tag: "TransactionTimeout", timeoutMs: 5 })
    expect(await refusals(tx)).toEqual(new Set(["TransactionFinished"]))
    expect(await db.get("a")).toBe(undefined)
  })

  it("is released and counted when its lease is over", async () => {
    const db = await openPlain(LightningDb.layerMemory({ snapshotLease: 20 }))
    cleanup.push(db.close)
    const left = await db.begin()
    await left.lock(["a"])
    left.put("a", "1")
    for (let round = 0; round < 100 && db.stats().transactions.abandoned === 0; round++) await new Promise((resolve) => setTimeout(resolve, 10))
    expect(db.stats().transactions).toMatchObject({ abandoned: 1, locksHeld: 0 })
    await db.transaction((tx) => tx.lock(["a"], { timeout: 1000 }))
    expect(await refusal(() => left.get("b"))).toMatchObject({ _tag: "TransactionTooOld" })
    expect(await refusal(() => left.commit())).toMatchObject({ _tag: expect.stringMatching(/TransactionTooOld|TransactionTimeout/) })
    expect(await db.get("a")).toBe(undefined)
  })
})

describe("closing the database", () => {
  it("ends transactions whose bodies still wait, and refuses every later use", async () => {
    const db = await openMemory()
    await db.keyspace("users")
    let kept: PlainTransaction | undefined
    const body = refusal(() =>
      db.transaction((tx) => {
        kept = tx
        tx.put("a", "1")
        return new Promise(() => undefined)
      })
    )
    const handle = await db.begin()
    const feed = db.changes()
    const waiting = refusal(() => feed.next())
    const closing = db.close()
    expect(await body).toBeInstanceOf(DatabaseClosed)
    expect(await waiting).toBeInstanceOf(DatabaseClosed)
    for (const tx of [kept!, handle]) expect(await refusals(tx)).toEqual(new Set(["DatabaseClosed"]))
    const calls: Record<string, () => unknown> = {
      transaction: () => db.transaction(() => 1),
      begin: () => db.begin(),
      commit: () => handle.commit(),
      at: () => db.at(1),
      changes: () => db.changes().next(),
      watch: () => db.watch({ key: "a" }).next(),
      history: () => db.history("a").next(),
      createCursor: () => db.createCursor("c"),
      advanceCursor: () => db.advanceCursor("c", 1),
      dropCursor: () => db.dropCursor("c"),
      cursors: () => db.cursors()
    }
    for (const [name, call] of Object.entries(calls)) expect([name, await refusal(call)]).toEqual([name, expect.any(DatabaseClosed)])
    await handle.rollback()
    await closing
  })

  it("still acknowledges a commit that has its place in the order", async () => {
    const db = await openMemory()
    const commits = Array.from({ length: 20 }, (_, i) => db.transaction((tx) => tx.put(`k${i}`, "x")))
    await db.close()
    const outcomes = await Promise.allSettled(commits)
    expect(outcomes.filter((outcome) => outcome.status === "rejected")).toEqual([])
  })
})
