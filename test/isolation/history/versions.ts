/**
 * Reads a history object by object: which versions each had, in which order, who wrote and who read them. What is wrong without looking at any second object is found here.
 */
import type { History, RecordedTransaction } from "./History.ts"

export type DirectAnomaly =
  /** Aborted read: a value of a transaction that failed. */
  | "G1a"
  /** Intermediate read: a value its writer had replaced before it committed. */
  | "G1b"
  /** A transaction does not read its own writes, or reads the same object twice and differently. */
  | "internal"
  /** A value nobody wrote, or twice the same element in a list. */
  | "garbage"
  /** Two reads of a list of which neither begins with the other, or versions that stand against the commit order. */
  | "incompatible-order"
  /** A read is not what the reported snapshot contains. */
  | "snapshot-mismatch"
  /** An acknowledged append is missing where a later one is seen. */
  | "lost-write"

export interface Finding {
  readonly anomaly: DirectAnomaly
  readonly text: string
}

/** What stands at a place of an object's order. Place 0 is the version before the first one: nothing. */
export interface VersionOrder {
  readonly key: string
  /** Writers of places 1, 2, …, as indices into the history. */
  readonly writers: ReadonlyArray<number>
  /** How places are named in a message. */
  readonly names: ReadonlyArray<string>
  /** External reads with a known place. */
  readonly reads: ReadonlyArray<{ readonly reader: number; readonly place: number }>
  /** Reads of a version that has a writer but no known place. */
  readonly unplaced: ReadonlyArray<{ readonly reader: number; readonly writer: number }>
  /** Writers of lists that nobody has seen: after the last place, in no known order among each other. */
  readonly unseen: ReadonlyArray<number>
}

export const isCommitted = (transaction: RecordedTransaction): boolean => transaction.outcome !== "fail"

const show = (value: number | undefined): string => (value === undefined ? "nothing" : String(value))
const showList = (list: ReadonlyArray<number>): string => `[${list.length > 8 ? `… ${list.slice(-7).join(" ")}` : list.join(" ")}]`

const startsWith = (list: ReadonlyArray<number>, start: ReadonlyArray<number>): boolean =>
  start.length <= list.length && start.every((element, i) => list[i] === element)

interface RegisterUse {
  /** Of each transaction: what it read before it wrote, and what it left. `left` is undefined where it wrote nothing. */
  readonly reads: Map<number, number | undefined>
  readonly left: Map<number, { readonly value: number | undefined }>
  readonly writerOf: Map<number, { readonly writer: number; final: boolean }>
}

interface ListUse {
  readonly reads: Map<number, ReadonlyArray<number>>
  readonly appended: Map<number, Array<number>>
  readonly writerOf: Map<number, number>
}

