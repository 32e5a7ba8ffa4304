/** Atomic operations: applied in commit order, whatever else writes the key, wherever its value lies; all of a batch or nothing. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { atomicNameOf } from "../../../src/domain/transaction/atomic.ts"
import * as DiskSimulated from "../../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import type { AtomicOperation, Reads } from "../../../src/services/Database.ts"
import { Disk } from "../../../src/services/Disk.ts"
import { directory, openOn, openSimulated } from "../../support/openEngine.ts"
import { openLayer } from "../../support/openLayer.ts"
import { readLog } from "../../support/readLog.ts"
import { places, scanned, settle, small, text } from "./fixture.ts"

const open = openLayer(LightningDb.layerMemory(small))

const numberIn = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true)
const number = (reads: Reads, key: string) => Effect.map(reads.get(key), numberIn)
const numberBytes = (n: bigint) => new Uint8Array(new BigInt64Array([n]).buffer)

/** One inline read in so many is timed, by the clock of the system, and after some slow ones reads go through the pool. */
const readsUntilSlow = 500

describe("atomic operations", () => {
  it.effect("a hundred fibers count on the same keys: the sum is exact, and nothing conflicts", () =>
    Effect.gen(function* () {
      const db = yield* open
      const seen = new Set<string>()
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, fiber) => fiber),
        (fiber) =>
          Effect.gen(function* () {
            for (let i = 1; i <= 30; i++) {
              const { results } = yield* db.write(
                [
                  { type: "add", key: "one", value: 1 },
                  { type: "add", key: `of ten ${i % 10}`, value: BigInt(i) },
                  { type: "max", key: "max", value: fiber * i },
                  { type: "put", key: `f${fiber}`, value: new Uint8Array(100) }
                ],
                { durability: i % 3 === 0 ? "sync" : "buffered" }
              )
              seen.add(String(numberIn(results![0])))
              if (fiber === 50 && i % 10 === 0) yield* db.flush
              if (i % 7 === 0) yield* Effect.yieldNow
            }
          }),
        { concurrency: "unbounded", discard: true }
      )
      expect(yield* number(db, "one")).toBe(3000n)
      // Each commit was told its own number.
      expect(seen.size).toBe(3000)
      for (let i = 0; i < 10; i++) {
        const own = [i, i + 10, i + 20, ...(i === 0 ? [30] : [])].filter((each) => each > 0)
        expect(yield* number(db, `of ten ${i}`)).toBe(BigInt(100 * own.reduce((a, b) => a + b, 0)))
      }
      expect(yield* number(db, "max")).toBe(99n * 30n)
    }).pipe(Effect.scoped)
  )

  it.effect("each does what it says, wherever the value lies, across keyspaces", () =>
    Effect.gen(function* () {
      for (const place of places) {
        const db = yield* open
        const orders = yield* db.keyspace("orders")
        yield* db.write([
          { type: "put", key: "n", value: numberBytes(40n) },
          { type: "put", key: "text", value: "ab" },
          { type: "put", key: "bits", value: Uint8Array.of(0b1100, 1) },
          { type: "put", key: "large", value: "x".repeat(5000) },
          { type: "put", key: "text", value: "in orders", keyspace: "orders" },
          { type: "put", key: "deleted", value: "gone" }
        ])
        if (place === "some of each") yield* db.flush
        yield* db.delete("deleted")
        yield* settle(db, place)
        const { results } = yield* db.write([
          { type: "add", key: "n", value: 2 },
          { type: "min", key: "n", value: 41 },
          { type: "max", key: "n", value: -1n },
          { type: "and", key: "bits", value: Uint8Array.of(0b1010) },
          { type: "or", key: "bits", value: Uint8Array.of(1) },
          { type: "xor", key: "bits", value: Uint8Array.of(0, 255) },
          { type: "append", key: "text", value: "cd" },
          { type: "append", key: "large", value: "yy", bytesMax: 5002 },
          { type: "append", key: "text", value: "!", keyspace: "orders" },
          { type: "compareAndSet", key: "deleted", expected: undefined, value: "back" },
          { type: "setOnce", key: "text", value: "not this" },
          { type: "setOnce", key: "new", value: "this" },
          { type: "compareAndSet", key: "text", expected: "abcd", value: undefined }
        ])
        expect(results!.slice(0, 3).map(numberIn), place).toEqual([42n, 41n, 41n])
        expect(results!.slice(3, 6)).toEqual([Uint8Array.of(0b1000, 0), Uint8Array.of(0b1001, 0), Uint8Array.of(0b1001, 255)])
        expect(results!.slice(6).map(text)).toEqual(["abcd", `${"x".repeat(5000)}yy`, "in orders!", "back", "abcd", "this", undefined])
        expect(yield* number(db, "n")).toBe(41n)
        expect((yield* db.getText("large"))!.length).toBe(5002)
        expect(yield* orders.getText("text")).toBe("in orders!")
        expect((yield* db.getMany(["text", "deleted", "new"])).map(text)).toEqual([undefined, "back", "this"])
        // The default keyspace of a write on a keyspace is that one.
        yield* orders.write([{ type: "append", key: "text", value: "?" }])
        expect(yield* orders.getText("text")).toBe("in orders!?")
        yield* settle(db, place)
        expect(yield* number(db, "n")).toBe(41n)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("what cannot be applied fails the whole batch, and names itself", () =>
    Effect.gen(function* () {
      const db = yield* open
      yield* db.write([
        { type: "put", key: "full", value: numberBytes(2n ** 63n - 1n) },
        { type: "put", key: "text", value: "abc" }
      ])
      const before = yield* scanned(db)
      const { sequence } = yield* db.put("last", "1")
      for (const [operation, reason] of [
        [{ type: "add", key: "full", value: 1 }, "Overflow"],
        [{ type: "min", key: "text", value: 1 }, "NotANumber"],
        [{ type: "append", key: "text", value: "de", bytesMax: 4 }, "TooLarge"],
        [{ type: "compareAndSet", key: "text", expected: "ab", value: "x" }, "Compare"],
        [{ type: "compareAndSet", key: "missing", expected: "", value: "x" }, "Compare"]
      ] as ReadonlyArray<readonly [AtomicOperation, string]>) {
        const failure = yield* Effect.flip(
          db.write([{ type: "put", key: "other", value: "1" }, { type: "add", key: "counter", value: 1 }, operation])
        )
        expect(failure).toMatchObject({ _tag: "AtomicOperationFailed", reason, index: 2 })
        expect(failure.message).toContain("operation 2")
      }
      for (const operation of [
        { type: "add", key: "n", value: 1.5 },
        { type: "add", key: "n" },
        { type: "append", key: "n", value: "", bytesMax: -1 }
      ]) {
        const failure = yield* Effect.flip(db.write([{ type: "put", key: "other", value: "1" }, operation as AtomicOperation]))
        expect(failure).toMatchObject({ _tag: expect.stringMatching(/^Invalid/), index: 1 })
      }
      expect(yield* scanned(db)).toEqual([before[0], "last=1", before[1]])
      expect((yield* db.put("next", "1")).sequence).toBe(sequence + 1)
    }).pipe(Effect.scoped)
  )

  it.effect("of many that compare and set one key, each step succeeds once", () =>
    Effect.gen(function* () {
      const db = yield* open
      const won: Array<number> = []
      const lost: Array<number> = []
      const step = (fiber: number, from: string | undefined, to: string) =>
        db.write([{ type: "compareAndSet", key: "state", expected: from, value: to }]).pipe(
          Effect.match({
            onSuccess: () => void won.push(fiber),
            onFailure: (error) => {
              expect(error).toMatchObject({ _tag: "AtomicOperationFailed", reason: "Compare" })
              lost.push(fiber)
            }
          })
        )
      for (const [from, to] of [
        [undefined, "a"],
        ["a", "b"],
        ["b", "c"]
      ] as const)
        yield* Effect.forEach(
          Array.from({ length: 20 }, (_, fiber) => fiber),
          (fiber) => step(fiber, from, to),
          { concurrency: "unbounded" }
        )
      expect([won.length, lost.length]).toEqual([3, 57])
      expect(yield* db.getText("state")).toBe("c")
      const once = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, fiber) => fiber),
        (fiber) => Effect.map(db.write([{ type: "setOnce", key: "leader", value: `f${fiber}` }]), ({ results }) => text(results![0])),
        { concurrency: "unbounded" }
      )
      expect(new Set(once)).toEqual(new Set([yield* db.getText("leader")]))
    }).pipe(Effect.scoped)
  )

  it.effect("versionstamps ascend in commit order, also of concurrent writers, and tell where their commit is", () =>
    Effect.gen(function* () {
      const db = yield* open
      const made: Array<readonly [number, Uint8Array]> = []
      yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => i),
        (i) =>
          Effect.map(
            db.write([
              { type: "versionstampedKey", key: "log/", suffix: "/x", value: `first of ${i}` },
              { type: "versionstampedKey", key: "log/", value: `second of ${i}` },
              { type: "versionstampedValue", key: `v${i}`, value: "at " }
            ]),
            ({ results, sequence }) => {
              made.push([sequence, results![0]!], [sequence, results![1]!])
              expect(results![2]!.length).toBe(13)
            }
          ),
        { concurrency: "unbounded" }
      )
      const stampOf = (key: Uint8Array) => new DataView(key.buffer, key.byteOffset + 4)
      for (const [sequence, key] of made) expect(stampOf(key).getBigUint64(0)).toBe(BigInt(sequence))
      const keys = made.toSorted(([a, x], [b, y]) => a - b || compareBytes(x, y)).map(([, key]) => key)
      const stored = Array.from(db.unsafe.entries({ prefix: "log/" }), ([key]) => key)
      expect(stored).toEqual(keys)
      const value = (yield* db.get("v7"))!
      expect(text(value.subarray(0, 3))).toBe("at ")
      expect(new DataView(value.buffer, value.byteOffset + 3).getUint16(8)).toBe(2)
    }).pipe(Effect.scoped)
  )

  it.effect("what has expired is no value to them, and what they leave never expires", () =>
    Effect.gen(function* () {
      const db = yield* open
      yield* db.write([
        { type: "put", key: "n", value: numberBytes(40n), ttl: 1000 },
        { type: "put", key: "m", value: numberBytes(40n), ttl: 1000 },
        { type: "put", key: "o", value: "old", ttl: 1000 }
      ])
      yield* db.write([{ type: "add", key: "n", value: 1 }])
      yield* TestClock.adjust(1000)
      yield* db.write([
        { type: "add", key: "n", value: 1 },
        { type: "add", key: "m", value: 1 },
        { type: "setOnce", key: "o", value: "new" }
      ])
      yield* TestClock.adjust("1 hour")
      expect([yield* number(db, "n"), yield* number(db, "m"), yield* db.getText("o")]).toEqual([42n, 1n, "new"])
    }).pipe(Effect.scoped)
  )

  it.live("values that have to be read from a slow disk first are those of the commit's turn: no count is lost", () =>
    Effect.gen(function* () {
      let reads = 0
      const disk = new SimulatedDisk({
        onOperation: ({ kind, path }) => {
          if (kind !== "readAt" || !path.endsWith(".table")) return
          reads++
          // Slower than what is read inline: such blocks come through the pool, while others write.
          for (const from = performance.now(); performance.now() - from < 0.2;);
        }
      })
      const db = yield* openSimulated(disk, { cacheBytes: 0, memtableBytes: 65_536 })
      const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
      yield* db.write(keys.map((key) => ({ type: "add", key, value: 1000 })))
      yield* Effect.andThen(db.flush, db.compact())
      for (let i = 0; i < readsUntilSlow; i++) yield* db.get(`k${i % 20}`)
      reads = 0
      yield* Effect.forEach(
        Array.from({ length: 40 }, (_, fiber) => fiber),
        (fiber) =>
          Effect.gen(function* () {
            for (let i = 0; i < 10; i++) {
              const [one, other] = [`k${(fiber + i) % 20}`, `k${(fiber * 7 + i * 3) % 20}`]
              const { results } = yield* db.write([
                { type: "add", key: one, value: 1 },
                { type: "add", key: other, value: 2 }
              ])
              expect(results!.every((result) => numberIn(result)! >= 1001n)).toBe(true)
              // What is known of a key moves from the memtable to a table again.
              if (fiber === 0 && i % 4 === 3) yield* db.flush
            }
          }),
        { concurrency: "unbounded", discard: true }
      )
      expect(reads).toBeGreaterThan(20)
      let sum = 0n
      for (const key of keys) sum += (yield* number(db, key))!
      expect(sum).toBe(20_000n + 40n * 10n * 3n)
    }).pipe(Effect.scoped)
  )

  it.live("a value read in advance that was overtaken, even into a table, is read again", () =>
    Effect.gen(function* () {
      const simulated = new SimulatedDisk({
        onOperation: ({ kind, path }) => {
          if (kind === "readAt" && path.endsWith(".table")) for (const from = performance.now(); performance.now() - from < 0.2;);
        }
      })
      const disk = DiskSimulated.make(simulated)
      const gate = Latch.makeUnsafe(true)
      let waiting = 0
      const gated = Layer.succeed(Disk, {
        ...disk,
        read: (handle, into, position) =>
          Effect.suspend(() => {
            waiting++
            return Effect.andThen(gate.await, disk.read(handle, into, position))
          })
      })
      const db = yield* openOn(gated, directory, { cacheBytes: 0 })
      yield* db.write([
        { type: "put", key: "n", value: numberBytes(40n) },
        ...Array.from({ length: 100 }, (_, i) => ({ type: "put" as const, key: `f${i}`, value: new Uint8Array(500) }))
      ])
      yield* Effect.andThen(db.flush, db.compact())
      for (const put of [true, false]) {
        const add = Effect.forkChild(db.write([{ type: "add", key: "n", value: 1 }]), { startImmediately: true })
        let adding = yield* add
        // Whether a read goes through the pool is the engine's choice, which changes now and then: until one does.
        for (let attempt = 0; attempt < 100; attempt++) {
          yield* Fiber.join(adding)
          yield* Effect.andThen(db.flush, db.compact())
          for (let i = 0; i < 40; i++) yield* db.get(`f${(attempt + i) % 100}`)
          gate.closeUnsafe()
          waiting = 0
          adding = yield* add
          for (let i = 0; waiting === 0 && i < 100; i++) yield* Effect.yieldNow
          if (waiting > 0) break
          gate.openUnsafe()
        }
        expect(waiting).toBe(1)
        yield* put ? db.put("n", numberBytes(100n)) : db.write([{ type: "deleteRange", prefix: "n" }])
        yield* db.flush
        gate.openUnsafe()
        const { results } = yield* Fiber.join(adding)
        expect(numberIn(results![0])).toBe(put ? 101n : 1n)
        expect(yield* number(db, "n")).toBe(put ? 101n : 1n)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("the log holds what they resulted in, with what they were: reopening repeats nothing", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      for (let turn = 0; turn < 5; turn++) {
        const scope = yield* Scope.make()
        const db = yield* Effect.provideService(openSimulated(disk, { cacheBytes: 0 }), Scope.Scope, scope)
        expect(yield* number(db, "n")).toBe(turn === 0 ? undefined : BigInt(turn * 100))
        for (let i = 0; i < 100; i++)
          yield* db.write([
            { type: "add", key: "n", value: 1 },
            { type: "append", key: `a${i}`, value: String(turn) }
          ])
        if (turn === 1) yield* Effect.andThen(db.flush, db.compact())
        if (turn === 2) yield* db.flush
        expect(yield* db.getText("a77")).toBe("01234".slice(0, turn + 1))
        yield* Scope.close(scope, Exit.void)
      }
      const last = readLog(disk).at(-1)!
      expect(last.operations).toMatchObject([
        { type: "put", value: numberBytes(500n), annotation: Uint8Array.of(1, ...numberBytes(1n)) },
        { type: "put", value: new TextEncoder().encode("01234") }
      ])
      expect(last.operations.map((each) => (each.type === "put" ? atomicNameOf(each.annotation) : undefined))).toEqual(["add", "append"])
    })
  )
})
