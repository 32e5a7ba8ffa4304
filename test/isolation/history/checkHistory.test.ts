/** The checker has to see each anomaly in a history made to contain it, and nothing in one that is right. */
import { describe, expect, it } from "vitest"
import { type Anomaly, checkHistory, expectIsolated } from "./checkHistory.ts"
import { type History, HistoryRecorder, type RecordedOperation, type RecordedTransaction } from "./History.ts"

const read = (key: string, value?: number): RecordedOperation => ({ kind: "read", key, value })
const write = (key: string, value?: number): RecordedOperation => ({ kind: "write", key, value })
const list = (key: string, ...elements: ReadonlyArray<number>): RecordedOperation => ({ kind: "readList", key, elements })
const append = (key: string, element: number): RecordedOperation => ({ kind: "append", key, element })
const scan = (from: string, to: string, found: Record<string, number> = {}): RecordedOperation => ({
  kind: "scan",
  from,
  to,
  found: new Map(Object.entries(found))
})
const deleteRange = (from: string, to: string): RecordedOperation => ({ kind: "deleteRange", from, to })

interface Told extends Partial<Omit<RecordedTransaction, "id" | "operations">> {
  /** Begun and ended. Default: all overlap. */
  readonly at?: readonly [number, number]
}
let made = 0
const tx = (operations: ReadonlyArray<RecordedOperation>, { at = [made++, 1_000_000 + made], ...told }: Told = {}): RecordedTransaction => ({
  id: 0,
  level: "serializable",
  begun: at[0],
  ended: at[1],
  outcome: "ok",
  operations,
  ...told
})
const anomalies = (...history: History): ReadonlyArray<Anomaly> => [...new Set(checkHistory(history).violations.map(({ anomaly }) => anomaly))]
const snapshot = { level: "snapshot" } as const