export const readVersions = (history: History): { readonly orders: ReadonlyArray<VersionOrder>; readonly findings: ReadonlyArray<Finding> } => {
  const registers = new Map<string, RegisterUse>()
  const lists = new Map<string, ListUse>()
  const findings: Array<Finding> = []
  const find = (anomaly: DirectAnomaly, text: string) => void findings.push({ anomaly, text })
  for (const { operations } of history) {
    for (const operation of operations) {
      if (operation.kind === "read" || operation.kind === "write")
        registers.set(operation.key, { reads: new Map(), left: new Map(), writerOf: new Map() })
      else if (operation.kind === "append" || operation.kind === "readList")
        lists.set(operation.key, { reads: new Map(), appended: new Map(), writerOf: new Map() })
      else if (operation.kind === "scan")
        for (const key of operation.found.keys()) registers.set(key, { reads: new Map(), left: new Map(), writerOf: new Map() })
    }
  }
  const keysOfRegisters = [...registers.keys()].sort()
  const registersIn = (from: string, to: string) => keysOfRegisters.filter((key) => key >= from && key < to)
  const rangesKnown = new Map<string, ReadonlyArray<string>>()
  const inRange = (from: string, to: string): ReadonlyArray<string> => {
    const name = `${from}\n${to}`
    const known = rangesKnown.get(name) ?? registersIn(from, to)
    rangesKnown.set(name, known)
    return known
  }

  history.forEach(({ operations }, at) => {
    const readRegister = (key: string, value: number | undefined) => {
      const use = registers.get(key)!
      const own = use.left.get(at)
      if (own !== undefined) {
        if (own.value !== value) find("internal", `T${at} wrote ${key}=${show(own.value)} and then read ${show(value)}`)
      } else if (!use.reads.has(at)) use.reads.set(at, value)
      else if (use.reads.get(at) !== value) find("internal", `T${at} read ${key}=${show(use.reads.get(at))} and then ${show(value)}`)
    }
    const writeRegister = (key: string, value: number | undefined) => {
      const use = registers.get(key)!
      const before = use.left.get(at)
      if (before?.value !== undefined) use.writerOf.get(before.value)!.final = false
      use.left.set(at, { value })
      if (value !== undefined) use.writerOf.set(value, { writer: at, final: true })
    }
    for (const operation of operations) {
      switch (operation.kind) {
        case "read":
          readRegister(operation.key, operation.value)
          break
        case "scan":
          for (const key of operation.found.keys())
            if (key < operation.from || key >= operation.to) find("garbage", `T${at} scanned [${operation.from}, ${operation.to}) and found ${key}`)
          for (const key of inRange(operation.from, operation.to)) readRegister(key, operation.found.get(key))
          break
        case "write":
          writeRegister(operation.key, operation.value)
          break
        case "deleteRange":
          for (const key of inRange(operation.from, operation.to)) writeRegister(key, undefined)
          break
        case "append": {
          const use = lists.get(operation.key)!
          const own = use.appended.get(at)
          if (own === undefined) use.appended.set(at, [operation.element])
          else own.push(operation.element)
          use.writerOf.set(operation.element, at)
          break
        }
        case "readList": {
          const { elements, key } = operation
          const use = lists.get(key)!
          const own = use.appended.get(at) ?? []
          const base = elements.slice(0, Math.max(0, elements.length - own.length))
          if (!startsWith(elements.slice(base.length), own))
            find("internal", `T${at} appended ${showList(own)} to ${key} and then read ${showList(elements)}`)
          const before = use.reads.get(at)
          if (before === undefined) use.reads.set(at, base)
          else if (before.length !== base.length || !startsWith(base, before))
            find("internal", `T${at} read ${key}=${showList(before)} and then ${showList(elements)}`)
          break
        }
      }
    }
  })

  const orders: Array<VersionOrder> = []
  for (const [key, use] of registers) orders.push(orderOfRegister(history, key, use, find))
  for (const [key, use] of lists) orders.push(orderOfList(history, key, use, find))
  findSnapshotMismatches(history, orders, find)
  return { orders, findings }
}

type Find = (anomaly: DirectAnomaly, text: string) => void

/** The commit sequences give the order; a delete of what is not there makes no version. */
const orderOfRegister = (history: History, key: string, use: RegisterUse, find: Find): VersionOrder => {
  const placed = [...use.left]
    .filter(([writer]) => isCommitted(history[writer]!) && history[writer]!.sequence !== undefined)
    .sort(([a], [b]) => history[a]!.sequence! - history[b]!.sequence!)
  const writers: Array<number> = []
  const names: Array<string> = ["nothing"]
  const values: Array<number | undefined> = [undefined]
  const placeOf = new Map<number, number>()
  for (const [writer, { value }] of placed) {
    if (value === undefined && values.at(-1) === undefined) continue
    writers.push(writer)
    names.push(show(value))
    values.push(value)
    if (value !== undefined) placeOf.set(value, writers.length)
  }
  const reads: Array<{ readonly reader: number; readonly place: number }> = []
  const unplaced: Array<{ readonly reader: number; readonly writer: number }> = []
  // A delete whose place is not known may have been anywhere.
  const isComplete = [...use.left.keys()].every((writer) => !isCommitted(history[writer]!) || history[writer]!.sequence !== undefined)
  for (const [reader, value] of use.reads) {
    if (value === undefined) {
      const absent = values.flatMap((at, place) => (at === undefined ? [place] : []))
      const { snapshot } = history[reader]!
      // Which of several absences was read cannot be seen: the reported snapshot tells. Where it holds a value, the check of snapshots says so.
      const seen =
        absent.length === 1
          ? absent[0]
          : snapshot === undefined
            ? undefined
            : absent.findLast((place) => place === 0 || sequenceAt(history, writers, place) <= snapshot)
      if (seen !== undefined && isComplete) reads.push({ reader, place: seen })
      continue
    }
    const written = use.writerOf.get(value)
    if (written === undefined) {
      find("garbage", `T${reader} read ${key}=${value}, which nobody wrote`)
      continue
    }
    const { final, writer } = written
    if (!isCommitted(history[writer]!)) find("G1a", `T${reader} read ${key}=${value}, which T${writer} wrote, and T${writer} failed`)
    else if (!final) find("G1b", `T${reader} read ${key}=${value}, which T${writer} itself replaced before it committed`)
    else if (placeOf.has(value)) reads.push({ reader, place: placeOf.get(value)! })
    else unplaced.push({ reader, writer })
  }
  return { key, writers, names, reads, unplaced, unseen: [] }
}

