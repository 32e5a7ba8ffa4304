import { crc32 } from "node:zlib"
import { describe, expect, it } from "vitest"
import { chooseTables, type TableOnDisk } from "../../../src/domain/repair/chooseTables.ts"
import { Doubts } from "../../../src/domain/repair/Doubts.ts"
import { gatherManifest } from "../../../src/domain/repair/gatherManifest.ts"
import { chooseRun, runsOf } from "../../../src/domain/repair/logRuns.ts"
import { effectOf, holdsKey, type Loss, spanOf, withoutLogged } from "../../../src/domain/repair/Loss.ts"
import { applyEdit, blankState } from "../../../src/domain/manifest/ManifestState.ts"
import type { ManifestEdit } from "../../../src/domain/manifest/ManifestEdit.ts"
import { encodeManifest, encodeManifestEdit, manifestAlignment, readManifest } from "../../../src/domain/manifest/manifestFile.ts"
import type { TableMeta } from "../../../src/domain/manifest/TableMeta.ts"
import { text, uuid } from "../table/support.ts"

const onDisk = (fileId: number, replaced: ReadonlyArray<number> = [], more: Partial<TableOnDisk> = {}): TableOnDisk => ({
  fileId,
  isSound: true,
  properties: { level: replaced.length === 0 ? 0 : 1, replaced, smallestSequence: fileId * 10, largestSequence: fileId * 10 + 9 },
  ...more
})

const choose = (tables: ReadonlyArray<TableOnDisk>, more: Partial<Parameters<typeof chooseTables>[0]> = {}) => {
  const { byManifest, live } = chooseTables({ named: undefined, onDisk: tables, manifestIsWhole: false, loggedFrom: undefined, ...more })
  return { byManifest, live: [...live].sort((a, b) => a - b) }
}

describe("which tables belong to the database", () => {
  it("those the manifest names, where what lies there can be explained", () => {
    const named = new Set([3, 4])
    expect(choose([onDisk(3), onDisk(4)], { named })).toEqual({ byManifest: true, live: [3, 4] })
    // Outputs of a merge that was not committed, a replaced table, an unreadable one, and a flush that the log has too.
    expect(choose([onDisk(3), onDisk(4, [1]), onDisk(1), onDisk(9, [3, 4]), onDisk(10, [], { properties: undefined })], { named }).byManifest).toBe(
      true
    )
    expect(choose([onDisk(3), onDisk(4), onDisk(9)], { named, loggedFrom: 80 }).byManifest).toBe(true)
    expect(choose([onDisk(3), onDisk(4), onDisk(9)], { named, loggedFrom: 91 })).toEqual({ byManifest: false, live: [3, 4, 9] })
    // One of them missing is a loss, and no reason not to believe the rest.
    expect(choose([onDisk(3)], { named, manifestIsWhole: true })).toEqual({ byManifest: true, live: [3, 4] })
  })

  it("a whole manifest is believed where all it names is there, else what lies there counts", () => {
    const named = new Set([3, 4])
    expect(choose([onDisk(3), onDisk(4), onDisk(9, [1, 2])], { named, manifestIsWhole: true }).byManifest).toBe(true)
    expect(choose([onDisk(3), onDisk(9, [4])], { named, manifestIsWhole: true })).toEqual({ byManifest: false, live: [3, 9] })
  })

  it("without a manifest what was replaced is not resurrected", () => {
    expect(choose([onDisk(1), onDisk(5, [1, 2])])).toEqual({ byManifest: false, live: [5] })
    expect(choose([onDisk(1), onDisk(5, [1, 2]), onDisk(8, [5, 3, 1])]).live).toEqual([8])
    // All that the last one replaced is there: that is as good, and what it had replaced in turn stays dead.
    expect(choose([onDisk(1), onDisk(5, [1, 2]), onDisk(8, [5])]).live).toEqual([5])
  })

  it("inputs that are all there are taken in place of what was made of them: it may be a part", () => {
    expect(choose([onDisk(1), onDisk(2), onDisk(5, [1, 2])]).live).toEqual([1, 2])
    expect(choose([onDisk(1), onDisk(2, [], { isSound: false }), onDisk(5, [1, 2])]).live).toEqual([5])
    // Not where a later merge has consumed them.
    expect(choose([onDisk(1), onDisk(2), onDisk(6, [1, 2]), onDisk(8, [5, 1, 2])]).live).toEqual([6, 8])
  })
})

const groups = (...list: ReadonlyArray<readonly [first: number, count: number, follows?: boolean]>) =>
  list.map(([firstSequence, count, follows = false]) => ({ firstSequence, count, follows }))
const never = () => false

