import { describe, expect, it } from "vitest"
import { claimOf, claimsConflict, splitMerge } from "../../../src/domain/compaction/CompactionPlan.ts"
import type { CompactionPlan } from "../../../src/domain/compaction/CompactionPlan.ts"
import { comparePlaces } from "../../../src/domain/compaction/KeySpan.ts"
import { defaultPickerOptions, pickCompaction, pickManual } from "../../../src/domain/compaction/picker.ts"
import type { PickerState } from "../../../src/domain/compaction/picker.ts"
import type { TableSummary } from "../../../src/domain/compaction/TableSummary.ts"

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const MiB = 1024 * 1024

/** A table from "id smallest..largest", keyspaces written as a prefix "2:" where they are not 1. */
const table = (description: string, more: Partial<TableSummary> = {}): TableSummary => {
  const [id, span] = description.split(" ")
  const [smallest, largest] = span!.split("..").map((place) => {
    const parts = place.split(":")
    return { keyspace: parts.length === 2 ? Number(parts[0]) : 1, key: text(parts.at(-1)!) }
  })
  return {
    fileId: Number(id),
    fileBytes: 16 * MiB,
    smallest: smallest!,
    largest: largest!,
    largestSequence: 100,
    entryCount: 1_000,
    deleteCount: 0,
    rangeTombstoneCount: 0,
    valueRefs: [],
    ...more
  }
}

const state = (levels: ReadonlyArray<ReadonlyArray<TableSummary>>, more: Partial<PickerState> = {}): PickerState => ({
  levels,
  valueFiles: [],
  snapshots: [1_000],
  horizons: [],
  running: [],
  ...more
})

const options = { ...defaultPickerOptions, baseLevelBytes: 32 * MiB }
const pick = (given: PickerState): CompactionPlan | undefined => pickCompaction(given, options)

const ids = (tables: ReadonlyArray<TableSummary>): string => tables.map((t) => t.fileId).join(",")
const show = (plan: CompactionPlan | "busy" | undefined): string => {
  if (plan === undefined || plan === "busy") return String(plan)
  switch (plan.type) {
    case "merge":
      return (
        `${plan.reason}: merge ${plan.inputs.map((input) => `L${input.level}[${ids(input.tables)}]`).join(" ")} to L${plan.targetLevel}` +
        (plan.deeper.length > 0 ? ` over [${ids(plan.deeper)}]` : "") +
        (plan.rewriteValueFiles.length > 0 ? ` rewriting ${plan.rewriteValueFiles.map((file) => file.fileId)}` : "")
      )
    case "move":
      return `${plan.reason}: move L${plan.fromLevel}[${ids(plan.tables)}] to L${plan.targetLevel}`
    case "drop":
      return `${plan.reason}: drop ${plan.tables.map(({ level, table }) => `L${level}[${table.fileId}]`)} values [${plan.valueFiles.map((file) => file.fileId)}]`
  }
}

