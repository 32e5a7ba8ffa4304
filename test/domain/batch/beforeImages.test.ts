/** The values that the operations of a batch replace: which are looked up, how they stand beside the operations, what they count for. */
import { describe, expect, it } from "vitest"
import { Batch } from "../../../src/domain/batch/Batch.ts"
import { type CommitHead, NotAtHand } from "../../../src/domain/batch/CommitHead.ts"
import { BatchTooLarge } from "../../../src/domain/errors.ts"
import { keyHash } from "../../../src/domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../../src/domain/keys/keyspaceSeed.ts"
import { expiryKeyspace, Kind } from "../../../src/domain/keys/kinds.ts"

const limits = { seed: 77, valueBytesMax: 1000, batchBytesMax: 1 << 20 }
const utf8 = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** A head with these values under "keyspace/key". Those of `expired` it gives only to who asks for them too. */
const headWith = (values: Readonly<Record<string, string>>, expired: Readonly<Record<string, string>> = {}) => {
  const looks: Array<string> = []
  const head: CommitHead = {
    sequence: 9,
    commitTimeMs: 50_000,
    value: (keyspace, hash, key, start, end, evenExpired) => {
      expect(hash).toBe(keyHash(keyspaceSeed(limits.seed, keyspace), key, start, end))
      const name = `${keyspace}/${decode(key.subarray(start, end))}`
      looks.push(name)
      const found = values[name] ?? (evenExpired === true ? expired[name] : undefined)
      return found === undefined ? undefined : utf8(found)
    }
  }
  return { head, looks }
}

const filled = (fill: (batch: Batch) => void, own: Partial<typeof limits> = {}): Batch => {
  const batch = new Batch({ ...limits, ...own })
  fill(batch)
  batch.finish()
  return batch
}

/** What stands beside each operation: text, null (there was none), or undefined (not kept). */
const imagesOf = (batch: Batch): ReadonlyArray<readonly [string, string | null | undefined]> =>
  Array.from({ length: batch.count }, (_, i) => {
    const image = batch.beforeImages?.[i]
    return [
      `${batch.keyspaces[i]}/${decode(batch.keyBytes.subarray(batch.keyStarts[i], batch.keyEnds[i]))}`,
      image === null || image === undefined ? image : decode(image)
    ]
  })

const thrownBy = (action: () => void): unknown => {
  try {
    action()
  } catch (cause) {
    return cause
  }
  return undefined
}

const always = () => true

