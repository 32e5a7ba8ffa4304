import { describe, expect, it } from "vitest"
import { DatabaseClosed, TransactionConflict } from "../../../src/domain/errors.ts"
import type { PlainTransaction } from "../../../src/runtime/plain/PlainTransaction.ts"
import { interfere, plainDatabases, refusal, refusals, text, texts } from "../../support/plainDatabases.ts"

const { openMemory } = plainDatabases()

describe("a transaction", () => {
  it("sees its own writes, shows them to nobody, and commits all of them, across keyspaces", async () => {
    const db = await openMemory()
    const users = await db.keyspace("users")
    await db.batch(["a", "b", "c", "d"].map((key) => ({ type: "put" as const, key, value: "0" })))
    const answer = await db.transaction((tx) => {
      tx.put("a", "1")
      tx.delete("b")
      tx.deleteRange({ gte: "d", lt: "e" })
      tx.write([
        { type: "put", key: "e", value: "2" },
        { type: "add", key: "n", value: 5 }
      ])
      tx.keyspace("users").put("u", "3")
      expect([text(tx.get("a")), tx.getText("e"), tx.has("b"), tx.getMany(["c", "d"]).map(text)]).toEqual(["1", "2", false, ["0", undefined]])
      expect(texts(tx.entries({ lt: "f" }))).toEqual(["a=1", "c=0", "e=2"])
      expect(texts(tx.keyspace("users").entries())).toEqual(["u=3"])
      expect([tx.peek.getText("a"), [...tx.peek.entries({ lt: "c" })].length, tx.keyspace("users").peek.has("u")]).toEqual(["1", 1, true])
      expect([db.getTextSync("a"), db.getTextSync("b"), users.getTextSync("u")]).toEqual(["0", "0", undefined])
      return tx.sequence
    })
    expect(answer).toBeGreaterThan(0)
    expect(texts(db.entriesSync({ lt: "f" }))).toEqual(["a=1", "c=0", "e=2"])
    expect([await users.getText("u"), await db.get("n")]).toEqual(["3", Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0)])
    expect(db.stats().transactions).toMatchObject({ open: 0, committed: 1, rolledBack: 0 })
  })

  it("has bodies that answer at once, later, or await what is there already", async () => {
    const db = await openMemory()
    expect(await db.transaction(() => 1)).toBe(1)
    expect(await db.transaction(async () => undefined)).toBe(undefined)
    const body = async (tx: PlainTransaction) => {
      await tx.put("a", "1")
      await new Promise((resolve) => setTimeout(resolve, 1))
      for await (const [key, value] of tx.entries()) expect([text(key), text(value)]).toEqual(["a", "1"])
      return [await tx.getText("a"), await tx.has("b")] as const
    }
    const answer: readonly [string | undefined, boolean] = await db.transaction(body)
    expect(answer).toEqual(["1", false])
    expect(await db.getText("a")).toBe("1")
  })

  it("rejects with the very error of its body, and leaves nothing behind", async () => {
    const db = await openMemory()
    const foreign = new TransactionConflict({ keyspace: "default", start: Uint8Array.of(1), winningSequence: 1, attempts: 1 })
    let runs = 0
    for (const thrown of [new Error("mine"), undefined, null, "text", 0, foreign]) {
      const fail = (tx: PlainTransaction) => {
        runs++
        tx.put("a", "1")
        throw thrown
      }
      expect(await refusal(() => db.transaction(fail))).toBe(thrown)
      expect(
        await refusal(() =>
          db.transaction(async (tx) => {
            await Promise.resolve()
            fail(tx)
          })
        )
      ).toBe(thrown)
    }
    expect(runs).toBe(12)
    expect(await db.get("a")).toBe(undefined)
    expect(db.stats().transactions).toMatchObject({ open: 0, committed: 0, rolledBack: 12, retries: 0 })
  })

  it("throws typed errors where they arise, and goes on if the body does", async () => {
    const db = await openMemory()
    const wrong = (tx: PlainTransaction): Record<string, (...given: Array<unknown>) => unknown> => Object(tx)
    await db.transaction(async (tx) => {
      tx.put("a", "1")
      expect(await refusal(() => wrong(tx)["get"]!(5))).toMatchObject({ _tag: "InvalidKey", reason: "WrongType" })
      expect(await refusal(() => tx.put("", "1"))).toMatchObject({ _tag: "InvalidKey", reason: "Empty" })
      expect(await refusal(() => wrong(tx)["put"]!("b", 5))).toMatchObject({ _tag: "InvalidValue" })
      expect(await refusal(() => [...tx.entries({ gte: "a", gt: "a" })])).toMatchObject({ _tag: "InvalidRange" })
      expect(await refusal(() => wrong(tx)["write"]!("b"))).toMatchObject({ _tag: "InvalidBatch" })
      expect(await refusal(() => tx.keyspace("nowhere"))).toMatchObject({ _tag: "KeyspaceNotFound" })
      expect(await refusal(() => tx.rollbackTo("nowhere"))).toMatchObject({ _tag: "SavepointNotFound" })
      expect(await refusal(() => tx.deleteRange({ gte: "b", lt: "a" }))).toMatchObject({ _tag: "InvalidRange" })
    })
    expect(texts(db.entriesSync())).toEqual(["a=1"])
  })

  it("takes back what came after a savepoint", async () => {
    const db = await openMemory()
    await db.transaction((tx) => {
      tx.put("a", "1")
      tx.savepoint("s")
      tx.put("a", "2")
      tx.put("b", "2")
      tx.rollbackTo("s")
      expect([tx.getText("a"), tx.has("b")]).toEqual(["1", false])
      tx.put("c", "3")
    })
    expect(texts(db.entriesSync())).toEqual(["a=1", "c=3"])
  })

  it("throws TransactionFinished from every use after its end", async () => {
    const db = await openMemory()
    await db.keyspace("users")
    const kept: Array<PlainTransaction> = []
    await db.transaction((tx) => {
      kept.push(tx)
      tx.put("a", "1")
    })
    await refusal(() =>
      db.transaction((tx) => {
        kept.push(tx)
        throw new Error("rolled back")
      })
    )
    await db.transaction((tx) => void kept.push(tx))
    for (const tx of kept) expect(await refusals(tx)).toEqual(new Set(["TransactionFinished"]))
    expect(texts(db.entriesSync())).toEqual(["a=1"])
  })
})