describe("pickCompaction", () => {
  it("leaves a database in shape alone", () => {
    expect(pick(state([]))).toBeUndefined()
    expect(pickCompaction(state([[table("3 a..z"), table("2 a..z"), table("1 a..z")], [table("9 a..k")]]))).toBeUndefined()
  })

  describe("level 0", () => {
    const four = [table("4 c..d"), table("3 a..c"), table("2 b..e"), table("1 a..b")]

    it("is merged, newest first, with what it overlaps below", () => {
      expect(show(pick(state([four])))).toBe("levelZero: merge L0[4,3,2,1] to L1")
      expect(show(pick(state([four, [table("7 a..b"), table("8 f..g")], [table("9 d..f")]])))).toBe(
        "levelZero: merge L0[4,3,2,1] L1[7] to L1 over [9]"
      )
    })

    it("waits while it is small for what it would rewrite, until there are twice as many", () => {
      const small = Array.from({ length: 8 }, (_, i) => table(`${20 - i} a..z`, { fileBytes: MiB / 4 }))
      const below = (mebibytes: number) => [table("1 a..z", { fileBytes: mebibytes * MiB })]
      expect(show(pick(state([small.slice(4), below(2)])))).toBe("levelZero: merge L0[16,15,14,13] L1[1] to L1")
      expect(pick(state([small.slice(4), below(3)]))).toBeUndefined()
      expect(pick(state([small.slice(1), below(9)]))).toBeUndefined()
      expect(show(pick(state([small, below(9)])))).toBe("levelZero: merge L0[20,19,18,17,16,15,14,13] L1[1] to L1")
    })

    it("moves down without being written where nothing overlaps", () => {
      const apart = Array.from({ length: 8 }, (_, i) => table(`${20 - i} ${String.fromCharCode(97 + i)}..${String.fromCharCode(97 + i)}x`))
      expect(show(pick(state([apart])))).toBe("levelZero: move L0[20] to L1")
      expect(pick(state([apart.slice(1)]))).toBeUndefined()
    })

    it("is shortened where it costs least, once there are as many tables as slow writers down, whether they overlap or not", () => {
      const below = [table("1 a..c", { fileBytes: 30 * MiB })]
      const group = (keyspace: number, fileBytes: number, ...ids: ReadonlyArray<number>) =>
        ids.map((id) => table(`${id} ${keyspace}:a..${keyspace}:b`, { fileBytes }))
      const dear = group(1, MiB, 20, 19)
      const cheap = [...group(2, 2000, 18, 17, 16), ...group(3, 1000, 15, 14)]
      expect(pick(state([[...dear, ...cheap], below]))).toBeUndefined()
      expect(show(pick(state([[...dear, ...cheap, ...group(3, 1000, 13)], below])))).toBe("levelZero: merge L0[15,14,13] to L1")
      expect(show(pick(state([[...dear, ...cheap, ...group(4, MiB, 13)], below])))).toBe("levelZero: move L0[13] to L1")
    })

    it("is not moved while a table holds several keyspaces", () => {
      const mixed = table("5 0:t..z", { deleteCount: 900 })
      expect(show(pick(state([[mixed]])))).toBe("tombstones: merge L0[5] to L1")
    })

    it("takes the largest group of tables that touch each other, and only that", () => {
      expect(show(pick(state([[table("9 2:a..2:b"), ...four, table("8 2:a..2:b")]])))).toBe("levelZero: merge L0[4,3,2,1] to L1")
      expect(pick(state([[table("9 2:a..2:b"), ...four.slice(1), table("8 2:a..2:b")]]))).toBeUndefined()
    })

    it("waits while a job holds one of its tables", () => {
      const running = [claimOf(pick(state([four]))!)]
      expect(pick(state([[table("5 a..z"), ...four]], { running }))).toBeUndefined()
      expect(show(pick(state([[table("6 x..y"), table("5 2:a..2:z", { deleteCount: 999 }), ...four]], { running })))).toBe(
        "tombstones: move L0[5] to L1"
      )
    })
  })

  describe("deeper levels", () => {
    it("give their cheapest table to the next one when over their target", () => {
      const one = [table("1 a..c"), table("2 d..f"), table("3 g..i")]
      const two = [table("11 a..b"), table("12 c..d"), table("13 e..k", { fileBytes: MiB })]
      expect(show(pick(state([[], one, two])))).toBe("levelSize: merge L1[3] L2[13] to L2")
      expect(show(pick(state([[], one, two], { running: [{ fileIds: new Set([3]), firstLevel: 5, lastLevel: 6, span: undefined }] })))).toBe(
        "levelSize: merge L1[2] L2[12,13] to L2"
      )
      expect(show(pick(state([[], one, two.slice(0, 2)])))).toBe("levelSize: move L1[3] to L2")
    })

    it("are as large as the option says", () => {
      const one = [table("1 a..c"), table("2 d..f")]
      expect(show(pick(state([[], one])))).toBe("levelSize: move L1[1] to L2")
      expect(pick(state([[], one.slice(1), Array.from({ length: 19 }, (_, i) => table(`${i + 10} a${i}..a${i}x`))]))).toBeUndefined()
      const full = Array.from({ length: 20 }, (_, i) => table(`${i + 10} a${i}..a${i}x`))
      expect(show(pick(state([[], [], full])))).toBe("levelSize: move L2[10] to L3")
    })

    it("take neighbours along where that drags nothing more with it", () => {
      const one = [table("1 a..b"), table("2 c..d"), table("3 e..f"), table("4 x..z")]
      expect(show(pick(state([[], one, [table("11 a..g", { fileBytes: MiB }), table("12 w..z")]])))).toBe("levelSize: merge L1[1,2,3] L2[11] to L2")
      const busy = [{ fileIds: new Set([2]), firstLevel: 5, lastLevel: 6, span: undefined }]
      expect(show(pick(state([[], one, [table("11 a..g", { fileBytes: MiB }), table("12 w..z")]], { running: busy })))).toBe(
        "levelSize: merge L1[1] L2[11] to L2"
      )
    })

    it("do not move a table onto too much of the level after the next", () => {
      const three = Array.from({ length: 11 }, (_, i) => table(`${i + 20} a${String.fromCharCode(97 + i)}..a${String.fromCharCode(97 + i)}x`))
      expect(show(pick(state([[], [table("1 aa..b"), table("2 aa..b")], [], three])))).toContain("merge")
    })

    it("run beside a job elsewhere, never into its range", () => {
      const one = [table("1 a..c"), table("2 g..i")]
      const running = [
        { fileIds: new Set([77]), firstLevel: 0, lastLevel: 4, span: { smallest: table("0 a..c").smallest, largest: table("0 a..d").largest } }
      ]
      expect(show(pick(state([[], one], { running })))).toBe("levelSize: move L1[2] to L2")
      expect(pick(state([[], one], { running: [...running, { ...running[0]!, span: table("0 h..h") }] }))).toBeUndefined()
    })
  })

  describe("tables of mostly deletes", () => {
    const deletes = { deleteCount: 600 }

    it("go down until they meet what they delete", () => {
      expect(show(pick(state([[], [table("1 a..c", deletes)], [table("2 a..b")]])))).toBe("tombstones: merge L1[1] L2[2] to L2")
      expect(show(pick(state([[], [table("1 a..c", deletes)], [], [table("2 a..b")]])))).toBe("tombstones: move L1[1] to L2")
      expect(show(pick(state([[table("1 a..c", { entryCount: 0, rangeTombstoneCount: 1 })], [table("2 a..b")]])))).toBe(
        "tombstones: merge L0[1] L1[2] to L1"
      )
      expect(pick(state([[], [table("1 a..c", { deleteCount: 500 })], [table("2 a..b")]]))).toBeUndefined()
    })

    it("are rewritten at the bottom, once no snapshot holds their deletes", () => {
      const levels = [[], [], [table("1 a..c", deletes)]]
      expect(show(pick(state(levels)))).toBe("tombstones: merge L2[1] to L2")
      expect(pick(state(levels, { snapshots: [99, 1_000] }))).toBeUndefined()
      expect(pick(state(levels, { horizons: [{ keyspace: 1, historyFrom: 99 }] }))).toBeUndefined()
    })

    it("wait for a job that holds them", () => {
      const running = [{ fileIds: new Set([1]), firstLevel: 5, lastLevel: 6, span: undefined }]
      expect(pick(state([[table("1 a..c", deletes)]], { running }))).toBeUndefined()
    })
  })

  describe("range tombstones among many puts", () => {
    const range = (from: string, to: string, keyspace = 1) => ({ keyspace, start: text(from), end: text(to) })
    const over = (...deletedRanges: ReadonlyArray<ReturnType<typeof range>>): Partial<TableSummary> => ({
      rangeTombstoneCount: deletedRanges.length,
      deletedRanges
    })

    it("go down until they meet what they cover, where that frees half of what it rewrites", () => {
      const top = table("1 a..z", over(range("c", "m")))
      expect(show(pick(state([[top], [], [table("2 c..d"), table("3 e..g")]])))).toBe("tombstones: move L0[1] to L1")
      expect(show(pick(state([[], [top], [table("2 c..d"), table("3 e..g")]])))).toBe("tombstones: merge L1[1] L2[2,3] to L2")
      expect(show(pick(state([[], [top], [], [table("2 c..d")]])))).toBe("tombstones: move L1[1] to L2")
      // Freed: one of the two beneath, for twice its size.
      expect(show(pick(state([[], [top], [table("2 c..d"), table("3 m..o")]])))).toBe("tombstones: merge L1[1] L2[2,3] to L2")
      expect(pick(state([[], [top], [table("2 c..d"), table("3 m..o"), table("4 p..q")]]))).toBeUndefined()
    })

    it("count whole tables only: a bound that touches the end is not covered", () => {
      expect(pick(state([[], [table("1 a..z", over(range("c", "m")))], [table("2 c..m")]]))).toBeUndefined()
      expect(pick(state([[], [table("1 a..z", over(range("c", "m")))], [table("2 b..f")]]))).toBeUndefined()
      expect(pick(state([[], [table("1 a..z", over(range("c", "m", 2)))], [table("2 d..f")]]))).toBeUndefined()
    })

    it("several ranges count together, and with them the values that are let go of", () => {
      const beneath = [table("2 b..c"), table("3 e..g", { fileBytes: 70 * MiB }), table("4 h..i")]
      expect(pick(state([[], [table("1 a..z", over(range("b", "d")))], beneath]))).toBeUndefined()
      expect(show(pick(state([[], [table("1 a..z", over(range("b", "d"), range("h", "k")))], beneath])))).toBe("undefined")
      expect(show(pick(state([[], [table("1 a..z", over(range("b", "d"), range("h", "k")))], [...beneath.slice(0, 1), beneath[2]!]])))).toContain(
        "merge"
      )
      const heavy = table("2 b..c", { valueRefs: [{ fileId: 50, bytes: 80 * MiB }] })
      expect(
        show(
          pick(
            state([[], [table("1 a..z", over(range("b", "d")))], [heavy, ...beneath.slice(1)]], {
              valueFiles: [{ fileId: 50, fileBytes: 80 * MiB, valueBytes: 80 * MiB }]
            })
          )
        )
      ).toContain("merge L1[1] L2[2,3,4]")
    })

    it("in level 0 cover the older tables of their group, never the newer", () => {
      const top = table("5 a..z", over(range("a", "z")))
      expect(show(pick(state([[top, table("4 b..c"), table("3 d..e")]])))).toBe("tombstones: merge L0[5,4,3] to L1")
      expect(pick(state([[table("7 d..e"), table("6 b..c"), top]]))).toBeUndefined()
    })

    it("wait for the snapshots that still see what they cover, and for jobs", () => {
      const levels = [[], [table("1 a..z", over(range("c", "m")))], [table("2 c..d")]]
      expect(pick(state(levels, { snapshots: [99, 1_000] }))).toBeUndefined()
      expect(pick(state(levels, { horizons: [{ keyspace: 1, historyFrom: 99 }] }))).toBeUndefined()
      expect(pick(state(levels, { running: [{ fileIds: new Set([2]), firstLevel: 2, lastLevel: 3, span: table("0 a..d") }] }))).toBeUndefined()
    })
  })

  describe("value files", () => {
    const file = (fileId: number, valueBytes = 1_000) => ({ fileId, fileBytes: valueBytes + 5_000, valueBytes })
    const refs = (...pairs: ReadonlyArray<readonly [number, number]>): Partial<TableSummary> => ({
      valueRefs: pairs.map(([fileId, bytes]) => ({ fileId, bytes }))
    })

    it("are rewritten through a table that points into them, the deadest first", () => {
      const levels = [
        [],
        [table("1 a..c", refs([50, 300], [51, 300])), table("2 d..f", refs([51, 100]))],
        [table("3 a..b", refs([50, 100], [52, 900]))]
      ]
      const valueFiles = [file(50), file(51, 900), file(52)]
      expect(show(pickCompaction(state(levels, { valueFiles })))).toBe("valueFiles: merge L1[1] to L1 over [3] rewriting 50,51")
      const running = [{ fileIds: new Set([1]), firstLevel: 5, lastLevel: 6, span: undefined }]
      expect(show(pickCompaction(state(levels, { valueFiles, running })))).toBe("valueFiles: merge L2[3] to L2 rewriting 50")
    })

    it("in level 0 go down with their table", () => {
      const levels = [[table("4 m..n"), table("1 a..c", refs([50, 300]))], [table("5 b..d")]]
      expect(show(pickCompaction(state(levels, { valueFiles: [file(50)] })))).toBe("valueFiles: merge L0[1] L1[5] to L1 rewriting 50")
      expect(show(pickCompaction(state([levels[0]!], { valueFiles: [file(50)] })))).toBe("valueFiles: merge L0[1] to L1 rewriting 50")
      const running = [{ fileIds: new Set([1]), firstLevel: 5, lastLevel: 6, span: undefined }]
      expect(pickCompaction(state(levels, { valueFiles: [file(50)], running }))).toBeUndefined()
    })

    it("that nothing points into are dropped", () => {
      expect(show(pick(state([[], [table("1 a..c", refs([50, 900]))]], { valueFiles: [file(50), file(51)] })))).toBe("dropped: drop  values [51]")
      expect(
        pick(state([], { valueFiles: [file(51)], running: [{ fileIds: new Set([51]), firstLevel: 0, lastLevel: 0, span: undefined }] }))
      ).toBeUndefined()
    })
  })

  describe("a dropped keyspace", () => {
    const levels = [
      [table("1 0:a..2:z"), table("2 2:a..2:c")],
      [table("3 1:a..1:z"), table("4 2:a..2:z")]
    ]
    const horizons = [{ keyspace: 2, dropSequence: 500 }]

    it("loses its whole tables without reading them", () => {
      const plan = pick(state(levels, { horizons }))
      expect(show(plan)).toBe("dropped: drop L0[2],L1[4] values []")
      expect(show(pick(state(levels, { horizons, running: [claimOf(plan!)] })))).toBe("undefined")
    })

    it("keeps them while a snapshot may ask", () => {
      expect(pickCompaction(state(levels, { horizons, snapshots: [499, 1_000] }))).toBeUndefined()
      expect(pickCompaction(state(levels, { horizons: [{ ...horizons[0]!, historyFrom: 499 }] }))).toBeUndefined()
    })
  })
})

