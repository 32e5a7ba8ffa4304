import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import type { RangeTombstone } from "../../../src/domain/EntryCursor.ts"
import type { BlockPointer, Section } from "../../../src/domain/table/tableFormat.ts"
import { encodeRoot, SectionKind, tableFooterBytes, tableHeaderBytes } from "../../../src/domain/table/tableFormat.ts"
import { TableReader } from "../../../src/domain/table/TableReader.ts"
import { encodeTableProperties } from "../../../src/domain/table/TableProperties.ts"
import { verifyTable } from "../../../src/domain/table/verifyTable.ts"
import { docExample } from "../bytes/hexDump.ts"
import { build, codecsOf, damageOf, hex, open, path, put, readAll, readerOf, run, runLength, text, uuid } from "./support.ts"
import type { BuiltTable } from "./support.ts"

const tombstones: ReadonlyArray<RangeTombstone> = [{ keyspace: 1, start: text("b"), end: text("c"), sequence: 9 }]
const example = (): BuiltTable =>
  build([put(1, "app", 5, "1"), put(1, "apple", 0, "22")], { level: 1, hashSeed: 1, createdAtMs: 1000, replaced: [3] }, tombstones)

/** Several leaves, keyspaces, versions across leaves, compressed blocks. */
const larger = (): BuiltTable =>
  build(
    [
      ...Array.from({ length: 8 }, (_, i) => put(1, "key", 20 - i, `version ${i}`)),
      put(1, "key2", 3, "x".repeat(60)),
      put(1, "kez", 0, "y", { expiresAt: 77 }),
      put(16, "a", 2, "", { kind: Kind.delete })
    ],
    { blockBytes: 64, codec: runLength, filterBitsPerKey: 4 },
    tombstones
  )

/** Where the block begins that byte `at` of the file belongs to. */
const blockAt = (reader: TableReader, table: BuiltTable, at: number): number => {
  const starts = [0, table.root.offset, table.file.length - tableFooterBytes, ...reader.sections.map((s) => s.offset)]
  for (let leaf = 0; leaf < reader.leafCount; leaf++) starts.push(reader.leafOffset(leaf))
  return Math.max(...starts.filter((start) => start <= at))
}

describe("table file", () => {
  it("is written as the document's example says, and read back", () => {
    const table = example()
    expect(hex(table.file)).toBe(hex(docExample("table")))
    const file = docExample("table")
    const reader = TableReader.open(crc32, codecsOf(), 7, path, file.length, undefined, readerOf(file))
    expect(readAll(reader, file).split("\n").slice(0, 5)).toEqual([
      "1/617070@5 10 31",
      "1/617070@5 10 31",
      "1/6170706c65@0 10 3232",
      "1/6170706c65@0 10 3232",
      "1 62 63 9"
    ])
    expect(reader.properties).toEqual(table.properties)
    expect(table.meta).toEqual({
      fileId: 7,
      level: 1,
      fileBytes: 384,
      smallest: { keyspace: 1, key: text("app") },
      largest: { keyspace: 1, key: text("c") },
      smallestSequence: 0,
      largestSequence: 9,
      entryCount: 2,
      deleteCount: 0,
      rangeTombstoneCount: 1,
      deletedRanges: [{ keyspace: 1, start: text("b"), end: text("c") }],
      valueRefs: [],
      root: table.root
    })
    expect(run(verifyTable(crc32, reader), file)).toEqual({ entryCount: 2, leafCount: 1, rangeTombstoneCount: 1 })
  })

  for (const [name, make] of [
    ["example", example],
    ["larger table", larger]
  ] as const) {
    it(`never answers wrongly when a bit flips (${name})`, () => {
      const table = make()
      const reader = open(table)
      const answers = readAll(reader, table.file)
      for (let at = 0; at < table.file.length; at++) {
        for (let bit = 0; bit < 8; bit++) {
          const file = table.file.slice()
          file[at]! ^= 1 << bit
          let answered: string | undefined
          const where = `byte ${at} bit ${bit}`
          const damage = damageOf(() => {
            answered = readAll(open(table, file), file)
          })
          if (damage === undefined) {
            expect(answered, where).toBe(answers)
          } else {
            expect([damage.file, damage.offsetBytes], where).toEqual([path, blockAt(reader, table, at)])
          }
          // Verification reads every byte and notices every bit; so does an open by the footer.
          for (const root of [table.root, undefined]) {
            const noticed = damageOf(() =>
              run(verifyTable(crc32, TableReader.open(crc32, codecsOf(runLength), 7, path, file.length, root, readerOf(file), uuid)), file)
            )
            expect([noticed?.file, noticed?.offsetBytes], where).toEqual([path, blockAt(reader, table, at)])
          }
        }
      }
    })

    it(`never answers wrongly when it is cut (${name})`, () => {
      const table = make()
      const answers = readAll(open(table), table.file)
      for (let length = 0; length < table.file.length; length++) {
        const file = table.file.slice(0, length)
        let answered: string | undefined
        const damage = damageOf(() => {
          answered = readAll(open(table, file), file)
        })
        if (damage === undefined) expect(answered).toBe(answers)
        else expect(damage.file).toBe(path)
        expect(damageOf(() => TableReader.open(crc32, codecsOf(runLength), 7, path, length, undefined, readerOf(file)))?.file).toBe(path)
      }
    })
  }

  it("refuses another table's file and another database's", () => {
    const table = example()
    expect(damageOf(() => TableReader.open(crc32, codecsOf(), 8, path, table.file.length, table.root, readerOf(table.file)))?.reason).toBe(
      "Unexpected"
    )
    expect(damageOf(() => TableReader.open(crc32, codecsOf(), 8, path, table.file.length, undefined, readerOf(table.file)))?.reason).toBe(
      "Unexpected"
    )
    expect(
      damageOf(() => TableReader.open(crc32, codecsOf(), 7, path, table.file.length, table.root, readerOf(table.file), new Uint8Array(16)))?.reason
    ).toBe("Unexpected")
    expect(damageOf(() => TableReader.open(crc32, codecsOf(), 7, path, 95, undefined, readerOf(table.file)))?.reason).toBe("Truncated")
  })
})

