import { isDeepStrictEqual } from "node:util"
import { describe, expect, it } from "vitest"
import { alignUp, isZero, readU32, writeU32 } from "../../../src/domain/bytes/fixed.ts"
import { encodeManifestEdit } from "../../../src/domain/manifest/manifestFile.ts"
import { applyEdit } from "../../../src/domain/manifest/ManifestState.ts"
import { isManifest, type ManifestPart, walkManifest } from "../../../src/domain/manifest/walkManifest.ts"
import { docExample } from "../bytes/hexDump.ts"
import { counting, crc32, fileOf, fresh, table } from "./states.ts"

type RecordPart = Extract<ManifestPart, { type: "record" }>

/**
 * Everything a walk shows. Whatever the bytes are, header, records with their padding, gaps, and zeros at the end cover each byte exactly once, and every gap
 * is one.
 */
const show = (bytes: Uint8Array): ReadonlyArray<ManifestPart> => {
  const [head, ...parts] = [...walkManifest(crc32, "m", bytes)]
  if (head?.type !== "header" && head?.type !== "damagedHeader") throw new Error("no header")
  if (parts.length > 0 && bytes.length < 4096) throw new Error("parts without a header")
  let end = 4096
  for (const part of parts) {
    if (part.type !== "gap" && part.type !== "record") throw new Error("two headers")
    if (part.offset !== end || part.lengthBytes <= 0) throw new Error(`${part.type} at ${part.offset}, not ${end}`)
    end += part.lengthBytes
    if (end > bytes.length) throw new Error(`${part.type} beyond the end`)
    if (part.type === "record") end = alignUp(end, 4096)
    else if (part.laterRecords ? part === parts.at(-1) : end !== bytes.length || isZero(bytes, part.offset, end))
      throw new Error(`gap at ${part.offset}`)
  }
  if (!isZero(bytes, Math.max(end, 4096), bytes.length)) throw new Error(`nothing is said of ${end}`)
  return [head, ...parts]
}
const brief = (parts: ReadonlyArray<ManifestPart>): ReadonlyArray<string> =>
  parts.map((part) => {
    if (part.type === "header") return `header ${part.fileId}`
    if (part.type === "damagedHeader") return `header ${part.problem.reason} ${part.problem.offsetBytes}`
    if (part.type === "gap") return `gap ${part.offset} ${part.offset + part.lengthBytes}${part.laterRecords ? " later" : ""}`
    return [
      `${part.isSnapshot ? "snapshot" : "edit"} ${part.index} ${part.offset}`,
      ...(part.follows ? [] : ["unchained"]),
      ...(part.problem === undefined ? [] : [`${part.problem.reason} ${part.problem.offsetBytes}`]),
      ...(part.state === undefined ? [] : [`at ${part.state.engineTimeMs}`])
    ].join(" ")
  })
const recordsOf = (parts: ReadonlyArray<ManifestPart>): ReadonlyArray<RecordPart> => parts.filter((part) => part.type === "record")

/** Changes a record and makes its sum right again. */
const rewritten = (file: Uint8Array, at: number, change: (record: Uint8Array) => void): Uint8Array => {
  const bytes = file.slice()
  const record = bytes.subarray(at)
  change(record)
  writeU32(record, 0, crc32(record.subarray(4, readU32(record, 4)), readU32(record, 8)))
  return bytes
}

const example = Uint8Array.from(docExample("manifest"))
const snapshotEnd = 4096 + 99
const editEnd = 8192 + 91