describe("conflicts", () => {
  it("run the body again, with a new transaction, until it commits", async () => {
    const db = await openMemory()
    await db.put("a", "0")
    const runs: Array<PlainTransaction> = []
    await db.transaction(async (tx) => {
      runs.push(tx)
      const read = Number(tx.getText("a"))
      if (runs.length < 4) await interfere(db, "a")
      tx.put("a", String(read + 10))
    })
    expect([await db.getText("a"), runs.length, new Set(runs).size]).toEqual(["13", 4, 4])
    for (const tx of runs) expect(await refusals(tx)).toEqual(new Set(["TransactionFinished"]))
    expect(db.stats().transactions).toMatchObject({ open: 0, committed: 1, conflicts: 3, retries: 3 })
  })

  it.each([
    [false, 1],
    [1, 1],
    [2, 2],
    [5, 5]
  ] as const)("with retry %s end after %i runs", async (retry, expected) => {
    const db = await openMemory()
    let runs = 0
    const error = await refusal(() =>
      db.transaction(
        async (tx) => {
          runs++
          tx.getText("a")
          await interfere(db, "a")
          tx.put("b", "1")
        },
        { retry }
      )
    )
    expect(error).toBeInstanceOf(TransactionConflict)
    expect(error).toMatchObject({ keyspace: "default", attempts: expected, start: Uint8Array.of(97) })
    expect([runs, await db.get("b")]).toEqual([expected, undefined])
  })

  it("lose no update among many transactions at once", async () => {
    const db = await openMemory()
    await Promise.all(
      Array.from({ length: 50 }, () =>
        db.transaction(async (tx) => {
          const read = Number(tx.getText("a") ?? "0")
          await Promise.resolve()
          tx.put("a", String(read + 1))
        })
      )
    )
    expect(await db.getText("a")).toBe("50")
  })

  it("are decided by the isolation asked for: write skew is refused, or allowed", async () => {
    for (const isolation of ["serializable", "snapshot"] as const) {
      const db = await openMemory()
      await db.put("a", "1")
      await db.put("b", "1")
      const first = await db.begin({ isolation })
      const second = await db.begin({ isolation })
      for (const [tx, own] of [
        [first, "a"],
        [second, "b"]
      ] as const) {
        expect([tx.getText("a"), tx.getText("b")]).toEqual(["1", "1"])
        tx.put(own, "0")
      }
      await first.commit()
      const outcome = await refusal(() => second.commit())
      if (isolation === "serializable") expect(outcome).toMatchObject({ _tag: "TransactionConflict", attempts: 1 })
      else expect(outcome).toBe("nothing was refused")
    }
  })

  it("can be added for ranges that were not touched", async () => {
    const db = await openMemory()
    const reader = await db.begin()
    reader.addReadConflict({ prefix: "p" })
    reader.put("mine", "1")
    const writer = await db.begin()
    writer.addWriteConflict({ gte: "p", lt: "q" })
    writer.put("other", "1")
    await writer.commit()
    expect(await refusal(() => reader.commit())).toMatchObject({ _tag: "TransactionConflict" })
    expect(texts(db.entriesSync())).toEqual(["other=1"])
  })

  it("refuse options that are none, before the body runs", async () => {
    const db = await openMemory()
    let runs = 0
    const begun = (options: unknown) => refusal(() => db.transaction(() => void runs++, Object(options)))
    for (const retry of [0, -1, 1.5, Number.NaN, "twice", true, {}]) {
      expect(await begun({ retry })).toMatchObject({ _tag: "InvalidOptions", problems: [expect.stringContaining("retry must be")] })
    }
    expect(await begun({ isolation: "chaos" })).toMatchObject({ _tag: "InvalidOptions" })
    expect(runs).toBe(0)
  })
})

