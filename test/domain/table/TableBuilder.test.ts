import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import { TableBuilder } from "../../../src/domain/table/TableBuilder.ts"
import { verifyTable } from "../../../src/domain/table/verifyTable.ts"
import { build, defaults, open, put, run, text } from "./support.ts"

describe("TableBuilder", () => {
  it("refuses entries and tombstones out of order", () => {
    const builder = new TableBuilder(defaults)
    const add = (keyspace: number, key: string, sequence: number): void =>
      builder.add(keyspace, text(key), 0, key.length, sequence, Kind.put, 0, false, text(""), 0, 0)
    add(2, "b", 5)
    expect(() => add(2, "b", 5)).toThrow(/order/)
    expect(() => add(2, "b", 6)).toThrow(/order/)
    expect(() => add(2, "a", 1)).toThrow(/order/)
    expect(() => add(1, "c", 1)).toThrow(/order/)
    add(2, "b", 4)
    builder.addTombstones([{ keyspace: 1, start: text("b"), end: text("d"), sequences: [3] }])
    expect(() => builder.addTombstones([{ keyspace: 1, start: text("c"), end: text("e"), sequences: [3] }])).toThrow(/order/)
  })

  it("estimates its size and says what is pending", () => {
    const builder = new TableBuilder(defaults)
    expect(builder.pendingBytes).toBe(64)
    builder.takeOutput()
    expect([builder.outputPosition, builder.pendingBytes]).toEqual([64, 0])
    for (let i = 0; i < 2000; i++) builder.add(1, text(`key${10_000 + i}`), 0, 8, 0, Kind.put, 0, false, new Uint8Array(100), 0, 100)
    const estimated = builder.estimatedBytes
    const { meta } = builder.finish()
    expect(Math.abs(estimated - meta!.fileBytes)).toBeLessThan(meta!.fileBytes * 0.02)
  })

  it("gives no record for the manifest when there is nothing in it", () => {
    const table = build([])
    expect(table.meta).toBeUndefined()
    const reader = open(table)
    expect([reader.leafCount, reader.sizeBytes < 100, reader.coveringTombstone(1, text("k"), 0, 1, 9)]).toEqual([0, true, 0])
    expect(run(verifyTable(crc32, reader), table.file).entryCount).toBe(0)
  })

  it("takes bounds from tombstones only where they reach further", () => {
    const wide = build([put(1, "m", 5, "")], {}, [{ keyspace: 1, start: text("a"), end: text("z"), sequence: 3 }])
    expect([wide.meta!.smallest.key, wide.meta!.largest.key, wide.properties.largestIsExclusive]).toEqual([text("a"), text("z"), true])
    const narrow = build([put(1, "a", 5, ""), put(2, "z", 5, "")], {}, [{ keyspace: 1, start: text("b"), end: text("c"), sequence: 3 }])
    expect([narrow.meta!.smallest, narrow.meta!.largest, narrow.properties.largestIsExclusive]).toEqual([
      { keyspace: 1, key: text("a") },
      { keyspace: 2, key: text("z") },
      false
    ])
  })
})