describe("circles", () => {
  it("G0: writes of two transactions interleave", () => {
    expect(
      anomalies(tx([append("x", 1), append("y", 1)]), tx([append("x", 2), append("y", 2)]), tx([list("x", 1, 2)]), tx([list("y", 2, 1)]))
    ).toEqual(["G0"])
  })
  it("G1c: information flows in a circle", () => {
    expect(anomalies(tx([append("x", 1), list("y", 2)]), tx([append("y", 2), list("x", 1)]))).toEqual(["G1c"])
  })
  it("G-single: a reader sees half of a transaction", () => {
    expect(anomalies(tx([append("x", 1), append("y", 1)]), tx([list("x", 1), list("y")], snapshot), tx([list("y", 1)]))).toEqual(["G-single"])
  })
  it("G-single: an update is lost", () => {
    for (const level of ["serializable", "snapshot"] as const) {
      expect(
        anomalies(
          tx([read("x"), write("x", 1)], { sequence: 1, level }),
          tx([read("x", 1), write("x", 2)], { sequence: 2, level }),
          tx([read("x", 1), write("x", 3)], { sequence: 3, level })
        )
      ).toEqual(["G-single"])
    }
  })
  it("an update lost from a list is seen by whoever reads it afterwards", () => {
    expect(
      anomalies(
        tx([list("x"), append("x", 1)], { at: [0, 3], level: "snapshot" }),
        tx([list("x"), append("x", 2)], { at: [1, 4], level: "snapshot" }),
        tx([list("x", 2)], { at: [5, 6], level: "snapshot" })
      )
    ).toEqual(["G-single"])
    expect(anomalies(tx([append("x", 1)], { at: [0, 1] }), tx([append("x", 2)], { at: [0, 2] }), tx([list("x", 2)], { at: [3, 4] }))).toEqual([
      "G-single-realtime"
    ])
    expect(anomalies(tx([append("x", 1)], { sequence: 1 }), tx([append("x", 2)], { sequence: 2 }), tx([list("x", 2)]))).toContain("lost-write")
  })
  const skew = (level: "serializable" | "snapshot") => [
    tx([read("x"), read("y"), write("x", 1)], { sequence: 1, level }),
    tx([read("x"), read("y"), write("y", 2)], { sequence: 2, level })
  ]
  it("G2: write skew, which the snapshot level allows", () => {
    expect(anomalies(...skew("serializable"))).toEqual(["G2"])
    expect(anomalies(...skew("snapshot"))).toEqual([])
  })
  it("G2 with one of the two serializable: only its own reads were promised to hold", () => {
    const [a] = skew("serializable")
    const [, b] = skew("snapshot")
    // By commit order the serializable one may stand before the other, whose read of x is then the skew it is allowed.
    expect(anomalies(a!, b!)).toEqual([])
    expect(anomalies({ ...a!, level: "snapshot" }, { ...b!, level: "serializable" })).toEqual([])
    // A third party that holds both ends of the order makes it a contradiction for any mix.
    expect(
      anomalies(
        tx([read("x"), read("y", 2)], { at: [0, 100] }),
        tx([read("y"), write("x", 1)], { at: [0, 101], sequence: 1 }),
        tx([read("x", 1), write("y", 2)], { at: [0, 102], sequence: 2 })
      )
    ).toContain("G-single")
  })
  it("G2 over a range: phantoms, also into empty ranges", () => {
    const phantoms = (level: "serializable" | "snapshot") =>
      anomalies(tx([scan("a", "b"), write("a1", 1)], { sequence: 1, level }), tx([scan("a", "b"), write("a2", 2)], { sequence: 2, level }))
    expect(phantoms("serializable")).toEqual(["G2"])
    expect(phantoms("snapshot")).toEqual([])
  })
  it("G2 over a range delete, of which the other had seen something", () => {
    expect(
      anomalies(
        tx([write("a1", 1)], { sequence: 1 }),
        tx([read("b"), deleteRange("a", "b")], { sequence: 2 }),
        tx([scan("a", "b", { a1: 1 }), write("b", 3)], { sequence: 3 })
      )
    ).toEqual(["G2"])
  })
  it("the read-only transaction anomaly: without its reader everything would be in order", () => {
    // Savings and checking: a withdrawal that saw neither, a deposit, and a report that saw the deposit and not the withdrawal.
    const withdrawal = tx([read("x"), read("y"), write("x", -11)], { sequence: 2, ...snapshot })
    const deposit = tx([read("y"), write("y", 20)], { sequence: 1, ...snapshot })
    const report = tx([read("x"), read("y", 20)], snapshot)
    expect(anomalies(withdrawal, deposit)).toEqual([])
    expect(anomalies(withdrawal, deposit, report)).toEqual([])
    const all = [withdrawal, deposit, report].map((transaction) => ({ ...transaction, level: "serializable" as const }))
    expect(anomalies(...all.slice(0, 2))).toEqual([])
    expect(anomalies(...all)).toEqual(["G2"])
  })
  it("three in a circle", () => {
    const three = (level: "serializable" | "snapshot") =>
      anomalies(...["x", "y", "z"].map((key, i) => tx([read(["y", "z", "x"][i]!), write(key, i)], { sequence: i + 1, level })))
    expect(three("serializable")).toEqual(["G2"])
    expect(three("snapshot")).toEqual([])
  })
  it("a stale read: right in some order, and not in that of the answers", () => {
    const write1 = tx([write("x", 1)], { at: [0, 1], sequence: 1 })
    for (const level of ["serializable", "snapshot"] as const) {
      expect(anomalies(write1, tx([read("x")], { at: [2, 3], level }))).toEqual(["G-single-realtime"])
      expect(anomalies(write1, tx([read("x")], { at: [0.5, 3], level }))).toEqual([])
    }
    expect(anomalies(tx([write("x", 1)], { at: [0, 1], sequence: 2 }), tx([write("x", 2)], { at: [2, 3], sequence: 1 }))).toEqual(["G0-realtime"])
  })
})