/** The table with one of its sections replaced (or left out) and everything above it made to agree: what only a wrong writer could produce. */
const forge = (
  table: BuiltTable,
  kind: number,
  raw: Uint8Array | undefined,
  change: Partial<Section> = {}
): { readonly file: Uint8Array; readonly root: BlockPointer } => {
  const sections = open(table).sections.filter((section) => section.kind !== kind || raw !== undefined)
  const file = Buffer.concat([table.file, raw ?? new Uint8Array(0)])
  const forged = sections.map((section) =>
    section.kind !== kind
      ? section
      : { ...section, offset: table.file.length, storedLength: raw!.length, rawLength: raw!.length, codec: 0, sum: crc32(raw!), ...change }
  )
  return withRoot(file, encodeRoot(forged))
}
const withRoot = (file: Uint8Array, root: Uint8Array): { readonly file: Uint8Array; readonly root: BlockPointer } => ({
  file: new Uint8Array(Buffer.concat([file, root])),
  root: { offset: file.length, storedLength: root.length, rawLength: root.length, codec: 0, sum: crc32(root) }
})
const damageOfForged = ({ file, root }: { readonly file: Uint8Array; readonly root: BlockPointer }) =>
  damageOf(() => TableReader.open(crc32, codecsOf(runLength), 7, path, file.length, root, readerOf(file)))

