/** Atomic operations and expiries in a batch: what is resolved against what, and what is left to be written. */
import * as Duration from "effect/Duration"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Batch } from "../../../src/domain/batch/Batch.ts"
import { type CommitHead, NotAtHand } from "../../../src/domain/batch/CommitHead.ts"
import { normalise, normaliseOne } from "../../../src/domain/batch/normalise.ts"
import { decodeExpiryRow } from "../../../src/domain/keys/expiryRows.ts"
import { keyHash } from "../../../src/domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../../src/domain/keys/keyspaceSeed.ts"
import { expiryKeyspace, Kind } from "../../../src/domain/keys/kinds.ts"
import { atomicNameOf } from "../../../src/domain/transaction/atomic.ts"

const limits = { seed: 77, valueBytesMax: 1000, batchBytesMax: 1 << 20 }
const keyspaceOf = (name: string | undefined): number => (name === undefined ? 1 : 16)
const now = 50_000
const utf8 = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : new TextDecoder().decode(bytes))

/** A head with these values in keyspace 1, of which it counts the looks. */
const headWith = (values: Readonly<Record<string, string>> = {}) => {
  const looks: Array<string> = []
  const head: CommitHead = {
    sequence: 0x0102,
    commitTimeMs: now,
    value: (keyspace, hash, key, start, end) => {
      expect(hash).toBe(keyHash(keyspaceSeed(limits.seed, keyspace), key, start, end))
      const name = `${keyspace === 1 ? "" : `${keyspace}/`}${decode(key.subarray(start, end))}`
      looks.push(name)
      const found = values[name]
      return found === undefined ? undefined : utf8(found)
    }
  }
  return { head, looks }
}

interface Written {
  readonly kind: number
  readonly keyspace: number
  readonly key: string | undefined
  readonly value: string | undefined
  readonly expiresAt: number
  readonly by: string | undefined
}

const contents = (batch: Batch): Array<Written> =>
  Array.from({ length: batch.count }, (_, i) => {
    const key = batch.keyBytes.subarray(batch.keyStarts[i], batch.keyEnds[i])
    const keyspace = batch.keyspaces[i]!
    if (batch.kinds[i] !== Kind.rangeDelete) expect(batch.hashes[i]).toBe(keyHash(keyspaceSeed(limits.seed, keyspace), key, 0, key.length))
    return {
      kind: batch.kinds[i]!,
      keyspace,
      key: decode(key),
      value: decode(batch.valueBytes[i]!.subarray(batch.valueStarts[i], batch.valueEnds[i])),
      expiresAt: batch.expiresAt[i]!,
      by: atomicNameOf(batch.annotationOf(i))
    }
  })

/** One write over a fresh batch. */
const written = (operations: ReadonlyArray<object>, values: Readonly<Record<string, string>> = {}) => {
  const batch = new Batch(limits)
  const { head, looks } = headWith(values)
  normalise(batch, operations, keyspaceOf, head)
  return { batch, looks, points: contents(batch), results: batch.results?.map(decode) }
}