describe("the worked example", () => {
  const sound = show(example)
  const [header, snapshot, edit] = sound

  it("is shown in order, whole", () => {
    expect(brief(sound)).toEqual(["header 6", "snapshot 0 4096 at 1000", "edit 1 8192 at 1002"])
    expect(header).toMatchObject({ sum: readU32(example, 8), uuid: counting(0x10) })
    expect(snapshot).toMatchObject({ lengthBytes: 99, sum: readU32(example, 4096), edit: { identity: { epoch: 3 } } })
    expect(edit).toMatchObject({ lengthBytes: 91, sum: 0xd464_7eb1, edit: { engineTimeMs: 1002, flushedThrough: { sequence: 42, position: 888 } } })
    const [before, after] = recordsOf(sound)
    if (before?.state === undefined || after?.edit === undefined) throw new Error("no state")
    expect(after.state).toEqual(applyEdit(before.state, after.edit))
    // The state shown earlier is not changed by what comes later.
    expect([before.state.tables.size, after.state?.tables.size]).toEqual([0, 1])
  })

  it("at every prefix is what is whole of it, and one gap for the rest", () => {
    for (let n = 0; n <= example.length; n++) {
      const parts = show(example.subarray(0, n))
      if (n < 4096) {
        if (parts.length !== 1 || parts[0]?.type !== "damagedHeader" || parts[0].problem.reason !== "Truncated") throw new Error(`prefix ${n}`)
        continue
      }
      const gap = (offset: number) => ({ type: "gap", offset, lengthBytes: n - offset, laterRecords: false })
      const expected: Array<unknown> = [header]
      if (n >= snapshotEnd) expected.push(snapshot)
      else if (n > 4096) expected.push(gap(4096))
      if (n >= editEnd) expected.push(edit)
      else if (n > 8192) expected.push(gap(8192))
      if (!isDeepStrictEqual(parts, expected)) expect(parts, `prefix ${n}`).toEqual(expected)
    }
  })

  it("with any bit flipped is the same outside, and the damage is at its place", () => {
    for (let bit = 0; bit < example.length * 8; bit++) {
      const at = bit >> 3
      // The long zeros differ only in where they are: one bit in 37 is enough.
      if (((at >= 400 && at < 4096) || (at >= snapshotEnd + 10 && at < 8192) || at > editEnd + 10) && bit % 37 !== 0) continue
      const bytes = example.slice()
      bytes[at]! ^= 1 << (bit & 7)
      const parts = show(bytes)
      const lines = brief(parts)
      if (at < 4096) expect(lines[0], `bit ${bit}`).toBe(`header ${at < 8 ? "BadMagic" : "ChecksumMismatch"} 0`)
      const expected =
        at < 4096
          ? [parts[0], snapshot, edit]
          : at < snapshotEnd
            ? [header, { type: "gap", offset: 4096, lengthBytes: 4096, laterRecords: true }, { ...edit, index: 0, follows: false, state: undefined }]
            : at >= 8192 && at < editEnd
              ? [header, snapshot, { type: "gap", offset: 8192, lengthBytes: 4096, laterRecords: false }]
              : sound
      if (!isDeepStrictEqual(parts, expected)) expect(parts, `bit ${bit}`).toEqual(expected)
    }
  })
})

describe("behind damage", () => {
  const { bytes, tail } = fileOf(fresh, [{ engineTimeMs: 1001 }, { engineTimeMs: 1002 }, { engineTimeMs: 1003 }])
  const at = (index: number): number => 4096 * (index + 1)

  it("records that are gone, one or several, are one gap, and those after them stand without a state", () => {
    const damaged = bytes.slice()
    damaged.fill(0, at(1), at(2))
    damaged[at(2) + 25]! ^= 1
    expect(brief(show(damaged))).toEqual(["header 6", "snapshot 0 4096 at 1000", `gap ${at(1)} ${at(3)} later`, `edit 1 ${at(3)} unchained`])
    // One that is chained to it has no state either: what is missing may have changed anything.
    damaged.set(bytes.subarray(at(2), at(3)), at(2))
    expect(brief(show(damaged)).slice(3)).toEqual([`edit 1 ${at(2)} unchained`, `edit 2 ${at(3)}`])
    expect(recordsOf(show(damaged)).map(({ edit }) => edit?.engineTimeMs)).toEqual([1000, 1002, 1003])
  })

  it("without header and snapshot, what is left is shown", () => {
    const damaged = bytes.slice()
    damaged.fill(0, 0, at(1))
    expect(brief(show(damaged))).toEqual(["header BadMagic 0", `gap 4096 ${at(1)} later`, `edit 0 ${at(1)}`, `edit 1 ${at(2)}`, `edit 2 ${at(3)}`])
  })

  it("zeros after the last record are nothing, anything else is a gap from its end", () => {
    expect(show(Buffer.concat([bytes, new Uint8Array(9000)]))).toEqual(show(bytes))
    const torn = Buffer.concat([bytes, new Uint8Array(5000), Uint8Array.of(1)])
    expect(brief(show(torn)).at(-1)).toBe(`gap ${tail.lengthBytes} ${tail.lengthBytes + 5001}`)
  })

  it("a record of another chain does not follow, and has no state", () => {
    const mixed = bytes.slice()
    mixed.set(fileOf(fresh, [{ engineTimeMs: 1001 }, { engineTimeMs: 7 }], 5).bytes.subarray(at(2)), at(2))
    expect(brief(show(mixed)).slice(3)).toEqual([`edit 2 ${at(2)} unchained`, `edit 3 ${at(3)} unchained`])
    // A copy in the wrong place is none.
    const copied = bytes.slice()
    copied.copyWithin(at(2), at(1), at(2))
    expect(brief(show(copied)).slice(3)).toEqual([`gap ${at(2)} ${at(3)} later`, `edit 2 ${at(3)} unchained`])
  })

  it("an edit that contradicts the state, or cannot be read, is named, and those after it have no state", () => {
    const contradicting = fileOf(fresh, [{ removeTables: [4] }, { addTables: [table(1)] }]).bytes
    expect(brief(show(contradicting)).slice(2)).toEqual(["edit 1 8192 Malformed 8192", "edit 2 12288"])
    expect(recordsOf(show(contradicting))[1]?.edit).toEqual({ removeTables: [4] })
    const unknown = rewritten(bytes, at(3), (record) => (record[24] = 100))
    expect(brief(show(unknown)).at(-1)).toBe(`edit 3 ${at(3)} UnsupportedVersion ${at(3)}`)
    expect(recordsOf(show(unknown)).at(-1)?.edit).toBeUndefined()
    // Nor does one that follows in the chain bring it back.
    const further = Buffer.concat([unknown, encodeManifestEdit(crc32, { lengthBytes: unknown.length, lastSum: readU32(unknown, at(3)) }, {}).bytes])
    expect(brief(show(further)).at(-1)).toBe(`edit 4 ${at(4)}`)
  })
})

