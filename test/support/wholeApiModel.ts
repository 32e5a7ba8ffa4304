/** The model of the whole API: every committed state, and what an open transaction has read and written. Pure. */

/** The keyspace, `0` (the default one) or `1`, and the key in it. Keys that begin with `n` hold numbers. */
export type ModelKey = string

/** One version of a value. A write makes a new one, so that two that are the same object are the same version. */
export interface Cell {
  /** One character a byte. */
  readonly value: string
  readonly expiresAt: number
}

/** Never changed: snapshots keep it. */
export type State = ReadonlyMap<ModelKey, Cell>

export type Write =
  | { readonly type: "put"; readonly key: ModelKey; readonly value: string; readonly ttl: number | undefined }
  | { readonly type: "delete"; readonly key: ModelKey }
  | { readonly type: "deleteRange"; readonly key: ModelKey; readonly to: ModelKey }
  | { readonly type: "add" | "max"; readonly key: ModelKey; readonly amount: bigint }
  | { readonly type: "append" | "xor" | "setOnce"; readonly key: ModelKey; readonly value: string }
  | { readonly type: "compareAndSet"; readonly key: ModelKey; readonly expected: string | undefined; readonly value: string | undefined }

/** [from, to) */
export interface Interval {
  readonly from: ModelKey
  readonly to: ModelKey
}

export interface Commit {
  readonly sequence: number
  readonly timeMs: number
  readonly state: State
  readonly touched: ReadonlyArray<Interval>
  /** By key: what `history` shows of it. */
  readonly told: ReadonlyMap<ModelKey, string>
}

export const pointOf = (key: ModelKey): Interval => ({ from: key, to: `${key}\0` })
export const isWithin = (key: ModelKey, { from, to }: Interval): boolean => key >= from && key < to
const meet = (a: Interval, b: Interval): boolean => a.from < b.to && b.from < a.to

export const intervalOf = (write: Write): Interval => (write.type === "deleteRange" ? { from: write.key, to: write.to } : pointOf(write.key))

export const valueAt = (state: State, key: ModelKey, timeMs: number): string | undefined => {
  const cell = state.get(key)
  return cell !== undefined && cell.expiresAt > timeMs ? cell.value : undefined
}

/** `key=value` of what is there, in order. */
export const entriesAt = (state: State, timeMs: number, range: Interval): ReadonlyArray<readonly [ModelKey, string]> =>
  [...state]
    .filter(([key, cell]) => isWithin(key, range) && cell.expiresAt > timeMs)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, cell]) => [key, cell.value] as const)

/** Eight bytes, signed, little-endian. */
export const numberText = (value: bigint): string => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(value)
  return bytes.toString("latin1")
}
const numberIn = (value: string | undefined): bigint | undefined => (value === undefined ? undefined : Buffer.from(value, "latin1").readBigInt64LE())

const xored = (a: string, b: string): string => {
  const bytes = Buffer.alloc(Math.max(a.length, b.length))
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i < a.length ? a.charCodeAt(i) : 0) ^ (i < b.length ? b.charCodeAt(i) : 0)
  return bytes.toString("latin1")
}

export interface Applied {
  readonly state: State
  readonly told: ReadonlyMap<ModelKey, string>
  readonly touched: ReadonlyArray<Interval>
  /** Of the atomic operations. */
  readonly results: ReadonlyArray<string | undefined>
}

export const toldOfPut = (value: string, expiresAt: number): string => `put ${value} until ${expiresAt}`