/** The longest read gives the order. */
const orderOfList = (history: History, key: string, use: ListUse, find: Find): VersionOrder => {
  let longest: ReadonlyArray<number> = []
  for (const list of use.reads.values()) if (list.length > longest.length) longest = list
  for (const [reader, list] of use.reads) {
    if (!startsWith(longest, list)) find("incompatible-order", `T${reader} read ${key}=${showList(list)}, and another one ${showList(longest)}`)
  }
  if (new Set(longest).size !== longest.length) find("garbage", `${key}=${showList(longest)} holds an element twice`)
  const writers: Array<number> = []
  const names: Array<string> = ["[]"]
  /** Place reached after so many elements; undefined within the elements of one writer. */
  const placeAfter: Array<number | undefined> = [0]
  const seen = new Set<number>()
  for (let i = 0; i < longest.length; i++) {
    const element = longest[i]!
    const writer = use.writerOf.get(element)
    if (writer === undefined) {
      find("garbage", `${key}=${showList(longest)} holds ${element}, which nobody appended`)
      placeAfter.push(undefined)
      continue
    }
    if (!isCommitted(history[writer]!)) find("G1a", `${key}=${showList(longest)} holds ${element} of T${writer}, and T${writer} failed`)
    seen.add(writer)
    if (use.appended.get(writer)!.at(-1) === element) {
      writers.push(writer)
      names.push(showList(longest.slice(0, i + 1)))
      placeAfter.push(writers.length)
    } else placeAfter.push(undefined)
  }
  const reads: Array<{ readonly reader: number; readonly place: number }> = []
  for (const [reader, list] of use.reads) {
    if (!startsWith(longest, list)) continue
    const place = placeAfter[list.length]
    const last = list.at(-1)
    if (place !== undefined) reads.push({ reader, place })
    else if (last !== undefined && use.writerOf.has(last))
      find("G1b", `T${reader} read ${key}=${showList(list)}, and T${use.writerOf.get(last)!} appended more in the same transaction`)
  }
  const unseen = [...use.appended.keys()].filter((writer) => history[writer]!.outcome === "ok" && !seen.has(writer))
  const lastSequence = writers.reduce((most, writer) => Math.max(most, history[writer]!.sequence ?? 0), 0)
  for (const writer of unseen) {
    const { sequence } = history[writer]!
    if (sequence !== undefined && sequence < lastSequence)
      find(
        "lost-write",
        `T${writer} committed ${showList(use.appended.get(writer)!)} to ${key} as ${sequence}; later ones are seen, and it is not: ${showList(longest)}`
      )
  }
  for (let place = 2; place <= writers.length; place++) {
    const [before, after] = [history[writers[place - 2]!]!.sequence, history[writers[place - 1]!]!.sequence]
    if (before !== undefined && after !== undefined && before >= after)
      find(
        "incompatible-order",
        `in ${key} T${writers[place - 2]} (committed as ${before}) stands before T${writers[place - 1]} (committed as ${after})`
      )
  }
  return { key, writers, names, reads, unplaced: [], unseen }
}

const sequenceAt = (history: History, writers: ReadonlyArray<number>, place: number): number => history[writers[place - 1]!]!.sequence ?? Number.NaN

/** Where the engine says which sequence a transaction read at, each read must be the newest version up to it. */
const findSnapshotMismatches = (history: History, orders: ReadonlyArray<VersionOrder>, find: Find): void => {
  for (const { key, names, reads, unseen, writers } of orders) {
    if (writers.some((writer) => history[writer]!.sequence === undefined) || unseen.length > 0) continue
    for (const { place, reader } of reads) {
      const { snapshot } = history[reader]!
      if (snapshot === undefined) continue
      let expected = writers.length
      while (expected > 0 && sequenceAt(history, writers, expected) > snapshot) expected--
      if (expected !== place)
        find(
          "snapshot-mismatch",
          `T${reader} read ${key}=${names[place]} at snapshot ${snapshot}, which contains ${key}=${names[expected]} (T${writers[expected - 1] ?? "-"})`
        )
    }
  }
}