describe("how far a log goes on", () => {
  it("sequences that adjoin, and the chain over those that were given up, make one run; a group that was written again counts once", () => {
    expect(runsOf(groups([1, 3], [4, 2], [100, 1, true], [101, 1]))).toEqual([{ groups: [0, 1, 2, 3], first: 1, last: 101 }])
    expect(runsOf(groups([1, 3], [4, 2], [4, 2], [6, 1])).map(({ groups: indices }) => indices)).toEqual([[0, 1, 3]])
    expect(runsOf(groups([1, 3], [9, 1])).map(({ first, last }) => [first, last])).toEqual([
      [1, 3],
      [9, 9]
    ])
    expect(runsOf([])).toEqual([])
  })

  it("the run that goes on from the tables is taken, what lies behind a hole is not", () => {
    const runs = runsOf(groups([1, 3], [6, 5], [20, 2]))
    expect(chooseRun(runs, 0, never)).toMatchObject({ run: { first: 1, last: 3 }, through: 3, later: 7, laterThrough: 21 })
    expect(chooseRun(runs, 7, never)).toMatchObject({ run: { first: 6, last: 10 }, through: 10, later: 2, laterThrough: 21 })
    expect(chooseRun(runs, 4, never)).toMatchObject({ run: undefined, through: 4, later: 7 })
    expect(chooseRun(runs, 30, never)).toEqual({ run: undefined, through: 30, later: 0, laterThrough: 30 })
    expect(chooseRun(runs, 4, (from, to) => from === 5 && to === 6)).toMatchObject({ run: { first: 6 }, through: 10 })
  })
})

const span = (from: string, to: string) => ({ from: { keyspace: 1, key: text(from) }, to: { keyspace: 1, key: text(to) } })
const loss = (more: Partial<Loss> = {}): Loss => ({
  kind: "block",
  file: "f",
  offsetBytes: 1,
  reason: "ChecksumMismatch",
  detail: "",
  range: span("b", "d"),
  sequences: { first: 10, last: 20 },
  entries: 3,
  bytes: 4,
  effect: "stale",
  ...more
})

describe("a loss", () => {
  it("holds the keys from its begin to before its end", () => {
    const range = span("b", "d")
    expect(["a", "b", "c", "d"].map((key) => holdsKey(range, { keyspace: 1, key: text(key) }))).toEqual([false, true, true, false])
    expect(holdsKey({ ...range, to: undefined }, { keyspace: 9, key: text("x") })).toBe(true)
    const { from, to } = spanOf({ smallest: { keyspace: 1, key: text("a") }, largest: { keyspace: 1, key: text("c") } })
    expect(holdsKey({ from, to }, { keyspace: 1, key: text("c") })).toBe(true)
  })

  it("shows older values where older data lie beneath, and nothing where not", () => {
    const table = { smallest: { keyspace: 1, key: text("c") }, largest: { keyspace: 1, key: text("f") }, smallestSequence: 5 }
    expect(effectOf(span("b", "d"), { first: 10, last: 20 }, [table], false)).toBe("stale")
    expect(effectOf(span("x", "z"), { first: 10, last: 20 }, [table], false)).toBe("missing")
    expect(effectOf(span("b", "d"), { first: 1, last: 5 }, [table], false)).toBe("missing")
    expect(effectOf(span("b", "d"), { first: 1, last: undefined }, [table], false)).toBe("stale")
    expect(effectOf({ ...span("b", "d"), to: undefined }, undefined, [table], false)).toBe("stale")
    expect(effectOf(span("x", "z"), { first: 1, last: 2 }, [], true)).toBe("stale")
    expect(effectOf(undefined, undefined, [], false)).toBe("stale")
  })

  it("is none where the log has it, and smaller where it has a part", () => {
    expect(withoutLogged(loss(), undefined)).toEqual(loss())
    expect(withoutLogged(loss(), 10)).toBeUndefined()
    expect(withoutLogged(loss({ sequences: { first: 0, last: 20 } }), 1)).toBeUndefined()
    expect(withoutLogged(loss(), 15)).toEqual(loss({ sequences: { first: 10, last: 14 }, entries: undefined }))
    expect(withoutLogged(loss(), 21)).toEqual(loss())
    expect(withoutLogged(loss({ range: undefined }), 1)).toEqual(loss({ range: undefined }))
  })

  it("puts a key in doubt unless what is found is newer than all that was lost", () => {
    const doubts = new Doubts([loss(), loss({ range: undefined, kind: "log" }), loss({ range: span("m", "n"), effect: "none" })])
    expect(doubts.isEmpty).toBe(false)
    expect(doubts.about(1, text("c"), 20)).toEqual(loss())
    expect(doubts.about(1, text("c"), 21)).toBeUndefined()
    expect(doubts.about(1, text("d"), 0)).toBeUndefined()
    expect(doubts.about(1, text("m"), 0)).toBeUndefined()
    expect(new Doubts([loss({ sequences: { first: 1, last: undefined } })]).about(1, text("b"), 1e9)).toBeDefined()
    expect(new Doubts([]).isEmpty).toBe(true)
  })
})