describe("impossible content under right sums", () => {
  const table = example()
  const sectionBytes = (kind: number): Uint8Array => {
    const section = open(table).sections.find((s) => s.kind === kind)!
    return table.file.slice(section.offset, section.offset + section.storedLength)
  }
  const edited = (kind: number, at: number, value: number): Uint8Array => {
    const bytes = sectionBytes(kind)
    bytes[at] = value
    return bytes
  }

  it("is refused in the root", () => {
    const root = table.file.slice(table.root.offset, table.root.offset + table.root.storedLength)
    for (const [at, value, reason] of [
      [0, 2, "UnsupportedVersion"],
      [1, 1, "UnsupportedVersion"],
      [2, 3, "Malformed"],
      [2, 5, "Malformed"]
    ] as const) {
      const changed = root.slice()
      changed[at] = value
      const forged = withRoot(table.file, changed)
      expect(damageOfForged(forged)).toMatchObject({ file: path, offsetBytes: forged.root.offset, reason })
    }
    expect(damageOfForged(forge(table, SectionKind.fencePage, sectionBytes(SectionKind.fencePage), { leafCount: 1_000_000 }))).toMatchObject({
      reason: "Malformed",
      detail: "1000000 leaves"
    })
    expect(damageOfForged(forge(table, SectionKind.fencePage, sectionBytes(SectionKind.fencePage), { leafCount: 2 }))?.reason).toBe("Malformed")
    expect(damageOfForged(forge(table, SectionKind.properties, undefined))).toMatchObject({ reason: "Malformed", detail: "no properties" })
    expect(damageOfForged(forge(table, SectionKind.filter, new Uint8Array(32), { offset: 10_000 }))).toMatchObject({
      offsetBytes: 10_000,
      reason: "Truncated"
    })
    expect(damageOfForged(forge(table, SectionKind.filter, new Uint8Array(32), { rawLength: 33 }))?.reason).toBe("Malformed")
    expect(damageOfForged(forge(table, SectionKind.filter, new Uint8Array(32), { codec: 5 }))?.reason).toBe("UnsupportedVersion")
    expect(damageOfForged(forge(table, SectionKind.filter, Uint8Array.of(31, 0), { codec: 9, rawLength: 32 }))?.detail).toBe(
      "codec 9 gave 31 of 32 bytes"
    )
  })

  it("is skipped where it is only unknown", () => {
    const sections = open(table).sections
    for (const kind of [0, 5, 77]) {
      const { file, root } = withRoot(
        table.file,
        encodeRoot([...sections, { kind, leafCount: 0, offset: 0, storedLength: 1, rawLength: 1, codec: 0, sum: 0 }])
      )
      expect(readAll(TableReader.open(crc32, codecsOf(), 7, path, file.length, root, readerOf(file)), file)).toBe(readAll(open(table), table.file))
    }
    const properties = Buffer.concat([sectionBytes(SectionKind.properties), Uint8Array.of(99, 2, 1, 2)])
    expect(damageOfForged(forge(table, SectionKind.properties, properties))).toBeUndefined()
  })

  it("is refused in filter, tombstones and properties", () => {
    expect(damageOfForged(forge(table, SectionKind.filter, new Uint8Array(31)))).toMatchObject({
      offsetBytes: table.file.length,
      reason: "Malformed"
    })
    expect(damageOfForged(forge(table, SectionKind.filter, new Uint8Array(0)))?.reason).toBe("Malformed")
    expect(damageOfForged(forge(table, SectionKind.tombstones, new Uint8Array(3)))?.reason).toBe("Malformed")
    for (const bytes of [
      new Uint8Array(0),
      Uint8Array.of(1, 3, 1, 2, 3),
      edited(SectionKind.properties, 18, 1),
      edited(SectionKind.properties, 1, 200),
      Buffer.concat([sectionBytes(SectionKind.properties).subarray(0, 18), Uint8Array.of(2, 2, 7, 0)])
    ])
      expect(damageOfForged(forge(table, SectionKind.properties, bytes))?.reason).toBe("Malformed")
    expect(damageOfForged(forge(table, SectionKind.properties, encodeTableProperties({ ...table.properties, fileId: 6 })))?.reason).toBe("Unexpected")
  })

  it("is refused in a fence page", () => {
    const page = sectionBytes(SectionKind.fencePage)
    // first offset 40, count 01, flags 01, keyspace 01, shared 00, rest 00, stored 1f, sum
    for (const [at, value] of [
      [1, 2],
      [2, 8],
      [4, 1],
      [5, 1],
      [5, 90],
      [6, 0x7f]
    ] as const) {
      expect(damageOfForged(forge(table, SectionKind.fencePage, edited(SectionKind.fencePage, at, value)))?.reason, `${at}`).toBe(
        at === 6 ? undefined : "Malformed"
      )
    }
    expect(damageOfForged(forge(table, SectionKind.fencePage, Uint8Array.of(...page, 0)))?.reason).toBe("Malformed")
    expect(damageOfForged(forge(table, SectionKind.fencePage, Uint8Array.of(0xff, 0xff, 0x7f, ...page.subarray(1))))?.reason).toBe("Malformed")
    // Two leaves whose fences do not ascend, or whose sequences do not descend, or which are of descending keyspaces.
    const entry = (...fence: Array<number>): Array<number> => [...fence, 10, 0, 0, 0, 0]
    const first = entry(1, 2, 0, 0)
    for (const [entries, good] of [
      [[first, entry(0, 0, 1, 0x61), entry(0, 0, 1, 0x62)], true],
      [[first, entry(0, 0, 1, 0x62), entry(0, 0, 1, 0x61)], false],
      [[first, entry(0, 0, 1, 0x62), entry(0, 0, 1, 0x62)], false],
      [[first, entry(0, 0, 1, 0x62), entry(2, 0, 1, 0x62, 8)], true],
      [[first, entry(2, 0, 1, 0x62, 8), entry(2, 0, 1, 0x62, 7)], true],
      [[first, entry(2, 0, 1, 0x62, 8), entry(2, 0, 1, 0x62, 8)], false],
      [[first, entry(2, 0, 1, 0x62, 8), entry(0, 0, 1, 0x62)], false],
      [[first, entry(1, 1, 0, 0), entry(1, 3, 0, 0)], false],
      [[first, entry(1, 3, 0, 0), entry(1, 4, 0, 1, 0x61)], false]
    ] as const) {
      const forged = forge(table, SectionKind.fencePage, Uint8Array.of(64, 3, ...entries.flat()), { leafCount: 3 })
      expect(damageOfForged(forged) === undefined, JSON.stringify(entries)).toBe(good)
    }
    // A second page that does not begin where the first one ends.
    const sections = open(table).sections
    const second = Uint8Array.of(200, 1, 1, ...entry(1, 3, 0, 0))
    const file = Buffer.concat([table.file, second])
    const pointer = {
      kind: SectionKind.fencePage,
      leafCount: 1,
      offset: table.file.length,
      storedLength: second.length,
      rawLength: second.length,
      codec: 0,
      sum: crc32(second)
    }
    expect(damageOfForged(withRoot(file, encodeRoot([sections[0]!, pointer, ...sections.slice(1)])))?.reason).toBe("Malformed")
  })

  it("is refused in header and footer", () => {
    const changed = (at: number, value: number, from: number, length: number): Uint8Array => {
      const file = table.file.slice()
      file[at] = value
      writeU32(file, from + length - 4, crc32(file.subarray(from, from + length - 4)))
      return file
    }
    const footer = table.file.length - tableFooterBytes
    for (const [file, offset, reason] of [
      [changed(8, 2, 0, tableHeaderBytes), 0, "UnsupportedVersion"],
      [changed(12, 1, 0, tableHeaderBytes), 0, "UnsupportedVersion"],
      [changed(16, 1, 0, tableHeaderBytes), 0, "Unexpected"],
      [changed(32, 9, 0, tableHeaderBytes), 0, "Unexpected"],
      [changed(footer + 8, 2, footer, tableFooterBytes), footer, "UnsupportedVersion"],
      [changed(footer + 16, 1, footer, tableFooterBytes), footer, "Unexpected"],
      [changed(footer + 40, 1, footer, tableFooterBytes), 1, "Malformed"]
    ] as const) {
      expect(
        damageOf(() => run(verifyTable(crc32, open(table, file)), file)),
        `${reason} ${offset}`
      ).toMatchObject({ offsetBytes: offset, reason })
    }
  })
})