describe("before-images of a batch", () => {
  it("are what puts, deletes and expires replace; null where there was nothing", () => {
    const { head, looks } = headWith({ "1/a": "old a", "1/c": "old c", "1/empty": "" }, { "1/e": "expired" })
    const batch = filled((b) => {
      b.addPut(1, "a", "new")
      b.addPut(1, "b", "new")
      b.addDelete(1, "c")
      b.addDelete(1, "d")
      b.addExpire(1, utf8("e"), 40_000, 3)
      b.addPut(1, "empty", "new")
    })
    batch.findBeforeImages(head, always)
    expect(imagesOf(batch)).toEqual([
      ["1/a", "old a"],
      ["1/b", null],
      ["1/c", "old c"],
      ["1/d", null],
      ["1/e", "expired"],
      ["1/empty", ""]
    ])
    expect(looks).toEqual(["1/a", "1/b", "1/c", "1/d", "1/e", "1/empty"])
  })

  it("also hold what had expired when a put or a delete replaced it", () => {
    const { head } = headWith({}, { "1/put": "stale", "1/deleted": "stale too" })
    const batch = filled((b) => {
      b.addPut(1, "put", "new")
      b.addDelete(1, "deleted")
    })
    batch.findBeforeImages(head, always)
    expect(imagesOf(batch)).toEqual([
      ["1/put", "stale"],
      ["1/deleted", "stale too"]
    ])
  })

  it("are found once for each key: of what was there before the batch, not of what the batch wrote in between", () => {
    const { head, looks } = headWith({ "1/a": "old" })
    const batch = filled((b) => {
      b.addPut(1, "a", "first")
      b.addDelete(1, "a")
      b.addPut(1, "a", "last")
    })
    batch.findBeforeImages(head, always)
    expect(imagesOf(batch)).toEqual([["1/a", "old"]])
    expect(looks).toEqual(["1/a"])
  })

  it("are none under a range delete of the same batch, which nobody asks the head for", () => {
    const { head, looks } = headWith({ "1/a": "a", "1/m": "m", "1/p": "p", "1/z": "z", "16/m": "of another keyspace" })
    const batch = filled((b) => {
      b.addPut(1, "a", "1")
      b.addDeleteRange(1, "l", "n")
      b.addDeleteRange(1, "o", "q")
      b.addPut(1, "m", "2")
      b.addDelete(1, "p")
      b.addPut(1, "z", "3")
      b.addPut(16, "m", "4")
    })
    batch.findBeforeImages(head, always)
    expect(batch.rangeCount).toBe(2)
    expect(Array.from(batch.kinds.subarray(0, 2))).toEqual([Kind.rangeDelete, Kind.rangeDelete])
    expect(imagesOf(batch)).toEqual([
      ["1/l", undefined],
      ["1/o", undefined],
      ["1/a", "a"],
      ["1/m", null],
      ["1/p", null],
      ["1/z", "z"],
      ["16/m", "of another keyspace"]
    ])
    expect(looks).toEqual(["1/a", "1/z", "16/m"])
  })

  it("are kept only in the keyspaces that want them", () => {
    const { head, looks } = headWith({ "1/a": "a", "16/a": "a of 16", "1/b": "b", "16/c": "c of 16", "16/d": "d of 16" })
    const batch = filled((b) => {
      b.addPut(1, "a", "1")
      b.addPut(16, "a", "2")
      b.addPut(1, "b", "3")
      b.addDelete(16, "c")
      b.addDelete(16, "d")
      b.addPut(1, "z", "4")
    })
    const asked: Array<number> = []
    batch.findBeforeImages(head, (keyspace) => asked.push(keyspace) > 0 && keyspace === 16)
    expect(imagesOf(batch)).toEqual([
      ["1/a", undefined],
      ["16/a", "a of 16"],
      ["1/b", undefined],
      ["16/c", "c of 16"],
      ["16/d", "d of 16"],
      ["1/z", undefined]
    ])
    expect(looks).toEqual(["16/a", "16/c", "16/d"])
    // Once for each run of operations in one keyspace.
    expect(asked).toEqual([1, 16, 1, 16, 1])
  })

  it("are not there at all where no keyspace wants them, nor in a batch without points", () => {
    const { head, looks } = headWith({ "1/a": "a" })
    const unwanted = filled((b) => b.addPut(1, "a", "1"))
    unwanted.findBeforeImages(head, () => false)
    expect(unwanted.beforeImages).toBeUndefined()
    const ranges = filled((b) => b.addDeleteRange(1, "a", "b"))
    ranges.findBeforeImages(head, always)
    expect(ranges.beforeImages).toBeUndefined()
    expect(looks).toEqual([])
  })

  it("are not looked for beside the rows of what expires, which no keyspace of the application holds", () => {
    const { head, looks } = headWith({ "1/a": "a" })
    const batch = filled((b) => b.addPut(1, "a", "1", 60_000))
    batch.findBeforeImages(head, (keyspace) => keyspace !== expiryKeyspace)
    expect(batch.count).toBe(2)
    expect(batch.beforeImages).toEqual([utf8("a")])
    expect(looks).toEqual(["1/a"])
  })

  it("go with the batch: reset leaves none, and they are found anew", () => {
    const batch = filled((b) => b.addPut(1, "a", "1"))
    batch.findBeforeImages(headWith({ "1/a": "a" }).head, always)
    batch.findBeforeImages(headWith({ "1/a": "b" }).head, always)
    expect(imagesOf(batch)).toEqual([["1/a", "b"]])
    batch.reset()
    expect(batch.beforeImages).toBeUndefined()
  })

  describe("count against the bound of a batch", () => {
    // Keys and new values: 2 + 2 bytes.
    const two = (b: Batch) => {
      b.addPut(1, "a", "1")
      b.addPut(1, "b", "2")
    }
    const { head } = headWith({ "1/a": "12345", "1/b": "123456" })

    it("up to it", () => {
      const batch = filled(two, { batchBytesMax: 15 })
      batch.findBeforeImages(head, always)
      expect(batch.beforeImages).toEqual([utf8("12345"), utf8("123456")])
      // What callers gave is still told apart.
      expect(batch.bytes).toBe(4)
    })

    it("and not beyond, which is told with what they take", () => {
      const batch = filled(two, { batchBytesMax: 14 })
      const thrown = thrownBy(() => batch.findBeforeImages(head, always))
      expect(thrown).toBeInstanceOf(BatchTooLarge)
      expect(thrown).toMatchObject({ bytes: 15, bytesMax: 14, beforeImageBytes: 11 })
      expect(batch.beforeImages).toBeUndefined()
    })

    it("but not those of a keyspace that wants none, nor what expires", () => {
      const batch = filled(
        (b) => {
          two(b)
          b.addExpire(16, utf8("e"), 40_000, 3)
        },
        { batchBytesMax: 5 }
      )
      batch.findBeforeImages(headWith({ "1/a": "12345" }, { "16/e": "x".repeat(500) }).head, (keyspace) => keyspace === 16)
      expect(imagesOf(batch)).toEqual([
        ["1/a", undefined],
        ["1/b", undefined],
        ["16/e", "x".repeat(500)]
      ])
    })
  })

  it("that are not at hand give up the turn, and leave the batch as it was for the next try", () => {
    const missing = new NotAtHand(1, utf8("b"))
    const { head } = headWith({ "1/a": "a", "1/b": "b" })
    const batch = filled((b) => {
      b.addPut(1, "a", "1")
      b.addPut(1, "b", "2")
    })
    const giving: CommitHead = {
      ...head,
      value: (keyspace, hash, key, start, end, evenExpired) => {
        if (key[start] === 0x62) throw missing
        return head.value(keyspace, hash, key, start, end, evenExpired)
      }
    }
    expect(thrownBy(() => batch.findBeforeImages(giving, always))).toBe(missing)
    expect(batch.beforeImages).toBeUndefined()
    batch.findBeforeImages(head, always)
    expect(batch.beforeImages).toEqual([utf8("a"), utf8("b")])
  })
})