/** What the writes make of the state, committed at `timeMs`. Undefined: one of them cannot be applied, and so none is. */
export const applied = (before: State, writes: ReadonlyArray<Write>, timeMs: number, allKeys: ReadonlyArray<ModelKey>): Applied | undefined => {
  const state = new Map(before)
  const told = new Map<ModelKey, string>()
  const touched: Array<Interval> = []
  const results: Array<string | undefined> = []
  const put = (key: ModelKey, value: string, expiresAt: number): void => {
    state.set(key, { value, expiresAt })
    told.set(key, toldOfPut(value, expiresAt))
    touched.push(pointOf(key))
  }
  const remove = (range: Interval): void => {
    for (const key of allKeys) {
      if (!isWithin(key, range)) continue
      state.delete(key)
      told.set(key, "delete")
    }
    touched.push(range)
  }
  for (const write of writes) {
    if (write.type === "put") {
      put(write.key, write.value, write.ttl === undefined ? Infinity : timeMs + write.ttl)
      continue
    }
    if (write.type === "delete" || write.type === "deleteRange") {
      remove(intervalOf(write))
      continue
    }
    const current = valueAt(state, write.key, timeMs)
    let result: string | undefined
    switch (write.type) {
      case "add":
        result = numberText((numberIn(current) ?? 0n) + write.amount)
        break
      case "max": {
        const number = numberIn(current)
        result = numberText(number === undefined || number < write.amount ? write.amount : number)
        break
      }
      case "append":
        result = (current ?? "") + write.value
        break
      case "xor":
        result = xored(current ?? "", write.value)
        break
      case "setOnce":
        results.push(current ?? write.value)
        if (current === undefined) put(write.key, write.value, Infinity)
        continue
      default:
        if (current !== write.expected) return undefined
        result = write.value
    }
    results.push(result)
    if (result === undefined) remove(pointOf(write.key))
    else put(write.key, result, Infinity)
  }
  return { state, told, touched, results }
}

/** A read, with the writes the transaction had made by then: what they decide was not read from the snapshot. */
interface Read {
  readonly range: Interval
  readonly own: ReadonlyArray<Write>
}

const decides = (write: Write, key: ModelKey): boolean =>
  (write.type === "put" || write.type === "delete" || write.type === "deleteRange") && isWithin(key, intervalOf(write))

/** An open transaction as the model sees it. */
export class ModelTransaction {
  readonly state: State
  readonly timeMs: number
  /** How many commits there were when it began. */
  readonly begun: number
  readonly isolation: "serializable" | "snapshot"
  writes: ReadonlyArray<Write> = []
  readonly savepoints = new Map<string, number>()
  readonly #reads: Array<Read> = []
  readonly #allKeys: ReadonlyArray<ModelKey>

  constructor(isolation: "serializable" | "snapshot", state: State, timeMs: number, begun: number, allKeys: ReadonlyArray<ModelKey>) {
    this.isolation = isolation
    this.state = state
    this.timeMs = timeMs
    this.begun = begun
    this.#allKeys = allKeys
  }

  /** What it sees: its snapshot with its own writes over it. */
  view(): State {
    return applied(this.state, this.writes, this.timeMs, this.#allKeys)!.state
  }

  read(range: Interval): void {
    this.#reads.push({ range, own: this.writes })
  }

  savepoint(name: string): void {
    for (const [other, at] of this.savepoints) if (at > this.writes.length) this.savepoints.delete(other)
    this.savepoints.delete(name)
    this.savepoints.set(name, this.writes.length)
  }

  /** False where there is no such savepoint. Later ones are forgotten. */
  rollbackTo(name: string): boolean {
    const at = this.savepoints.get(name)
    if (at === undefined) return false
    const names = [...this.savepoints.keys()]
    for (const later of names.slice(names.indexOf(name) + 1)) this.savepoints.delete(later)
    this.writes = this.writes.slice(0, at)
    return true
  }

  /**
   * Whether a commit at `timeMs` has to fail, may not, or may do either: where a commit touched what was read, and left it as it was (or it expired meanwhile), the engine may
   * see a conflict.
   */
  verdict(commits: ReadonlyArray<Commit>, present: State, timeMs: number): "conflict" | "free" | "either" {
    if (this.writes.length === 0) return "free"
    const serializable = this.isolation === "serializable"
    const ranges: ReadonlyArray<Read> = serializable
      ? this.#reads
      : this.writes
          .filter(({ type }) => type === "put" || type === "delete" || type === "deleteRange")
          .map((write) => ({ range: intervalOf(write), own: [] }))
    let either = commits.slice(this.begun).some(({ touched }) => touched.some((range) => ranges.some((read) => meet(read.range, range))))
    for (const { own, range } of ranges) {
      for (const key of this.#allKeys) {
        if (!isWithin(key, range)) continue
        const before = this.state.get(key)
        if (before !== undefined && before.expiresAt <= timeMs) either = true
        if (own.some((write) => decides(write, key))) continue
        if (present.get(key) !== before) return "conflict"
        // What it has read and is no longer there.
        if (serializable && before !== undefined && before.expiresAt > this.timeMs && before.expiresAt <= timeMs) return "conflict"
      }
    }
    return either ? "either" : "free"
  }
}
