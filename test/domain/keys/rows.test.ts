import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { cursorRowKey, cursorRowsFrom, cursorRowsTo, decodeCursor, encodeCursor, nameInCursorRowKey } from "../../../src/domain/keys/cursorRows.ts"
import { droppedRowKey, droppedRowsFrom, droppedRowsTo, idInDroppedRowKey } from "../../../src/domain/keys/droppedRows.ts"

const seed = 20_261_121
const utf8 = (text: string) => new TextEncoder().encode(text)
const sign = (a: Uint8Array, b: Uint8Array) => Math.sign(compareBytes(a, b))
const isWithin = (key: Uint8Array, from: Uint8Array, to: Uint8Array) => compareBytes(from, key) <= 0 && compareBytes(key, to) < 0

const name = fc.uint8Array({ minLength: 0, maxLength: 12 })
const id = fc.integer({ min: 0, max: 0xffff_ffff })
const lineage = fc.uint8Array({ minLength: 16, maxLength: 16 })

describe("rows of durable cursors", () => {
  it("are c and the name, with the next sequence and the lineage", () => {
    expect(cursorRowKey(utf8("mail"))).toEqual(utf8("cmail"))
    const lineageId = Uint8Array.from({ length: 16 }, (_, i) => 16 + i)
    const value = encodeCursor(0x0001_0203_0405_0607, lineageId)
    expect([...value]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31])
    expect(decodeCursor(value)).toEqual({ next: 0x0001_0203_0405_0607, lineageId })
  })

  it("give back what they were made of", () => {
    fc.assert(
      fc.property(name, fc.maxSafeNat(), lineage, (nameUtf8, next, lineageId) => {
        const key = cursorRowKey(nameUtf8)
        expect(nameInCursorRowKey(key)).toEqual(nameUtf8)
        expect(isWithin(key, cursorRowsFrom, cursorRowsTo)).toBe(true)
        expect(decodeCursor(encodeCursor(next, lineageId))).toEqual({ next, lineageId })
      }),
      { seed }
    )
    const last = encodeCursor(Number.MAX_SAFE_INTEGER, new Uint8Array(16).fill(255))
    expect(decodeCursor(last)).toEqual({ next: Number.MAX_SAFE_INTEGER, lineageId: new Uint8Array(16).fill(255) })
  })

  it("are in the order of their names", () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(sign(cursorRowKey(a), cursorRowKey(b))).toBe(sign(a, b))
      }),
      { seed }
    )
  })

  it("keep what they were made of: the arrays given may be used again", () => {
    const given = utf8("mail")
    const lineageId = new Uint8Array(16).fill(7)
    const key = cursorRowKey(given)
    const value = encodeCursor(5, lineageId)
    given.fill(0)
    lineageId.fill(0)
    expect(key).toEqual(utf8("cmail"))
    expect(decodeCursor(value)?.lineageId).toEqual(new Uint8Array(16).fill(7))
  })

  it("are none where the value is of another length, or its sequence no safe number", () => {
    const value = encodeCursor(5, new Uint8Array(16).fill(7))
    for (const length of [0, 8, 16, 23]) expect(decodeCursor(value.subarray(0, length)), `${length} bytes`).toBeUndefined()
    expect(decodeCursor(Uint8Array.of(...value, 0))).toBeUndefined()
    // 2^53: the first one that a number cannot tell from the next.
    value.set([0, 0x20, 0, 0, 0, 0, 0, 0])
    expect(decodeCursor(value)).toBeUndefined()
    value.fill(255, 0, 8)
    expect(decodeCursor(value)).toBeUndefined()
  })

  it("are not read beyond the value they are given", () => {
    const around = new Uint8Array(64).fill(255)
    around.set(encodeCursor(9, new Uint8Array(16).fill(3)), 20)
    expect(decodeCursor(around.subarray(20, 44))).toEqual({ next: 9, lineageId: new Uint8Array(16).fill(3) })
  })
})

describe("rows of dropped keyspaces", () => {
  it("are d and the id", () => {
    expect([...droppedRowKey(0x0102_0304)]).toEqual([0x64, 1, 2, 3, 4])
    expect([...droppedRowKey(0xffff_ffff)]).toEqual([0x64, 255, 255, 255, 255])
  })

  it("give back their id, and are in its order", () => {
    fc.assert(
      fc.property(id, id, (a, b) => {
        const key = droppedRowKey(a)
        expect(idInDroppedRowKey(key)).toBe(a)
        expect(isWithin(key, droppedRowsFrom, droppedRowsTo)).toBe(true)
        expect(sign(key, droppedRowKey(b))).toBe(Math.sign(a - b))
      }),
      { seed }
    )
    for (const edge of [0, 16, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) expect(idInDroppedRowKey(droppedRowKey(edge))).toBe(edge)
  })

  it("are none where the key is of another kind or length", () => {
    for (const key of [[], [0x64], [0x64, 1, 2, 3], [0x64, 1, 2, 3, 4, 5], [0x63, 1, 2, 3, 4], [0x65, 1, 2, 3, 4]])
      expect(idInDroppedRowKey(Uint8Array.from(key)), `[${key}]`).toBeUndefined()
  })

  it("stand apart from those of cursors, and behind them", () => {
    expect(sign(cursorRowsTo, droppedRowsFrom)).toBe(0)
    expect(isWithin(cursorRowKey(new Uint8Array(40).fill(255)), droppedRowsFrom, droppedRowsTo)).toBe(false)
    expect(isWithin(droppedRowKey(0), cursorRowsFrom, cursorRowsTo)).toBe(false)
  })
})
