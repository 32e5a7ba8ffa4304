/** What a `FaultyDisk` does, and when: rules as plain values, and the counting that decides which of them strikes. */
import type { Prng } from "./Prng.ts"
import type { DiskOperationKind } from "./SimulatedDisk.ts"

/**
 * What a rule can name. "read" is `Disk.read`, the read that does not block; a rule for "readAt" strikes it as well. "lock" is struck only by rules that name
 * it. (A close cannot fail: `SyncDisk` says why.)
 */
export type FaultOperation = DiskOperationKind | "read" | "lock"

/** A bit of a file, or one drawn anew, anywhere in what the struck call reads or writes. */
export type BitPlace = { readonly offset: number; readonly bit: number } | { readonly draw: Prng }

/** Where a call goes instead: `byBytes` further on (or back), in the file `path` (by default its own). `path` may depend on the path that was meant. */
export interface Misdirection {
  readonly byBytes?: number
  readonly path?: string | ((path: string) => string)
}

/** A delay is in milliseconds of the `Clock`, and has no part in which other fault strikes. */
export interface Delay {
  readonly delayMs: number
  /** The call takes effect, and its answer is late. By default the call is late to take effect. */
  readonly answer?: "late"
}

export type Fault =
  /** Throws `IoFailure` with this code; of a write the first `afterBytes` are done first. A failed datasync of a simulated file loses what it covered. */
  | { readonly code: string; readonly afterBytes?: number }
  /** A read returns at most this many bytes, as if the file ended there. */
  | { readonly shortRead: number }
  /** A write reports success and has done its first bytes only. (Short writes that a system admits are continued, below this disk.) */
  | { readonly shortWrite: number }
  /** A read sees a bit flipped; the file is left as it is. */
  | { readonly bitFlip: BitPlace }
  /** A write stores a bit flipped. */
  | { readonly bitFlipOnWrite: BitPlace }
  /** The operation reports success and does nothing: a lost write, or, for "datasync" and "syncDirectory", a sync that was never done. */
  | { readonly lieOnWrite: true }
  /** A read returns bytes from somewhere else, or a write lands there and not where it should. A write to a file that is not there is lost. */
  | { readonly misdirected: Misdirection }
  /**
   * A read returns what was there before the last write to any of the bytes: zeros where there was nothing, the replaced file where another was renamed onto
   * it. Only what is written while a rule with this fault is there is remembered.
   */
  | { readonly staleRead: true }
  | Delay

export interface FaultRule {
  /**
   * All given parts must match. Without an operation `lieOnWrite`, `shortWrite` and `bitFlipOnWrite` mean "writev", `shortRead`, `bitFlip` and `staleRead`
   * reads, `misdirected` both, and the others every operation.
   */
  readonly match: { readonly operation?: FaultOperation; readonly path?: RegExp }
  /** The first match that is struck, counted from 1 (the default). */
  readonly nth?: number
  /** How many matches are struck from there on: by default 1 where `nth` is given without `chance`, otherwise all. */
  readonly times?: number
  /** Each match in that range is struck with this probability, drawn from `prng`; `times` then counts strikes. */
  readonly chance?: { readonly probability: number; readonly prng: Prng }
  readonly fault: Fault
}

/** A call that is about to happen. `bytes` is the length of a read or write, 0 for everything else. */
export interface FaultCall {
  readonly operation: FaultOperation
  readonly path: string
  readonly position: number
  readonly bytes: number
}

/** A rule that has struck, and the call it struck. */
export interface Strike {
  readonly rule: FaultRule
  readonly call: FaultCall
}

const isRead = (operation: FaultOperation): boolean => operation === "readAt" || operation === "read"

/** Whether the fault can do anything to a call of this kind; `named` where the rule asked for that very kind. */
const applies = (fault: Fault, { bytes, operation, position }: FaultCall, named: boolean): boolean => {
  if ("shortRead" in fault || "staleRead" in fault) return isRead(operation)
  if ("bitFlip" in fault) return isRead(operation) && covers(fault.bitFlip, position, bytes)
  if ("shortWrite" in fault) return operation === "writev"
  if ("bitFlipOnWrite" in fault) return operation === "writev" && covers(fault.bitFlipOnWrite, position, bytes)
  if ("misdirected" in fault) return operation === "writev" || isRead(operation)
  if (named) return true
  if ("lieOnWrite" in fault) return operation === "writev"
  return operation !== "lock"
}

const covers = (place: BitPlace, position: number, bytes: number): boolean =>
  "draw" in place ? bytes > 0 : place.offset >= position && place.offset < position + bytes

/** Faults that have one meaning only, so that a rule may name any operation. */
const ignoresOperation = (fault: Fault): boolean => "shortRead" in fault || "bitFlip" in fault

const matches = ({ fault, match }: FaultRule, call: FaultCall): boolean => {
  if (match.path !== undefined && match.path.exec(call.path) === null) return false
  const named = match.operation === call.operation || (match.operation === "readAt" && call.operation === "read")
  if (match.operation !== undefined && !named && !ignoresOperation(fault)) return false
  return applies(fault, call, named)
}

/** A rule with its counts. */
export class CountedRule {
  readonly rule: FaultRule
  #matches = 0
  #strikes = 0

  constructor(rule: FaultRule) {
    this.rule = rule
  }

  get strikes(): number {
    return this.#strikes
  }

  /** Counts the call if it matches, and returns whether it is to be struck. */
  admits(call: FaultCall): boolean {
    const { chance, nth, times } = this.rule
    if (!matches(this.rule, call)) return false
    this.#matches++
    if (this.#matches < (nth ?? 1)) return false
    if (chance !== undefined) return this.#strikes < (times ?? Infinity) && chance.prng() < chance.probability
    return this.#matches < (nth ?? 1) + (times ?? (nth === undefined ? Infinity : 1))
  }

  struck(): void {
    this.#strikes++
  }
}
