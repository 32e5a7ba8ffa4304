import { describe, expect, it } from "vitest"
import { NotAtHand } from "../../../src/domain/batch/CommitHead.ts"
import { keyHash } from "../../../src/domain/keys/keyHash.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { Memtable } from "../../../src/domain/memtable/Memtable.ts"
import { CommitMoment } from "../../../src/layers/transactions/CommitMoment.ts"
import type { Memtables } from "../../../src/services/Memtables.ts"
import type { Tables } from "../../../src/services/Tables.ts"

const key = Buffer.from("key")
const hash = keyHash(0, key, 0, key.length)
const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString())

/** A moment over a memtable, with something in tables (or nothing), where validation answers `newest`. */
const moment = (newest: number, hasTables = true) => {
  const memtable = new Memtable(65_536)
  const memtables: Partial<Memtables["Service"]> = { all: () => [memtable], newestOfKey: () => newest }
  const tables = { current: () => ({ levels: [hasTables ? [{}] : []] }) }
  const head = new CommitMoment(memtables as Memtables["Service"], tables as unknown as Tables["Service"])
  head.commitTimeMs = 100
  const put = (kind: number, sequence: number, value: string, expiresAt = 0) =>
    memtable.insert(1, hash, key, 0, key.length, kind, sequence, Buffer.from(value), 0, value.length, expiresAt)
  const value = (evenExpired?: boolean) => text(head.value(1, hash, key, 0, key.length, evenExpired))
  return { head, memtable, put, value: () => value(), lastValue: () => value(true) }
}

const readAhead = (sequence: number, value: string | undefined, expiresAt = 0) =>
  new Map([
    [hash, [{ keyspace: 1, hash, key: new Uint8Array(key), sequence, value: value === undefined ? undefined : Buffer.from(value), expiresAt }]]
  ])

describe("CommitMoment", () => {
  it("looks at the memtables first, at what is not visible yet too: puts, deletes, expiries, range tombstones", () => {
    const { lastValue, memtable, put, value } = moment(0)
    put(Kind.put, 5, "five")
    expect(value()).toBe("five")
    put(Kind.delete, 6, "")
    expect(value()).toBeUndefined()
    put(Kind.put, 7, "seven", 101)
    expect(value()).toBe("seven")
    put(Kind.put, 8, "eight", 100)
    expect(value()).toBeUndefined()
    expect(lastValue()).toBe("eight")
    put(Kind.put, 9, "nine")
    memtable.addRangeTombstone(1, Buffer.from("a"), Buffer.from("z"), 10)
    expect(value()).toBeUndefined()
    put(Kind.put, 11, "eleven")
    expect(value()).toBe("eleven")
  })

  it("what is in no memtable is not at hand, unless there are no tables, or a range delete covers it", () => {
    const { head, memtable, value } = moment(0)
    expect(value).toThrow(NotAtHand as never)
    head.wanted = []
    expect(value()).toBeUndefined()
    expect(head.wanted).toEqual([{ keyspace: 1, hash, key: new Uint8Array(key) }])
    head.wanted = undefined
    memtable.addRangeTombstone(1, Buffer.from("a"), Buffer.from("z"), 10)
    expect(value()).toBeUndefined()
    expect(moment(0, false).value()).toBeUndefined()
  })

  it("a value that was read ahead is good until it expires, and only while nothing newer can have gone by unseen", () => {
    const good = moment(0)
    good.head.prefetched = readAhead(5, "ahead")
    expect(good.value()).toBe("ahead")
    good.head.prefetched = readAhead(5, undefined)
    expect(good.value()).toBeUndefined()
    good.head.prefetched = readAhead(5, "ahead", 101)
    expect(good.value()).toBe("ahead")
    good.head.prefetched = readAhead(5, "ahead", 100)
    expect(good.value()).toBeUndefined()
    expect(good.lastValue()).toBe("ahead")
    // Written since, or more was dropped than can be told from.
    for (const newest of [7, -1]) {
      const stale = moment(newest)
      stale.head.prefetched = readAhead(5, "ahead")
      expect(stale.value).toThrow(NotAtHand as never)
    }
  })
})