const table = (fileId: number): TableMeta => ({
  fileId,
  level: 0,
  fileBytes: 100,
  smallest: { keyspace: 1, key: text("a") },
  largest: { keyspace: 1, key: text("z") },
  smallestSequence: 1,
  largestSequence: 5,
  entryCount: 1,
  deleteCount: 0,
  rangeTombstoneCount: 0,
  root: { offset: 64, storedLength: 10, rawLength: 10, codec: 0, sum: 1 },
  valueRefs: []
})

describe("a damaged manifest", () => {
  const edits: ReadonlyArray<ManifestEdit> = [
    { engineTimeMs: 2, addSegments: [{ fileId: 4, headerSum: 1, epoch: 1 }], addLostRanges: [{ from: 50, to: 60 }] },
    {
      engineTimeMs: 3,
      addTables: [table(5)],
      addValueFiles: [{ fileId: 6, fileBytes: 10, valueBytes: 5 }],
      flushedThrough: { sequence: 5, position: 7 }
    },
    {
      engineTimeMs: 4,
      sealSegments: [{ fileId: 4, basePosition: 0, lengthBytes: 5000, lastSum: 9, lastSequence: 5, firstSequence: 1, lastCommitMs: 3 }],
      historyFrom: [{ keyspace: 1, sequence: 3 }],
      keepVersions: [{ keyspace: 16, sequence: 3, count: 2 }]
    },
    {
      engineTimeMs: 5,
      removeTables: [5],
      removeValueFiles: [6],
      addTables: [table(7)],
      dropKeyspaces: [{ keyspace: 17, sequence: 4 }],
      sequencesThrough: 900
    },
    { engineTimeMs: 6, removeSegments: [4], forgetKeyspaces: [17] }
  ]
  const start = { ...blankState({ uuid, lineageId: new Uint8Array(16), epoch: 1, hashSeed: 5 }), fileIdsThrough: 100, sequencesThrough: 1000 }
  const { bytes, states } = (() => {
    const head = encodeManifest(crc32, 3, start)
    const pieces = [head.bytes]
    let tail = { lengthBytes: head.lengthBytes, lastSum: head.lastSum }
    let state = start as Parameters<typeof applyEdit>[0]
    const all = [state]
    for (const edit of edits) {
      const record = encodeManifestEdit(crc32, tail, edit)
      pieces.push(record.bytes)
      tail = record
      state = applyEdit(state, edit)
      all.push(state)
    }
    return { bytes: new Uint8Array(Buffer.concat(pieces)), states: all }
  })()

  it("that is sound says what an open reads", () => {
    expect(gatherManifest(crc32, "m", bytes)).toEqual({ fileId: 3, state: readManifest(crc32, "m", bytes).state, damage: undefined, lostBytes: 0 })
  })

  it("any record but the snapshot may be lost: what the others say is applied", () => {
    for (let lost = 0; lost < edits.length - 1; lost++) {
      const spoiled = bytes.slice()
      spoiled[(2 + lost) * manifestAlignment + 30]! ^= 1
      const gathered = gatherManifest(crc32, "m", spoiled)
      if (!("state" in gathered)) throw new Error("nothing was gathered")
      expect(gathered.damage).toMatchObject({ offsetBytes: (2 + lost) * manifestAlignment, reason: "ChecksumMismatch" })
      expect(gathered.lostBytes).toBe(manifestAlignment)
      const last = states.at(-1)!
      expect([...gathered.state.tables.keys()]).toEqual(lost === 3 ? [5] : [...last.tables.keys()])
      expect(gathered.state.engineTimeMs).toBe(6)
      expect(gathered.state.fileIdsThrough).toBe(last.fileIdsThrough)
      expect([...gathered.state.segments.keys()]).toEqual([])
    }
  })

  it("without its snapshot says nothing, and a damaged header hides nothing", () => {
    const noSnapshot = bytes.slice()
    noSnapshot[manifestAlignment + 30]! ^= 1
    expect(gatherManifest(crc32, "m", noSnapshot)).not.toHaveProperty("state")
    const noHeader = bytes.slice()
    noHeader[40]! ^= 1
    expect(gatherManifest(crc32, "m", noHeader)).toMatchObject({ damage: { offsetBytes: 0 }, state: { sequencesThrough: 900 } })
    expect(gatherManifest(crc32, "m", new Uint8Array(0))).toMatchObject({ damage: { reason: "Truncated" } })
  })

  it("a record whose content cannot be read is counted as lost", () => {
    const malformed = encodeManifest(crc32, 3, start)
    const record = encodeManifestEdit(crc32, malformed, { removeTables: [77] })
    const spoiled = new Uint8Array(Buffer.concat([malformed.bytes, record.bytes]))
    // Its sum holds: what it removes is not there.
    expect(gatherManifest(crc32, "m", spoiled)).toMatchObject({ damage: { reason: "Malformed" }, lostBytes: 0 })
  })
})
