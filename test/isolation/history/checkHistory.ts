/** The verdict on a history: its anomalies, each with a counterexample to read, or that it could not have shown any. */
import { type Edge, type EdgeKind, Graph } from "./Graph.ts"
import { type History, isWrite, type RecordedOperation, type RecordedTransaction } from "./History.ts"
import { type DirectAnomaly, isCommitted, readVersions, type VersionOrder } from "./versions.ts"

/** Circles, by what they consist of; `-realtime`: not without the order in which callers were answered. */
export type CycleAnomaly = "G0" | "G1c" | "G-single" | "G2"
export type Anomaly = DirectAnomaly | CycleAnomaly | `${CycleAnomaly}-realtime`

export interface Violation {
  readonly anomaly: Anomaly
  readonly text: string
}

export interface Measures {
  readonly transactions: number
  readonly committed: number
  readonly failed: number
  readonly unknown: number
  /** Failed with `TransactionConflict`. */
  readonly conflicts: number
  /** Pairs next to each other in an object's order, or reader and writer of one object, that were open at the same time. */
  readonly contended: number
  readonly openMax: number
  readonly ww: number
  readonly wr: number
  readonly rw: number
}

export interface Verdict {
  readonly violations: ReadonlyArray<Violation>
  /** Why a history without violations proves nothing; empty where it does. */
  readonly worthless: ReadonlyArray<string>
  readonly measures: Measures
}

/** The key directly after one ends in a zero byte. */
const showBound = (key: string): string => key.replaceAll("\0", "\\0")

const showOperation = (operation: RecordedOperation): string => {
  switch (operation.kind) {
    case "append":
      return `append ${operation.key} ${operation.element}`
    case "readList":
      return `read ${operation.key}=[${operation.elements.length > 8 ? "… " : ""}${operation.elements.slice(-8).join(" ")}]`
    case "write":
      return operation.value === undefined ? `delete ${operation.key}` : `write ${operation.key}=${operation.value}`
    case "read":
      return `read ${operation.key}=${operation.value ?? "nothing"}`
    case "scan":
      return `scan [${showBound(operation.from)}, ${showBound(operation.to)})={${[...operation.found].map(([key, value]) => `${key}=${value}`).join(" ")}}`
    case "deleteRange":
      return `delete [${operation.from}, ${operation.to})`
  }
}

const showTransaction = ({ id, level, operations, outcome, sequence, snapshot }: RecordedTransaction): string => {
  const read = snapshot === undefined ? "" : `, reads at ${snapshot}`
  const ended =
    outcome === "ok" ? (sequence === undefined ? "committed" : `committed as ${sequence}`) : outcome === "fail" ? "failed" : "outcome unknown"
  return `  T${id} (${level}${read}, ${ended}): ${operations.map(showOperation).join("; ")}`
}

/** `rt` edges run along a chain of moments, so that there are as many as transactions and not as many as pairs. */
const addRealTime = (graph: Graph, history: History): void => {
  const moments = history
    .flatMap(({ begun, ended, id }) => [{ at: begun, id, isEnd: false }, ...(Number.isFinite(ended) ? [{ at: ended, id, isEnd: true }] : [])])
    .sort((a, b) => a.at - b.at)
  const why = () => ""
  let last: number | undefined
  let next = history.length
  for (const { id, isEnd } of moments) {
    if (isEnd) {
      const moment = next++
      graph.add({ from: id, to: moment, kind: "rt", why })
      if (last !== undefined) graph.add({ from: last, to: moment, kind: "rt", why })
      last = moment
    } else if (last !== undefined) graph.add({ from: last, to: id, kind: "rt", why })
  }
}

const addVersions = (graph: Graph, { key, names, reads, unplaced, unseen, writers }: VersionOrder): void => {
  for (let place = 1; place < writers.length; place++) {
    const [from, to] = [writers[place - 1]!, writers[place]!]
    graph.add({ from, to, kind: "ww", why: () => `T${from} wrote ${key}=${names[place]}, which T${to} replaced by ${names[place + 1]}` })
  }
  for (const { place, reader } of reads) {
    const writer = writers[place - 1]
    if (writer !== undefined)
      graph.add({ from: writer, to: reader, kind: "wr", why: () => `T${writer} wrote ${key}=${names[place]}, which T${reader} read` })
    // Its own write stands between: whoever is next comes after that, by `ww`.
    const after = writers[place]
    if (after !== undefined)
      graph.add({
        from: reader,
        to: after,
        kind: "rw",
        why: () => `T${reader} read ${key}=${names[place]}, which T${after} replaced by ${names[place + 1]}`
      })
    else
      for (const later of unseen)
        graph.add({ from: reader, to: later, kind: "rw", why: () => `T${reader} read ${key}=${names[place]}, without what T${later} appended` })
  }
  for (const { reader, writer } of unplaced)
    graph.add({ from: writer, to: reader, kind: "wr", why: () => `T${writer} wrote what T${reader} read of ${key}` })
  const last = writers.at(-1)
  if (last !== undefined)
    for (const later of unseen)
      graph.add({ from: last, to: later, kind: "ww", why: () => `T${last} stands in ${key} without what T${later} appended` })
}