describe("a transaction within a transaction", () => {
  it("is one of its own: it stays when the outer one fails, and the outer one can conflict with it", async () => {
    const db = await openMemory()
    const failure = new Error("outer")
    const failing = db.transaction(async (tx) => {
      tx.put("outer", "1")
      await db.transaction((inner) => inner.put("inner", "1"))
      throw failure
    })
    expect(await refusal(() => failing)).toBe(failure)
    expect(texts(db.entriesSync())).toEqual(["inner=1"])
    const conflicting = db.transaction(
      async (tx) => {
        tx.put("seen", tx.getText("inner")!)
        await db.transaction((inner) => inner.put("inner", "2"))
      },
      { retry: false }
    )
    expect(await refusal(() => conflicting)).toMatchObject({ _tag: "TransactionConflict" })
    expect(texts(db.entriesSync())).toEqual(["inner=2"])
  })
})

describe("a transaction that takes too long", () => {
  it("rejects with TransactionTimeout, whatever its body still waits for", async () => {
    const db = await openMemory()
    let kept: PlainTransaction | undefined
    const endless = db.transaction(
      (tx) => {
        kept = tx
        tx.put("a", "1")
        return new Promise<void>(() => undefined)
      },
      { timeout: 20 }
    )
    expect(await refusal(() => endless)).toMatchObject({ _tag: "TransactionTimeout", timeoutMs: 20 })
    expect(await refusals(kept!)).toEqual(new Set(["TransactionFinished"]))
    expect([await db.get("a"), db.stats().transactions.open]).toEqual([undefined, 0])
  })
})