describe("single objects", () => {
  it("G1a: a value of a failed transaction", () => {
    expect(anomalies(tx([write("x", 1)], { outcome: "fail" }), tx([read("x", 1)]))).toEqual(["G1a"])
    expect(anomalies(tx([append("x", 1)], { outcome: "fail" }), tx([list("x", 1)]))).toEqual(["G1a"])
    expect(anomalies(tx([write("x", 1)], { outcome: "unknown" }), tx([read("x", 1)]))).toEqual([])
  })
  it("G1b: a value its writer replaced", () => {
    expect(anomalies(tx([write("x", 1), write("x", 2)], { sequence: 1 }), tx([read("x", 1)]))).toEqual(["G1b"])
    expect(anomalies(tx([append("x", 1), append("x", 2)]), tx([list("x", 1)]), tx([list("x", 1, 2)]))).toEqual(["G1b"])
  })
  it("internal: not its own writes, or two different reads", () => {
    expect(anomalies(tx([write("x", 1), read("x")]))).toEqual(["internal"])
    expect(anomalies(tx([write("x", 1), deleteRange("x", "y"), read("x", 1)]))).toEqual(["internal"])
    expect(anomalies(tx([append("x", 1), list("x")]))).toEqual(["internal"])
    expect(anomalies(tx([write("x", 1)], { sequence: 1 }), tx([read("x"), scan("x", "y", { x: 1 })]))).toEqual(["internal"])
    expect(anomalies(tx([append("x", 1)]), tx([list("x"), list("x", 1)]))).toEqual(["internal"])
    expect(anomalies(tx([list("x"), append("x", 1), list("x", 1), append("x", 2), list("x", 1, 2)]))).toEqual([])
  })
  it("garbage: what nobody wrote, or twice the same", () => {
    expect(anomalies(tx([read("x", 7)]))).toEqual(["garbage"])
    expect(anomalies(tx([scan("a", "b", { c: 1 })]), tx([write("c", 1)]))).toEqual(["garbage"])
    expect(anomalies(tx([append("x", 1)]), tx([list("x", 1, 1)]))).toContain("garbage")
  })
  it("orders that contradict each other, or the sequences", () => {
    expect(anomalies(tx([append("x", 1)]), tx([append("x", 2)]), tx([list("x", 1)]), tx([list("x", 2, 1)]))).toContain("incompatible-order")
    expect(anomalies(tx([append("x", 1)], { sequence: 2 }), tx([append("x", 2)], { sequence: 1 }), tx([list("x", 1, 2)]))).toEqual([
      "incompatible-order"
    ])
    expect(anomalies(tx([write("x", 1)], { sequence: 5 }), tx([write("y", 2)], { sequence: 5 }))).toEqual(["incompatible-order"])
  })
  it("a read that is not what its snapshot contains", () => {
    const history = [tx([write("x", 1)], { sequence: 1 }), tx([write("x", 2)], { sequence: 2 }), tx([write("x")], { sequence: 3 })]
    expect(anomalies(...history, tx([read("x", 1)], { snapshot: 2 }))).toEqual(["snapshot-mismatch"])
    expect(anomalies(...history, tx([read("x", 2)], { snapshot: 2 }))).toEqual([])
    expect(anomalies(...history, tx([read("x")], { snapshot: 3 }))).toEqual([])
    expect(anomalies(...history, tx([read("x")], { snapshot: 2 }))).toEqual(["snapshot-mismatch"])
  })
  it("failed transactions have read one moment, too", () => {
    expect(anomalies(tx([write("x", 1), write("y", 1)], { sequence: 1 }), tx([read("x", 1), read("y")], { outcome: "fail" }))).toEqual(["G-single"])
    expect(anomalies(tx([read("x"), write("y", 1)], { sequence: 1 }), tx([read("y"), write("x", 2)], { outcome: "fail" }))).toEqual([])
  })
})