const showCycle = (history: History, cycle: ReadonlyArray<Edge>): string => {
  // A passage through moments is one step of time.
  const start = cycle.findIndex(({ from }) => from < history.length)
  const turned = [...cycle.slice(start), ...cycle.slice(0, start)]
  const steps: Array<string> = []
  const members = new Set<number>()
  for (let i = 0; i < turned.length; i++) {
    const { from, kind, why } = turned[i]!
    members.add(from)
    if (kind !== "rt") {
      steps.push(`  T${from} -${kind}-> T${turned[i]!.to}: ${why()}`)
      continue
    }
    while (turned[i]!.to >= history.length) i++
    steps.push(`  T${from} -rt-> T${turned[i]!.to}: T${from} was answered before T${turned[i]!.to} began`)
  }
  return [...[...members].map((member) => showTransaction(history[member]!)), ...steps].join("\n")
}

const kinds = (...all: ReadonlyArray<EdgeKind>): ReadonlySet<EdgeKind> => new Set(all)
const passes: ReadonlyArray<readonly [CycleAnomaly, ReadonlySet<EdgeKind>]> = [
  ["G0", kinds("ww")],
  ["G1c", kinds("ww", "wr")],
  ["G2", kinds("ww", "wr", "rw")]
]

const findCycle = (graph: Graph, history: History): Violation | undefined => {
  if (graph.cycle(kinds("ww", "wr", "rw", "rt")) === undefined) return undefined
  for (const realtime of [false, true]) {
    for (const [name, over] of passes) {
      const cycle = graph.cycle(realtime ? new Set<EdgeKind>([...over, "rt"]) : over)
      if (cycle === undefined) continue
      const single = cycle.filter(({ kind }) => kind === "rw").length === 1 ? "G-single" : name
      return { anomaly: realtime ? `${single}-realtime` : single, text: showCycle(history, cycle) }
    }
  }
  return undefined
}

const overlap = (a: RecordedTransaction, b: RecordedTransaction): boolean => a.begun < b.ended && b.begun < a.ended

const measure = (history: History, orders: ReadonlyArray<VersionOrder>, graph: Graph): Measures => {
  let contended = 0
  for (const { reads, writers } of orders) {
    for (let place = 1; place < writers.length; place++) if (overlap(history[writers[place - 1]!]!, history[writers[place]!]!)) contended++
    for (const { place, reader } of reads) {
      const after = writers[place]
      if (after !== undefined && after !== reader && overlap(history[reader]!, history[after]!)) contended++
    }
  }
  let openNow = 0
  let openMax = 0
  for (const { change } of history
    .flatMap(({ begun, ended }) => [
      { at: begun, change: 1 },
      { at: ended, change: -1 }
    ])
    .sort((a, b) => a.at - b.at))
    openMax = Math.max(openMax, (openNow += change))
  const outcomes = (outcome: RecordedTransaction["outcome"]) => history.filter((transaction) => transaction.outcome === outcome).length
  return {
    transactions: history.length,
    committed: outcomes("ok"),
    failed: outcomes("fail"),
    unknown: outcomes("unknown"),
    conflicts: history.filter(({ error }) => error === "TransactionConflict").length,
    contended,
    openMax,
    ww: graph.count("ww"),
    wr: graph.count("wr"),
    rw: graph.count("rw")
  }
}

export const checkHistory = (given: History): Verdict => {
  // Positions stand for transactions from here on.
  const history = given.map((transaction, id) => ({ ...transaction, id }))
  const { findings, orders } = readVersions(history)
  const writes = (transaction: RecordedTransaction) => transaction.operations.some(isWrite)
  // What failed has still read one moment: it stands there as if it had written nothing.
  const isWeak = (node: number) =>
    node < history.length && history[node]!.level === "snapshot" && isCommitted(history[node]!) && writes(history[node]!)
  const graph = new Graph(history.length * 2, history.length, isWeak)
  for (const order of orders) addVersions(graph, order)
  addRealTime(graph, history)
  const cycle = findCycle(graph, history)
  const sequences = new Map<number, number>()
  const doubled = history.flatMap(({ id, sequence }): ReadonlyArray<Violation> => {
    if (sequence === undefined) return []
    const other = sequences.get(sequence)
    sequences.set(sequence, id)
    return other === undefined ? [] : [{ anomaly: "incompatible-order", text: `T${other} and T${id} both committed as ${sequence}` }]
  })
  const measures = measure(history, orders, graph)
  const worthless: Array<string> = []
  if (measures.openMax < 2) worthless.push("no two transactions were open at the same time")
  if (measures.contended === 0) worthless.push("no two transactions that were open at the same time touched the same object")
  if (measures.conflicts === 0) worthless.push("no transaction failed with a conflict")
  if (measures.wr === 0) worthless.push("nobody read what another one wrote")
  return { violations: [...findings, ...doubled, ...(cycle === undefined ? [] : [cycle])], worthless, measures }
}

/** Throws with the first counterexamples, or because the history proves nothing. */
export const expectIsolated = (history: History, where: string): Measures => {
  const { measures, violations, worthless } = checkHistory(history)
  if (violations.length > 0) {
    const shown = violations.slice(0, 5).map(({ anomaly, text }) => `${anomaly}\n${text}`)
    throw new Error(`${violations.length} violations (${where}):\n${shown.join("\n")}\n${JSON.stringify(measures)}`)
  }
  if (worthless.length > 0) throw new Error(`the run proves nothing (${where}): ${worthless.join("; ")}\n${JSON.stringify(measures)}`)
  return measures
}