describe("a transaction whose body keeps the thread too long", () => {
  it("rejects with TransactionTimeout, from its next read or from its commit", async () => {
    const db = await openMemory()
    const keepBusy = (ms: number): void => {
      for (const startedMs = performance.now(); performance.now() - startedMs < ms;);
    }
    for (const readsAgain of [true, false]) {
      const late = db.transaction(
        (tx) => {
          tx.put("a", "1")
          keepBusy(6)
          if (readsAgain) tx.get("b")
        },
        { timeout: 5 }
      )
      expect(await refusal(() => late)).toMatchObject({ _tag: "TransactionTimeout", timeoutMs: 5, attempts: 1 })
    }
    expect(await db.get("a")).toBe(undefined)
  })
})

describe("locks", () => {
  it("exclude each other until the transaction ends", async () => {
    const db = await openMemory()
    const order: Array<string> = []
    const add = (name: string) =>
      db.transaction(
        async (tx) => {
          await tx.lock(["a"])
          order.push(`${name} in`)
          const read = Number(tx.getText("a") ?? "0")
          await new Promise((resolve) => setTimeout(resolve, 2))
          tx.put("a", String(read + 1))
          order.push(`${name} out`)
        },
        { retry: false }
      )
    await Promise.all([add("1"), add("2"), add("3")])
    expect(order).toEqual(["1 in", "1 out", "2 in", "2 out", "3 in", "3 out"])
    expect([await db.getText("a"), db.stats().transactions.locksHeld]).toEqual(["3", 0])
  })

  it("are waited for no longer than asked, and not beyond the end of the transaction", async () => {
    const db = await openMemory()
    const holder = await db.begin()
    await holder.lock(["a"])
    expect(await refusal(() => db.transaction((tx) => tx.lock(["a"], { timeout: 5 })))).toMatchObject({ _tag: "LockTimeout" })
    const waiter = await db.begin()
    const waiting = refusal(() => waiter.lock(["a"], { timeout: "1 minute" }))
    await new Promise((resolve) => setTimeout(resolve, 1))
    expect(db.stats().transactions).toMatchObject({ locksHeld: 1, locksWaiting: 1 })
    await waiter.rollback()
    expect(await waiting).toMatchObject({ _tag: "TransactionFinished" })
    await holder.rollback()
    expect(db.stats().transactions).toMatchObject({ locksHeld: 0, locksWaiting: 0, open: 0 })
  })
})

describe("a wait for a lock", () => {
  it("ends with the body that did not wait for it, with its time, and with the database", async () => {
    const db = await openMemory()
    const holder = await db.begin()
    await holder.lock(["a"])
    const waits: Array<Promise<unknown>> = []
    const wait = (tx: PlainTransaction): void => void waits.push(refusal(() => tx.lock(["a"])))
    await db.transaction(wait)
    await refusal(() =>
      db.transaction((tx) => {
        wait(tx)
        throw new Error("rolled back")
      })
    )
    const late = db.transaction((tx) => tx.lock(["a"]), { timeout: 5 })
    expect(await refusal(() => late)).toMatchObject({ _tag: "TransactionTimeout" })
    expect(await Promise.all(waits.splice(0))).toEqual([
      expect.objectContaining({ _tag: "TransactionFinished", state: "committed" }),
      expect.objectContaining({ _tag: "TransactionFinished", state: "rolledBack" })
    ])
    expect(db.stats().transactions).toMatchObject({ open: 1, locksHeld: 1, locksWaiting: 0 })
    wait(await db.begin())
    waits.push(refusal(() => db.transaction((tx) => tx.lock(["a"]))))
    expect(db.stats().transactions.locksWaiting).toBe(2)
    await db.close()
    expect(await Promise.all(waits)).toEqual([expect.any(DatabaseClosed), expect.any(DatabaseClosed)])
  })
})