describe("a record of a wrong kind or place", () => {
  const { bytes } = fileOf(fresh, [{ engineTimeMs: 1001 }])

  it("is named", () => {
    for (const type of [0, 1, 3, 255])
      expect(brief(show(rewritten(bytes, 8192, (record) => (record[12] = type)))).at(-1), `type ${type}`).toMatch(
        /^(edit|snapshot) 1 8192 Malformed 8192$/
      )
    expect(brief(show(rewritten(bytes, 8192, (record) => (record[13] = 1)))).at(-1)).toBe("edit 1 8192 Malformed 8192")
    expect(brief(show(rewritten(bytes, 4096, (record) => (record[12] = 2))))[1]).toBe("edit 0 4096 Malformed 4096")
    // A snapshot without identity: its tag becomes one that may be skipped.
    expect(brief(show(rewritten(bytes, 4096, (record) => (record[24] = 1))))[1]).toBe("snapshot 0 4096 Malformed 4096")
    // An identity in the middle.
    const other = fileOf(fresh, []).bytes.subarray(4096)
    const second = rewritten(Uint8Array.of(...bytes.subarray(0, 8192), ...other), 8192, (record) => {
      writeU32(record, 8, readU32(bytes, 4096))
      writeU32(record, 16, 8192)
    })
    expect(brief(show(second))[2]).toBe("snapshot 1 8192 Malformed 8192")
  })

  it("is named where the snapshot is of another database, whose state is shown", () => {
    const foreign = fileOf({ ...fresh, uuid: counting(1) }, []).bytes
    const mixed = Uint8Array.of(...bytes.subarray(0, 4096), ...foreign.subarray(4096))
    const chained = rewritten(mixed, 4096, (record) => writeU32(record, 8, readU32(bytes, 8)))
    expect(brief(show(chained))).toEqual(["header 6", "snapshot 0 4096 Malformed 4096 at 1000"])
    expect(brief(show(mixed))).toEqual(["header 6", "snapshot 0 4096 unchained Malformed 4096 at 1000"])
  })
})

describe("the header", () => {
  it("alone, and an empty file, show no more than that", () => {
    expect(brief(show(example.subarray(0, 4096)))).toEqual(["header 6"])
    expect(brief(show(new Uint8Array(0)))).toEqual(["header Truncated 0"])
    expect(brief(show(new Uint8Array(9000)))).toEqual(["header BadMagic 0"])
  })

  it("tells a manifest by its magic", () => {
    expect([example, example.subarray(0, 7), new Uint8Array(0), example.subarray(1)].map(isManifest)).toEqual([true, false, false, false])
  })

  it("lets a failure that is no damage through", () => {
    const failing = () => {
      throw new RangeError("sum")
    }
    expect(() => [...walkManifest(failing, "m", example)]).toThrow(RangeError)
  })
})