describe("atomic operations in a batch", () => {
  it("become the put they result in, annotated", () => {
    const { batch, looks, points, results } = written(
      [
        { type: "append", key: "a", value: "2" },
        { type: "put", key: "b", value: "x" }
      ],
      { a: "1" }
    )
    expect(points).toEqual([
      { kind: Kind.put, keyspace: 1, key: "a", value: "12", expiresAt: 0, by: "append" },
      { kind: Kind.put, keyspace: 1, key: "b", value: "x", expiresAt: 0, by: undefined }
    ])
    expect(results).toEqual(["12"])
    expect(looks).toEqual(["a"])
    expect(batch.readHead).toBe(true)
    expect(batch.bytes).toBe(5)
  })

  it("see the earlier operations of their own batch, and no others", () => {
    const { looks, points, results } = written(
      [
        { type: "put", key: "put", value: "p" },
        { type: "append", key: "put", value: "1" },
        { type: "append", key: "put", value: "2" },
        { type: "delete", key: "deleted" },
        { type: "append", key: "deleted", value: "1" },
        { type: "deleteRange", gte: "r", lt: "s" },
        { type: "append", key: "range", value: "1" },
        { type: "append", key: "range", value: "2" },
        { type: "append", key: "s", value: "1" },
        { type: "put", key: "x1", value: "gone" },
        { type: "deleteRange", prefix: "x" },
        { type: "append", key: "x1", value: "1" },
        { type: "append", key: "x1", value: "2", keyspace: "other" },
        { type: "append", key: "later", value: "1" },
        { type: "put", key: "later", value: "wins" }
      ],
      { put: "head", deleted: "head", range: "head", s: "head", x1: "head", "16/x1": "there", later: "head" }
    )
    expect(results).toEqual(["p1", "p12", "1", "1", "12", "head1", "1", "there2", "head1"])
    expect(looks).toEqual(["s", "16/x1", "later"])
    expect(points.filter(({ kind }) => kind === Kind.put).map(({ by, key, keyspace, value }) => [keyspace, key, value, by])).toEqual([
      [1, "put", "p12", "append"],
      [1, "deleted", "1", "append"],
      [1, "range", "12", "append"],
      [1, "s", "head1", "append"],
      [1, "x1", "1", "append"],
      [16, "x1", "there2", "append"],
      [1, "later", "wins", undefined]
    ])
    expect(points.slice(0, 2).map(({ by, key, kind }) => [kind, key, by])).toEqual([
      [Kind.rangeDelete, "r", undefined],
      [Kind.rangeDelete, "x", undefined]
    ])
  })

  it("compareAndSet may delete, setOnce may write nothing", () => {
    const { batch, points, results } = written(
      [
        { type: "compareAndSet", key: "a", expected: "1", value: undefined },
        { type: "setOnce", key: "b", value: "new" },
        { type: "setOnce", key: "c", value: "new" },
        { type: "setOnce", key: "c", value: "newer" },
        { type: "setOnce", key: "a", value: "again" }
      ],
      { a: "1", b: "old" }
    )
    expect(points).toEqual([
      { kind: Kind.put, keyspace: 1, key: "c", value: "new", expiresAt: 0, by: "setOnce" },
      { kind: Kind.put, keyspace: 1, key: "a", value: "again", expiresAt: 0, by: "setOnce" }
    ])
    expect(results).toEqual([undefined, "old", "new", "new", "again"])
    const nothing = written([{ type: "setOnce", key: "b", value: "new" }], { b: "old" })
    expect(nothing.points).toEqual([])
    expect(nothing.batch.readHead).toBe(true)
    batch.reset()
    expect([batch.results, batch.readHead, batch.annotationOf(0)]).toEqual([undefined, false, undefined])
    const deleted = written([{ type: "compareAndSet", key: "a", expected: "1", value: undefined }], { a: "1" })
    expect(deleted.points).toEqual([{ kind: Kind.delete, keyspace: 1, key: "a", value: "", expiresAt: 0, by: "compareAndSet" }])
  })

  it("versionstamps hold the sequence and the place in the batch, and look at nothing", () => {
    const { batch, looks } = written([
      { type: "put", key: "z", value: "" },
      { type: "versionstampedKey", key: "k", suffix: "/s", value: "v" },
      { type: "versionstampedValue", key: "v", value: "w" }
    ])
    const stamp = (index: number) => [0, 0, 0, 0, 0, 0, 1, 2, 0, index]
    const key = Uint8Array.from([...utf8("k"), ...stamp(1), ...utf8("/s")])
    const value = Uint8Array.from([...utf8("w"), ...stamp(2)])
    expect(batch.keyBytes.slice(batch.keyStarts[1], batch.keyEnds[1])).toEqual(key)
    expect(batch.valueBytes[2]!.slice(batch.valueStarts[2], batch.valueEnds[2])).toEqual(value)
    expect(batch.results).toEqual([key, value])
    expect([1, 2].map((i) => atomicNameOf(batch.annotationOf(i)))).toEqual(["versionstampedKey", "versionstampedValue"])
    expect(looks).toEqual([])
    expect(batch.readHead).toBe(false)
  })

  it("hand out results that are nobody else's memory", () => {
    const mine = utf8("mine")
    const batch = new Batch(limits)
    normalise(batch, [{ type: "setOnce", key: "a", value: mine }], keyspaceOf, headWith().head)
    expect(batch.results![0]).not.toBe(mine)
    batch.results![0]![0] = 0
    expect(decode(mine)).toBe("mine")
  })

  it("let through that a value is not at hand, and can be tried again", () => {
    const batch = new Batch(limits)
    const operations = [
      { type: "put", key: "a", value: "1" },
      { type: "append", key: "b", value: "2" }
    ]
    const away: CommitHead = {
      ...headWith().head,
      value: (keyspace, _hash, key, start, end) => {
        throw new NotAtHand(keyspace, key.slice(start, end))
      }
    }
    expect(() => normalise(batch, operations, keyspaceOf, away)).toThrow(expect.objectContaining({ keyspace: 1, key: utf8("b") }))
    batch.reset()
    normalise(batch, operations, keyspaceOf, headWith({ b: "x" }).head)
    expect(contents(batch).map(({ value }) => value)).toEqual(["1", "x2"])
  })

  it("name their place where they fail, also for transactions that add one after the other", () => {
    const batch = new Batch(limits)
    const { head } = headWith({ a: "1" })
    expect(() => normaliseOne(batch, 9, 1, { type: "add", key: "a", value: 1 }, head)).toThrow(
      expect.objectContaining({ _tag: "AtomicOperationFailed", reason: "NotANumber", index: 9 })
    )
    batch.reset()
    for (const [operation, error] of [
      [
        { type: "add", key: "", value: 1 },
        { _tag: "InvalidKey", index: 9 }
      ],
      [
        { type: "setOnce", key: "a", value: 5 },
        { _tag: "InvalidValue", index: 9 }
      ],
      [
        { type: "versionstampedKey", key: "k".repeat(65_530), value: "" },
        { _tag: "InvalidKey", reason: "TooLong", index: 9 }
      ],
      [
        { type: "increment", key: "a" },
        { _tag: "InvalidBatch", index: 9, detail: expect.stringContaining('"versionstampedValue"') }
      ]
    ] as const) {
      expect(() => normaliseOne(batch, 9, 1, operation, head)).toThrow(expect.objectContaining(error))
      batch.reset()
    }
    normaliseOne(batch, 0, 16, { type: "put", key: "a", value: "1", keyspace: "not looked at" } as object, head)
    normaliseOne(batch, 1, 16, { type: "append", key: "a", value: "2" }, head)
    batch.finish()
    expect(contents(batch)).toEqual([{ kind: Kind.put, keyspace: 16, key: "a", value: "12", expiresAt: 0, by: "append" }])
  })

  it("equal a map that the operations are applied to one by one", () => {
    const key = fc.constantFrom("a", "b", "c", "d", "ba")
    const value = fc.constantFrom("", "1", "22", "333")
    const operation = fc.oneof(
      fc.record({ type: fc.constant("put" as const), key, value, ttl: fc.constantFrom(undefined, 0, 5) }),
      fc.record({ type: fc.constant("delete" as const), key }),
      fc.record({ type: fc.constant("deleteRange" as const), gte: fc.constantFrom("a", "b"), lt: fc.constantFrom("b", "bb", "c") }),
      fc.record({ type: fc.constant("append" as const), key, value }),
      fc.record({ type: fc.constant("setOnce" as const), key, value }),
      fc.record({ type: fc.constant("or" as const), key, value })
    )
    const batch = new Batch(limits)
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), fc.dictionary(key, value), (operations, start) => {
        const map = new Map<string, string>(Object.entries(start))
        const results: Array<string> = []
        const leave = (key: string, value: string) => {
          map.set(key, value)
          results.push(value)
        }
        for (const each of operations) {
          if (each.type === "deleteRange") {
            for (const key of [...map.keys()]) if (key >= each.gte && key < each.lt) map.delete(key)
            continue
          }
          const before = map.get(each.key)
          if (each.type === "put") {
            if (each.ttl === 0) map.delete(each.key)
            else map.set(each.key, each.value)
          } else if (each.type === "delete") map.delete(each.key)
          else if (each.type === "append") leave(each.key, (before ?? "") + each.value)
          else if (each.type === "setOnce") leave(each.key, before ?? each.value)
          else {
            const [long, short] = [before ?? "", each.value].sort((a, b) => b.length - a.length).map(utf8)
            leave(each.key, decode(long!.map((byte, i) => byte | (short![i] ?? 0)))!)
          }
        }
        const { head } = headWith(start)
        batch.reset()
        normalise(
          batch,
          operations.filter((each) => each.type !== "deleteRange" || each.gte < each.lt),
          keyspaceOf,
          head
        )
        const after = new Map<string, string>(Object.entries(start))
        for (const { expiresAt, key, keyspace, kind, value } of contents(batch)) {
          if (keyspace === expiryKeyspace) continue
          if (kind === Kind.rangeDelete) {
            for (const each of [...after.keys()]) if (each >= key! && each < value!) after.delete(each)
          } else if (kind === Kind.delete || (expiresAt !== 0 && expiresAt <= now)) after.delete(key!)
          else after.set(key!, value!)
        }
        expect(after).toEqual(map)
        expect(batch.results?.map(decode) ?? []).toEqual(results)
      }),
      { seed: 20_261_122, numRuns: 500 }
    )
  })

  it("see each range delete before them, and no later one, among thousands", () => {
    const operations: Array<object> = []
    const expected: Array<string> = []
    for (let i = 0; i < 3000; i++) {
      const key = `k${String(i % 300).padStart(3, "0")}`
      // Every other round, what the round before has left is deleted, one key at a time.
      const deletes = i % 600 >= 300
      if (deletes) operations.push({ type: "deleteRange", gte: key, lt: `${key}!` })
      operations.push({ type: "append", key, value: "1" })
      expected.push(i < 300 ? "head1" : deletes ? "1" : "11")
    }
    const heads = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`k${String(i).padStart(3, "0")}`, "head"]))
    const { looks, points, results } = written(operations, heads)
    expect(results).toEqual(expected)
    expect(looks).toHaveLength(300)
    expect(points.filter(({ kind }) => kind === Kind.put).map(({ value }) => value)).toEqual(Array.from({ length: 300 }, () => "1"))
  })

  it("are found among many, with the table growing between them", () => {
    const operations: Array<object> = []
    for (let i = 0; i < 3000; i++) operations.push({ type: "append", key: `k${i % 500}`, value: String(i % 7) })
    const { looks, points } = written(operations)
    expect(looks).toHaveLength(500)
    expect(points).toHaveLength(500)
    for (const { key, value } of points) {
      const first = Number(key!.slice(1))
      expect(value).toBe(Array.from({ length: 6 }, (_, turn) => (first + 500 * turn) % 7).join(""))
    }
  })
})