describe("claims", () => {
  it("conflict over a file, or over levels and keys together", () => {
    const claim = (fileId: number, firstLevel: number, lastLevel: number, span: string) => ({
      fileIds: new Set([fileId]),
      firstLevel,
      lastLevel,
      span: table(`0 ${span}`)
    })
    const held = claim(1, 2, 4, "d..g")
    expect(claimsConflict(held, claim(1, 9, 9, "x..y"))).toBe(true)
    expect(claimsConflict(held, claim(2, 4, 5, "a..d"))).toBe(true)
    expect(claimsConflict(held, claim(2, 5, 6, "a..z"))).toBe(false)
    expect(claimsConflict(held, claim(2, 0, 1, "a..z"))).toBe(false)
    expect(claimsConflict(held, claim(2, 3, 3, "h..z"))).toBe(false)
    expect(claimsConflict(held, { ...claim(2, 3, 3, "a..z"), span: undefined })).toBe(false)
  })
})

describe("pickManual", () => {
  const levels = [[table("1 a..c")], [table("2 c..f"), table("3 g..i"), table("9 x..z")], [], [table("4 f..g"), table("5 p..q")]]

  it("takes everything to the deepest level there is", () => {
    expect(show(pickManual(state(levels)))).toBe("manual: merge L0[1] L1[2,3,9] L3[4,5] to L3")
    expect(show(pickManual(state([[table("1 a..c")]])))).toBe("manual: merge L0[1] to L1")
    expect(pickManual(state([]))).toBeUndefined()
  })

  it("takes along what a table in the range overlaps, as far as that reaches", () => {
    expect(show(pickManual(state(levels), { from: { keyspace: 1, key: text("a") }, to: { keyspace: 1, key: text("b") } }))).toBe(
      "manual: merge L0[1] L1[2,3] L3[4] to L3"
    )
    expect(show(pickManual(state(levels), { from: { keyspace: 1, key: text("y") } }))).toBe("manual: merge L1[9] to L1")
    expect(pickManual(state(levels), { from: { keyspace: 2, key: text("") } })).toBeUndefined()
    expect(pickManual(state(levels), { to: { keyspace: 1, key: text("a") } })).toBeUndefined()
  })

  it("says so when a running job is in the way", () => {
    const running = [{ fileIds: new Set([5]), firstLevel: 3, lastLevel: 4, span: table("0 p..q") }]
    expect(pickManual(state(levels, { running }))).toBe("busy")
  })
})

describe("splitMerge", () => {
  it("cuts at the starts of tables into parts of about the same size", () => {
    const plan = pickManual(
      state([
        [table("1 a..z")],
        Array.from({ length: 12 }, (_, i) => table(`${i + 2} ${String.fromCharCode(97 + i)}..${String.fromCharCode(97 + i)}x`))
      ])
    )
    if (plan === undefined || plan === "busy") throw new Error("nothing to split")
    const show = (count: number): Array<string> =>
      splitMerge(plan, count).map(({ from, to }) =>
        [from, to].map((place) => (place === undefined ? "" : new TextDecoder().decode(place.key))).join("..")
      )
    expect(show(1)).toEqual([".."])
    expect(show(3)).toEqual(["..ex\0", "ex\0..ix\0", "ix\0.."])
    const ranges = splitMerge(plan, 50)
    expect(ranges.length).toBe(13)
    for (let i = 1; i < ranges.length; i++) expect(comparePlaces(ranges[i - 1]!.to!, ranges[i]!.from!)).toBe(0)
  })
})
