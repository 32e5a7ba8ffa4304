import { describe, expect, it } from "vitest"
import {
  decodeId,
  decodeKeyspaceRow,
  decodeMarkRow,
  encodeId,
  encodeKeyspaceRow,
  historyMsMax,
  keyspaceRowKey,
  markRowKey,
  markRowValue,
  nameInRowKey,
  nextIdKey
} from "../../../src/domain/keys/catalogRows.ts"

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

  it("keep the history of a keyspace after its id, and nothing where it has none of its own", () => {
    expect([...encodeKeyspaceRow({ id: 16, historyMs: undefined })]).toEqual([0, 0, 0, 16])
    expect([...encodeKeyspaceRow({ id: 16, historyMs: 86_400_000 })]).toEqual([0, 0, 0, 16, 1, 0, 0, 0, 0, 5, 0x26, 0x5c, 0])
    expect([...encodeKeyspaceRow({ id: 16, historyMs: Infinity })]).toEqual([0, 0, 0, 16, 1, 255, 255, 255, 255, 255, 255, 255, 255])
    for (const historyMs of [undefined, 0, 1, 2 ** 40, historyMsMax, Infinity]) {
      expect(decodeKeyspaceRow(encodeKeyspaceRow({ id: 0xffff_fffe, historyMs }))).toEqual({ id: 0xffff_fffe, historyMs })
    }
    expect(decodeKeyspaceRow(encodeKeyspaceRow({ id: 16, historyMs: 0.5 }))).toEqual({ id: 16, historyMs: 1 })
    for (const value of [
      [],
      [0, 0, 0],
      [0, 0, 0, 16, 1],
      [0, 0, 0, 16, 9, 0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 16, 1, 255, 255, 255, 255, 255, 255, 255, 254]
    ]) {
      expect(decodeKeyspaceRow(new Uint8Array(value))).toBeUndefined()
    }
  })

  it("keep how many versions of a key a keyspace keeps, instead of a time", () => {
    expect([...encodeKeyspaceRow({ id: 16, historyMs: 0, historyVersions: 3 })]).toEqual([0, 0, 0, 16, 3, 0, 0, 0, 3])
    expect([...encodeKeyspaceRow({ id: 16, historyMs: 0, historyVersions: 3, beforeImages: true })]).toEqual([0, 0, 0, 16, 2, 1, 3, 0, 0, 0, 3])
    for (const historyVersions of [1, 258, 1_000_000]) {
      const row = { id: 17, historyMs: 0, historyVersions, beforeImages: undefined }
      expect(decodeKeyspaceRow(encodeKeyspaceRow(row))).toEqual(row)
    }
    for (const value of [
      [0, 0, 0, 16, 3, 0, 0, 3],
      [0, 0, 0, 16, 3, 0, 0, 0, 0],
      [0, 0, 0, 16, 3, 0, 0x0f, 0x42, 0x41],
      [0, 0, 0, 16, 1, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 3]
    ]) {
      expect(decodeKeyspaceRow(new Uint8Array(value))).toBeUndefined()
    }
  })

  it("keep whether a keyspace has before-images behind that, and nothing where it does not say", () => {
    expect([...encodeKeyspaceRow({ id: 16, beforeImages: true })]).toEqual([0, 0, 0, 16, 2, 1])
    expect([...encodeKeyspaceRow({ id: 16, beforeImages: false })]).toEqual([0, 0, 0, 16, 2, 0])
    expect([...encodeKeyspaceRow({ id: 16, historyMs: 1, beforeImages: true })]).toEqual([0, 0, 0, 16, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1])
    for (const historyMs of [undefined, 0, Infinity])
      for (const beforeImages of [undefined, false, true])
        expect(decodeKeyspaceRow(encodeKeyspaceRow({ id: 16, historyMs, beforeImages }))).toEqual({ id: 16, historyMs, beforeImages })
    for (const value of [
      [0, 0, 0, 16, 2],
      [0, 0, 0, 16, 2, 2],
      [0, 0, 0, 16, 2, 1, 0],
      [0, 0, 0, 16, 2, 1, 2, 1],
      [0, 0, 0, 16, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    ])
      expect(decodeKeyspaceRow(new Uint8Array(value))).toBeUndefined()
  })

  it("mark a second by t and its number, and say whether marks end there", () => {
    expect([...markRowKey(1_700_000_000)]).toEqual([0x74, 0, 0, 0, 0, 0x65, 0x53, 0xf1, 0])
    expect([...markRowValue(false), ...markRowValue(true)]).toEqual([0, 1])
    for (const second of [0, 1, 2 ** 32, 2 ** 40]) {
      for (const isLast of [false, true]) expect(decodeMarkRow(markRowKey(second), markRowValue(isLast))).toEqual({ second, isLast })
    }
    expect(decodeMarkRow(markRowKey(1), new Uint8Array([2]))).toBeUndefined()
    expect(decodeMarkRow(markRowKey(1), new Uint8Array(0))).toBeUndefined()
    expect(decodeMarkRow(nextIdKey, markRowValue(false))).toBeUndefined()
    expect(decodeMarkRow(new Uint8Array([0x74, 255, 255, 255, 255, 255, 255, 255, 255]), markRowValue(false))).toBeUndefined()
  })
})