describe("a verdict", () => {
  it("names transactions, operations and edges", () => {
    const { violations } = checkHistory([
      tx([scan("x", "x\0"), write("y", 1)], { sequence: 4, snapshot: 3, at: [0, 10] }),
      tx([read("y"), write("x", 2)], { sequence: 5, snapshot: 3, at: [1, 11] })
    ])
    expect(violations.map(({ anomaly, text }) => `${anomaly}\n${text}`)).toEqual([
      `G2
  T0 (serializable, reads at 3, committed as 4): scan [x, x\\0)={}; write y=1
  T1 (serializable, reads at 3, committed as 5): read y=nothing; write x=2
  T0 -rw-> T1: T0 read x=nothing, which T1 replaced by 2
  T1 -rw-> T0: T1 read y=nothing, which T0 replaced by 1`
    ])
  })
  it("finds the small circle in a large history, and passes through moments without naming them", () => {
    const history: Array<RecordedTransaction> = []
    for (let i = 0; i < 5000; i++) {
      const before = i < 10 ? [] : [i - 10]
      history.push(
        tx([...before.map((element) => read(`k${i % 10}`, element)), write(`k${i % 10}`, i)], { sequence: i + 1, at: [i * 2, i * 2 + 15] })
      )
    }
    expect(checkHistory(history).violations).toEqual([])
    const stale = tx([read("k3", 4003)], { at: [20_000, 20_001] })
    const { violations } = checkHistory([...history, stale])
    expect(violations).toHaveLength(1)
    expect(violations[0]!.anomaly).toBe("G-single-realtime")
    expect(violations[0]!.text.split("\n")).toHaveLength(4)
    expect(violations[0]!.text).toContain("T4013 -rt-> T5000: T4013 was answered before T5000 began")
  })
  const conflicting = [
    tx([write("x", 1)], { at: [0, 1], sequence: 1 }),
    tx([read("x", 1), write("x", 2)], { at: [2, 5], sequence: 2 }),
    tx([read("x", 1), write("x", 3)], { at: [3, 6], outcome: "fail", error: "TransactionConflict" })
  ]
  it("rejects a run that could not have shown anything", () => {
    expect(checkHistory(conflicting).worthless).toEqual([])
    expect(expectIsolated(conflicting, "seed 1")).toMatchObject({ transactions: 3, committed: 2, failed: 1, conflicts: 1, openMax: 2 })
    expect(() => expectIsolated(conflicting.slice(0, 2), "seed 1")).toThrow("no transaction failed with a conflict")
    expect(() => expectIsolated([], "seed 1")).toThrow("proves nothing (seed 1): no two transactions were open")
    expect(() =>
      expectIsolated(
        [conflicting[0]!, { ...conflicting[1]!, begun: 2, ended: 3 }, { ...conflicting[2]!, begun: 4, operations: [read("x", 2)] }],
        "seed 1"
      )
    ).toThrow("proves nothing (seed 1): no two transactions were open at the same time")
    expect(() => expectIsolated([...conflicting, tx([read("x", 9)])], "seed 7")).toThrow(
      "1 violations (seed 7):\ngarbage\nT3 read x=9, which nobody wrote"
    )
  })
  it("takes what a recorder noted", () => {
    const recorder = new HistoryRecorder()
    const one = recorder.begin("serializable")
    const two = recorder.begin("snapshot")
    one.readAt(0)
    one.add(write("x", 1))
    one.end("ok", { sequence: 1 })
    two.add(read("x"))
    two.end("fail", { error: "TransactionConflict" })
    recorder.begin("serializable").add(read("x", 1))
    expect(() => one.end("ok")).toThrow("ended twice")
    expect(recorder.openMax).toBe(2)
    expect(recorder.history.map(({ begun, ended, outcome, snapshot: at }) => [begun, ended, outcome, at])).toEqual([
      [0, 2, "ok", 0],
      [1, 3, "fail", undefined],
      [4, Infinity, "unknown", undefined]
    ])
    expect(checkHistory(recorder.history).violations).toEqual([])
  })
})
