import { describe, expect, it } from "vitest"
import { decodeId, encodeId, keyspaceRowKey, nameInRowKey, nextIdKey } from "../../../src/domain/keys/catalogRows.ts"

const utf8 = new TextEncoder()

describe("catalog rows", () => {
  it("are stored as the format says: k and the name, n alone, ids big-endian", () => {
    expect([...keyspaceRowKey(utf8.encode("añ"))]).toEqual([0x6b, 0x61, 0xc3, 0xb1])
    expect([...nextIdKey]).toEqual([0x6e])
    expect([...encodeId(0x01020304)]).toEqual([1, 2, 3, 4])
    expect([...encodeId(0xffff_fffe)]).toEqual([255, 255, 255, 254])
  })

  it("come back as they were", () => {
    for (const id of [0, 16, 255, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) expect(decodeId(encodeId(id))).toBe(id)
    expect(new TextDecoder().decode(nameInRowKey(keyspaceRowKey(utf8.encode("orders"))))).toBe("orders")
  })

  it("tells what is no row of a keyspace, and no id", () => {
    expect(nameInRowKey(nextIdKey)).toBeUndefined()
    for (const length of [0, 3, 5]) expect(decodeId(new Uint8Array(length))).toBeUndefined()
  })
})