describe("verifyTable", () => {
  /** The example with its only leaf replaced by one of the same length, and all parents made to agree, in place. */
  const withLeaf = (edit: (leaf: Uint8Array) => void, properties?: Uint8Array): { readonly file: Uint8Array; readonly root: BlockPointer } => {
    const table = example()
    const file = table.file.slice()
    edit(file.subarray(64, 95))
    writeU32(file, 106 - 4, crc32(file.subarray(64, 95)))
    const sections = open(table).sections.map((section) => ({ ...section }))
    if (properties !== undefined) file.set(properties, sections[3]!.offset)
    const root = encodeRoot(
      sections.map((section) => ({ ...section, sum: crc32(file.subarray(section.offset, section.offset + section.storedLength)) }))
    )
    file.set(root, table.root.offset)
    const pointer = { ...table.root, sum: crc32(root) }
    const footer = table.file.length - tableFooterBytes
    writeU32(file, footer + 60, pointer.sum)
    writeU32(file, file.length - 4, crc32(file.subarray(footer, file.length - 4)))
    return { file, root: pointer }
  }
  const verify = ({ file, root }: { readonly file: Uint8Array; readonly root: BlockPointer }) =>
    damageOf(() => run(verifyTable(crc32, TableReader.open(crc32, codecsOf(), 7, path, file.length, root, readerOf(file))), file))

  it("accepts what the builder wrote", () => {
    expect(verify(withLeaf(() => {}))).toBeUndefined()
    const table = larger()
    expect(run(verifyTable(crc32, open(table)), table.file)).toEqual({ entryCount: 11, leafCount: open(table).leafCount, rangeTombstoneCount: 1 })
    const untagged = build([put(1, "a", 1, "x"), put(1, "b", 1, "y", { kind: Kind.delete })], { hashIndex: false })
    expect(run(verifyTable(crc32, open(untagged)), untagged.file)).toEqual({ entryCount: 2, leafCount: 1, rangeTombstoneCount: 0 })
    const empty = build([], {}, tombstones)
    expect(run(verifyTable(crc32, open(empty)), empty.file)).toEqual({ entryCount: 0, leafCount: 0, rangeTombstoneCount: 1 })
    const many = build(Array.from({ length: 12_000 }, (_, i) => put(1, `key ${1e6 + i}`, 1, "v".repeat(40))))
    expect(run(verifyTable(crc32, open(many)), many.file).entryCount).toBe(12_000)
  })

  it("names the leaf that is wrong, and how", () => {
    const cases: ReadonlyArray<readonly [string, (leaf: Uint8Array) => void]> = [
      [
        "unknown leaf flags",
        (leaf) => {
          leaf[0] = 8
        }
      ],
      [
        "an empty leaf",
        (leaf) => {
          leaf[2] = 0
        }
      ],
      [
        "a leaf cut short",
        (leaf) => {
          leaf[8] = 200
        }
      ],
      [
        "a leaf of another keyspace than its fence",
        (leaf) => {
          leaf[4] = 2
        }
      ],
      [
        "a hash tag that is not its key's",
        (leaf) => {
          leaf[10]! ^= 1
        }
      ],
      [
        "entries that do not follow one another",
        (leaf) => {
          leaf[12] = 22
        }
      ],
      [
        "an entry beyond the leaf",
        (leaf) => {
          leaf[14] = 21
        }
      ],
      [
        "an entry beyond the leaf",
        (leaf) => {
          leaf[16] = 32
        }
      ],
      [
        "bytes after the last entry",
        (leaf) => {
          leaf[16] = 30
        }
      ],
      [
        "unknown entry flags",
        (leaf) => {
          leaf[21] = 8
        }
      ],
      [
        "unknown entry flags",
        (leaf) => {
          leaf[21] = 64 | 9
        }
      ],
      [
        "a key beyond its entry",
        (leaf) => {
          leaf[26] = 5
        }
      ],
      [
        "varint at 24 runs past 25",
        (leaf) => {
          leaf[23] = 0x85
          leaf[24] = 0x80
        }
      ],
      [
        "varint at 31 runs past 31",
        (leaf) => {
          leaf[25] = 17
          leaf[26] = 4
        }
      ],
      [
        "a key that the filter denies",
        (leaf) => {
          leaf[18] = 0x62
        }
      ],
      [
        "entries out of order",
        (leaf) => {
          leaf[26] = 0
          leaf[11] = leaf[10]!
          leaf[25] = 9
          leaf[27] = 6
        }
      ]
    ]
    for (const [detail, edit] of cases) {
      const damage = verify(withLeaf(edit))
      if (detail.startsWith("varint")) expect(damage, detail).toMatchObject({ offsetBytes: 64, reason: "Malformed" })
      else expect(damage, detail).toMatchObject({ file: path, offsetBytes: 64, reason: "Malformed", detail })
    }
  })

  it("compares the counts with the properties", () => {
    const table = example()
    const properties = encodeTableProperties({ ...table.properties, entryCount: 3 })
    expect(verify(withLeaf(() => {}, properties))).toMatchObject({
      offsetBytes: table.root.offset,
      reason: "Unexpected",
      detail: "entryCount is 2, the properties say 3"
    })
  })

  it("compares fences with entries", () => {
    const make = (): BuiltTable => build([put(1, "b", 5, "1"), put(1, "d", 5, "2")], { blockBytes: 1 })
    const patch = (fence: number): ReturnType<typeof verify> => {
      const table = make()
      const file = table.file.slice()
      const section = open(table).sections[0]!
      const page = file.subarray(section.offset, section.offset + section.storedLength)
      const at = page.indexOf(0x64)
      page[at] = fence
      const root = encodeRoot(open(table).sections.map((s) => (s.kind === SectionKind.fencePage ? { ...s, sum: crc32(page) } : s)))
      file.set(root, table.root.offset)
      const footer = file.length - tableFooterBytes
      writeU32(file, footer + 60, crc32(root))
      writeU32(file, file.length - 4, crc32(file.subarray(footer, file.length - 4)))
      return verify({ file, root: { ...table.root, sum: crc32(root) } })
    }
    expect(patch(0x64)).toBeUndefined()
    expect(patch(0x63)).toBeUndefined()
    expect(patch(0x65)?.detail).toBe("an entry before its leaf's fence")
    expect(patch(0x62)?.detail).toBe("a fence that does not separate two leaves")
  })
})