describe("expiry in a batch", () => {
  const rowsOf = (batch: Batch) =>
    Array.from({ length: batch.count }, (_, i) => i)
      .filter((i) => batch.keyspaces[i] === expiryKeyspace)
      .map((i) => {
        const { expiresAt, key, keyspace } = decodeExpiryRow(batch.keyBytes.subarray(batch.keyStarts[i], batch.keyEnds[i]))
        return [batch.kinds[i], expiresAt, keyspace, decode(key), batch.valueEnds[i]! - batch.valueStarts[i]!]
      })

  it("counts from the commit, in every form a time has", () => {
    for (const [given, expected] of [
      [{}, 0],
      [{ ttl: undefined, expiresAt: undefined }, 0],
      [{ ttl: 10 }, now + 10],
      [{ ttl: 0 }, now],
      [{ ttl: 0.5 }, now + 1],
      [{ ttl: "2 seconds" }, now + 2000],
      [{ ttl: { seconds: 2, milliseconds: 5 } }, now + 2005],
      [{ ttl: { seconds: 0 } }, now],
      [{ ttl: Duration.minutes(1) }, now + 60_000],
      [{ ttl: [2, 0] }, now + 2000],
      [{ ttl: Infinity }, 0],
      [{ ttl: 2 ** 53 }, 0],
      [{ expiresAt: now - 5 }, now - 5],
      [{ expiresAt: new Date(now + 7) }, now + 7],
      [{ expiresAt: now + 0.1 }, now + 1],
      [{ expiresAt: -3 }, 1],
      [{ expiresAt: Infinity }, 0]
    ] as const) {
      const { points } = written([{ type: "put", key: "a", value: "1", ...given }])
      expect(
        points.filter(({ keyspace }) => keyspace === 1).map(({ expiresAt }) => expiresAt),
        JSON.stringify(given)
      ).toEqual([expected])
    }
  })

  it.each<readonly [object, string]>([
    [{ ttl: 1, expiresAt: 1 }, "both"],
    [{ ttl: -1 }, "-1"],
    [{ ttl: Number.NaN }, "NaN"],
    [{ ttl: "soon" }, '"soon"'],
    [{ ttl: null }, "null"],
    [{ ttl: {} }, "an object"],
    [{ ttl: { second: 5 } }, "an object"],
    [{ ttl: { seconds: -5 } }, "an object"],
    [{ expiresAt: Number.NaN }, "NaN"],
    [{ expiresAt: "2030-01-01" }, '"2030-01-01"'],
    [{ expiresAt: new Date("nonsense") }, "an invalid Date"],
    [{ expiresAt: null }, "null"]
  ])("refuses %o", (expiry, found) => {
    expect(() =>
      written([
        { type: "put", key: "a", value: "1" },
        { type: "put", key: "b", value: "1", ...expiry }
      ])
    ).toThrow(expect.objectContaining({ _tag: "InvalidBatch", index: 1, detail: expect.stringContaining(found) }))
  })

  it("brings a row for each value that is left and expires, and for no other", () => {
    const { batch } = written([
      { type: "put", key: "replaced", value: "1", ttl: 1 },
      { type: "put", key: "replaced", value: "2" },
      { type: "put", key: "covered", value: "1", ttl: 2 },
      { type: "deleteRange", prefix: "cov" },
      { type: "put", key: "moved", value: "1", ttl: 3 },
      { type: "put", key: "moved", value: "2", ttl: 4 },
      { type: "put", key: "kept", value: "1", ttl: 5 },
      { type: "put", key: "kept", value: "1", ttl: 6, keyspace: "other" },
      { type: "put", key: "added", value: "1", ttl: 7 },
      { type: "append", key: "added", value: "2" },
      { type: "put", key: "plain", value: "1" }
    ])
    expect(rowsOf(batch)).toEqual([
      [Kind.put, now + 4, 1, "moved", 0],
      [Kind.put, now + 5, 1, "kept", 0],
      [Kind.put, now + 6, 16, "kept", 0]
    ])
    expect(batch.kinds[0]).toBe(Kind.rangeDelete)
    expect(batch.firstExpiry).toBe(now + 4)
    batch.reset()
    expect(batch.firstExpiry).toBe(Infinity)
    normalise(batch, [{ type: "put", key: "plain", value: "1" }], keyspaceOf, headWith().head)
    expect(rowsOf(batch)).toEqual([])
    expect(contents(batch)).toEqual([{ kind: Kind.put, keyspace: 1, key: "plain", value: "1", expiresAt: 0, by: undefined }])
    expect(batch.firstExpiry).toBe(Infinity)
  })

  it("keeps rows of the longest keys, and of many", () => {
    const key = "k".repeat(65_536)
    const { batch } = written([{ type: "put", key, value: "1", ttl: 1 }])
    expect(rowsOf(batch)).toEqual([[Kind.put, now + 1, 1, key, 0]])
    const many = written(Array.from({ length: 1000 }, (_, i) => ({ type: "put", key: `k${i}`, value: "v", ttl: i + 1 }))).batch
    expect(rowsOf(many)).toEqual(Array.from({ length: 1000 }, (_, i) => [Kind.put, now + i + 1, 1, `k${i}`, 0]))
  })

  it("writes what the reaper asks for, and its rows away", () => {
    const batch = new Batch(limits)
    for (let i = 0; i < 100; i++) {
      const key = utf8(`k${i}`)
      batch.addExpire(16, key, 900 + i, 40 + i)
      batch.addExpiryRowDelete(900 + i, 16, key)
    }
    batch.finish()
    expect(rowsOf(batch)).toEqual(Array.from({ length: 100 }, (_, i) => [Kind.delete, 900 + i, 16, `k${i}`, 0]))
    for (let i = 0; i < 100; i++) {
      expect([batch.kinds[2 * i], batch.expiresAt[2 * i], batch.versions[2 * i]]).toEqual([Kind.expire, 900 + i, 40 + i])
    }
    expect(batch.firstExpiry).toBe(Infinity)
  })
})
