import { describe, expect, it } from "vitest"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { applyAtomic, type ValueAtomic } from "../../../src/domain/transaction/atomic.ts"
import { AtomicChain, deleted, type Pending, type PendingWrite, WriteKind, WriteSet } from "../../../src/domain/transaction/WriteSet.ts"
import { Prng } from "../memtable/model.ts"

const keyCount = 12
const keyOf = (n: number) => new Uint8Array([n >> 1, n])
/** So few that different keys meet. */
const hashOf = (keyspace: number, n: number) => (n * 31 + keyspace) % 5

const appended = (text: string): ValueAtomic => ({ type: "append", operand: Buffer.from(text), bytesMax: 1000 })

/** What a key is after the writes, taken one by one; `"S"` is the snapshot's value. */
const modelled = (writes: ReadonlyArray<PendingWrite>, keyspace: number, key: Uint8Array): string | undefined => {
  let value: string | undefined = "S"
  for (const write of writes) {
    if (write.keyspace !== keyspace) continue
    if (write.kind === WriteKind.deleteRange) {
      if (compareBytes(write.key, key) <= 0 && compareBytes(key, write.value!) < 0) value = undefined
    } else if (compareBytes(write.key, key) === 0) {
      if (write.kind === WriteKind.put) value = Buffer.from(write.value!).toString()
      if (write.kind === WriteKind.delete) value = undefined
      if (write.kind === WriteKind.atomic) value = (value ?? "") + Buffer.from((write.atomic as { operand: Uint8Array }).operand).toString()
    }
  }
  return value
}

const settled = (pending: Pending): string | undefined => {
  if (pending === undefined) return "S"
  if (pending === deleted) return undefined
  if (!(pending instanceof AtomicChain)) return Buffer.from(pending).toString()
  let value: Uint8Array | undefined = pending.onSnapshot ? Buffer.from("S") : pending.base
  for (const operation of pending.operations) value = applyAtomic(operation, value, 0)
  return value === undefined ? undefined : Buffer.from(value).toString()
}

const random = (prng: Prng): PendingWrite => {
  const keyspace = 1 + prng.below(2)
  const n = prng.below(keyCount)
  const text = String.fromCharCode(97 + prng.below(26))
  const write = { keyspace, hash: hashOf(keyspace, n), key: keyOf(n), value: undefined, atomic: undefined, operation: undefined }
  switch (prng.below(7)) {
    case 0:
      return { ...write, kind: WriteKind.delete }
    case 1: {
      const m = n + 1 + prng.below(4)
      return { ...write, kind: WriteKind.deleteRange, hash: 0, value: keyOf(m) }
    }
    case 2:
      return { ...write, kind: WriteKind.conflict, hash: 0, value: keyOf(n + 1) }
    case 3:
    case 4:
      return { ...write, kind: WriteKind.atomic, atomic: appended(text) }
    case 5:
      return { ...write, kind: WriteKind.stamped }
    default:
      return { ...write, kind: WriteKind.put, value: Buffer.from(text) }
  }
}

const check = (set: WriteSet, what: string): void => {
  for (let keyspace = 1; keyspace <= 2; keyspace++) {
    const touched: Array<string> = []
    for (let n = 0; n < keyCount; n++) {
      const key = keyOf(n)
      const padded = new Uint8Array([9, 9, ...key, 9])
      expect(settled(set.pending(keyspace, hashOf(keyspace, n), padded, 2, 4)), `${what}, key ${n}`).toBe(modelled(set.writes, keyspace, key))
    }
    const lower = keyOf(2)
    const upper = keyOf(9)
    const overlay = set.overlay(keyspace, lower, upper)
    for (const { key, pending } of overlay) {
      touched.push(String(key))
      expect(settled(pending), `${what}, overlay ${key}`).toBe(modelled(set.writes, keyspace, key))
    }
    // Ascending, each once; what it leaves out is covered by range deletes or untouched.
    const ranges = set.rangeDeletes()
    for (let n = 2; n < 9; n++) {
      const key = keyOf(n)
      if (touched.includes(String(key))) continue
      expect(ranges?.cover(keyspace, key) === true ? undefined : "S", `${what}, beside the overlay ${n}`).toBe(modelled(set.writes, keyspace, key))
    }
    expect(overlay.map(({ key }) => key)).toEqual(overlay.map(({ key }) => key).sort(compareBytes))
    expect(new Set(touched).size).toBe(touched.length)
  }
}

describe("WriteSet", () => {
  it("reads and walks as the writes taken one by one, few or many, and after each is taken back", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const prng = new Prng(seed)
      const set = new WriteSet(1 << 20)
      const bytes = [0]
      for (let n = 0; n < 40; n++) {
        if (set.position > 0 && prng.below(8) === 0) {
          const position = prng.below(set.position + 1)
          set.rollbackTo(position)
          bytes.length = position + 1
          expect(set.bytes, `seed ${seed}`).toBe(bytes[position])
        } else {
          set.add(random(prng))
          bytes.push(set.bytes)
        }
        check(set, `seed ${seed}, step ${n}`)
      }
    }
  })

  it("what a scan began with does not change with later writes or with what is taken back", () => {
    const set = new WriteSet(1000)
    const put = (n: number, text: string) =>
      set.add({ kind: WriteKind.put, keyspace: 1, hash: n, key: keyOf(n), value: Buffer.from(text), atomic: undefined, operation: undefined })
    put(1, "a")
    set.add({ kind: WriteKind.deleteRange, keyspace: 1, hash: 0, key: keyOf(4), value: keyOf(6), atomic: undefined, operation: undefined })
    const overlay = set.overlay(1, undefined, undefined)
    const ranges = set.rangeDeletes()!
    put(2, "b")
    set.add({ kind: WriteKind.deleteRange, keyspace: 1, hash: 0, key: keyOf(7), value: keyOf(9), atomic: undefined, operation: undefined })
    expect(ranges.cover(1, keyOf(8))).toBe(false)
    set.rollbackTo(0)
    expect(overlay.map(({ pending }) => settled(pending))).toEqual(["a"])
    expect(ranges.cover(1, keyOf(5))).toBe(true)
    expect(set.rangeDeletes()).toBeUndefined()
    expect(set.bytes).toBe(0)
  })

  it("is bounded in bytes, and refuses without adding", () => {
    const set = new WriteSet(500)
    const write: PendingWrite = {
      kind: WriteKind.put,
      keyspace: 1,
      hash: 1,
      key: keyOf(1),
      value: new Uint8Array(250),
      atomic: undefined,
      operation: undefined
    }
    set.add(write)
    const { bytes } = set
    expect(() => set.add(write)).toThrow("writes")
    expect(set.position).toBe(1)
    expect(set.bytes).toBe(bytes)
  })

  it("knows whether it only takes away", () => {
    const set = new WriteSet(1 << 20)
    const write = { keyspace: 1, hash: hashOf(1, 1), key: keyOf(1), value: undefined, atomic: undefined, operation: undefined }
    set.add({ ...write, kind: WriteKind.delete })
    set.add({ ...write, kind: WriteKind.deleteRange, hash: 0, value: keyOf(3) })
    expect(set.onlyTakesAway).toBe(true)
    set.add({ ...write, kind: WriteKind.put, value: keyOf(5) })
    expect(set.onlyTakesAway).toBe(false)
    set.rollbackTo(2)
    expect(set.onlyTakesAway).toBe(true)
  })
})
