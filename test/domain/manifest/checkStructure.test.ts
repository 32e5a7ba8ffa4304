import { describe, expect, it } from "vitest"
import { LogChain, structureProblem } from "../../../src/domain/manifest/checkStructure.ts"
import type { ManifestState } from "../../../src/domain/manifest/ManifestState.ts"
import type { SegmentMeta } from "../../../src/domain/manifest/SegmentMeta.ts"
import type { TableMeta } from "../../../src/domain/manifest/TableMeta.ts"
import type { SegmentFacts } from "../../../src/domain/wal/verifySegment.ts"
import { fresh, table, text, values } from "./states.ts"

const flushed: ManifestState = { ...fresh, flushedThrough: { sequence: 42, position: 1000 } }
const deep = (fileId: number, from: string, to: string, more: Partial<TableMeta> = {}): TableMeta =>
  table(fileId, { level: 1, smallest: { keyspace: 1, key: text(from) }, largest: { keyspace: 1, key: text(to) }, ...more })
const stateOf = (tables: ReadonlyArray<TableMeta>, more: Partial<ManifestState> = {}): ManifestState => ({
  ...flushed,
  tables: new Map(tables.map((one) => [one.fileId, one])),
  ...more
})

describe("the structure of a state", () => {
  it("is sound where deeper levels do not overlap, and level 0 does as it likes", () => {
    expect(structureProblem(stateOf([table(1), table(2), deep(3, "n", "z"), deep(4, "a", "m"), deep(5, "a", "z", { level: 2 })]))).toBeUndefined()
  })

  for (const [what, state] of Object.entries({
    "tables 3 and 4 of level 1 overlap": stateOf([deep(4, "m", "z"), deep(3, "a", "m")]),
    "table 3 of level 1 holds more than one keyspace": stateOf([table(3, { level: 1 })]),
    "table 3 holds sequence 43, but tables go through 42 only": stateOf([table(3, { largestSequence: 43 })]),
    "table 3 refers to value file 9, which is not there": stateOf([table(3, { valueRefs: [{ fileId: 9, bytes: 1 }] })]),
    "tables refer to 80000 bytes of value file 9, which holds 70000": stateOf(
      [table(3, { valueRefs: [{ fileId: 9, bytes: 40_000 }] }), table(4, { valueRefs: [{ fileId: 9, bytes: 40_000 }] })],
      { valueFiles: new Map([[9, values(9)]]) }
    ),
    "value file 9 holds 70000 bytes of values in 100": stateOf([], { valueFiles: new Map([[9, { ...values(9), fileBytes: 100 }]]) }),
    "history of keyspace 1 begins at 9007199254740991, which is not reserved": stateOf([], { historyFrom: new Map([[1, Number.MAX_SAFE_INTEGER]]) }),
    "what is kept of the versions of keyspace 1 is out of order": stateOf([], {
      keptVersions: new Map([
        [
          1,
          [
            { sequence: 40, count: 3 },
            { sequence: 30, count: 5 }
          ]
        ]
      ])
    })
  })) {
    it(`is refused: ${what}`, () => {
      expect(structureProblem(state)).toBe(what)
    })
  }
})

describe("the chain of log segments", () => {
  const segment = (fileId: number, more: Partial<SegmentMeta> = {}): SegmentMeta => ({ fileId, headerSum: 1, epoch: 3, basePosition: 1000, ...more })
  const facts = (from: number, to: number, more: Partial<SegmentFacts> = {}): SegmentFacts => ({
    groups: 1,
    firstPreviousSum: 0,
    firstSequence: from,
    lastSequence: to,
    lastSum: 77,
    endPosition: 2000,
    lastCommitMs: 500,
    gaps: [],
    ...more
  })
  const chained = { firstPreviousSum: 77, endPosition: 3000, lastSum: 88 }
  const sealed = { lengthBytes: 1512, lastSum: 77, firstSequence: 43, lastSequence: 50, lastCommitMs: 500 }

  it("holds", () => {
    const chain = new LogChain(flushed)
    expect(chain.add(segment(1, { sealed }), 1000, facts(43, 50))).toBeUndefined()
    expect(chain.add(segment(2), 2000, facts(51, 60, chained))).toBeUndefined()
    expect(chain.add(segment(3), 3000, { ...facts(0, 0), groups: 0, firstSequence: undefined, lastSequence: undefined })).toBeUndefined()
    // An open that found nothing to write again begins anew, at or after where the tables end.
    expect(chain.add(segment(4, { epoch: 4 }), 4000, facts(61, 61))).toBeUndefined()
  })

  it("says what does not follow", () => {
    const after = (meta: SegmentMeta, base: number, found: SegmentFacts, lost: ManifestState["lostRanges"] = []) => {
      const chain = new LogChain({ ...flushed, lostRanges: lost })
      expect(chain.add(segment(1, { sealed }), 1000, facts(43, 50))).toBeUndefined()
      return chain.add(meta, base, found)
    }
    expect(after(segment(2), 2000, facts(51, 60, { ...chained, firstPreviousSum: 78 }))).toContain("does not follow the last one of segment 1")
    expect(after(segment(2), 2000, facts(51, 60, { ...chained, firstPreviousSum: 0 }))).toContain("does not follow")
    expect(after(segment(2, { epoch: 4 }), 2000, facts(51, 60, { ...chained, firstPreviousSum: 5 }))).toContain("does not follow")
    expect(after(segment(2), 2001, facts(51, 60, chained))).toContain("begins at position 2001")
    expect(after(segment(2, { epoch: 4 }), 1999, facts(51, 60, chained))).toContain("begins at position 1999")
    expect(after(segment(2), 2000, facts(50, 60, chained))).toContain("sequence 50 follows 50")
    expect(after(segment(2), 2000, facts(53, 60, chained))).toContain("sequences 51 to 52 are missing")
    const lost = [
      { from: 40, to: 52 },
      { from: 52, to: 53 }
    ]
    expect(after(segment(2), 2000, facts(53, 60, chained), lost)).toBeUndefined()
    expect(after(segment(2), 2000, facts(51, 60, { ...chained, gaps: [{ from: 55, to: 57 }] }))).toContain("sequences 55 to 56 are missing")
  })

  it("begins where the tables end, unless the manifest says what was lost", () => {
    expect(new LogChain(flushed).add(segment(1), 1000, facts(30, 50))).toBeUndefined()
    expect(new LogChain(flushed).add(segment(1), 1000, facts(44, 50))).toContain("sequences 43 to 43 are missing")
    expect(new LogChain({ ...flushed, lostRanges: [{ from: 43, to: 44 }] }).add(segment(1), 1000, facts(44, 50))).toBeUndefined()
    const skipping = new LogChain(flushed)
    skipping.skip()
    expect(skipping.add(segment(2), 1000, facts(99, 100))).toBeUndefined()
  })

  it("is what the manifest has sealed", () => {
    for (const wrong of [{ firstSequence: 44 }, { lastSequence: 49 }, { lastCommitMs: 499 }])
      expect(new LogChain(flushed).add(segment(1, { sealed: { ...sealed, ...wrong } }), 1000, facts(43, 50))).toContain("the manifest says")
  })
})
