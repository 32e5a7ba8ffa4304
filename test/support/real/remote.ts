/** What a process with a database in it and the test that drives it have to agree on. */
import type { Durability } from "../../../src/services/Database.ts"
import type { Options } from "../../../src/domain/options/Options.ts"

export type JsonOptions = Pick<
  Options,
  | "path"
  | "readOnly"
  | "durability"
  | "memtableBytes"
  | "writeBufferCount"
  | "walSegmentBytes"
  | "cacheBytes"
  | "compactionWorkers"
  | "tableBytes"
  | "levelBytesBase"
  | "maxOpenTables"
  | "blockBytes"
  | "valueThresholdBytes"
>

/** Keys `prefix` + number, from `from` on, with values that follow from the number. */
export interface Numbers {
  readonly prefix: string
  readonly from: number
  readonly count: number
  readonly bytes: number
  /** Values that do not compress. */
  readonly random?: boolean
}

export type Command =
  | { readonly op: "open"; readonly options: JsonOptions }
  | ({ readonly op: "fill"; readonly durability?: Durability; readonly together?: number; readonly until?: { readonly ms: number } } & Numbers)
  | ({ readonly op: "check"; readonly step?: number } & Numbers)
  | { readonly op: "deletePrefix"; readonly prefix: string }
  | { readonly op: "close" | "scan" | "flush" | "compact" | "health" | "stats" | "verify" | "process" }
  | { readonly op: "run"; readonly argv: ReadonlyArray<string> }

/** An error as far as it can be sent: its tag, or "Defect". */
export interface Told {
  readonly tag: string
  readonly message: string
  readonly fields: Readonly<Record<string, string | number>>
}

export type Answer = { readonly ok: unknown } | { readonly error: Told }

export interface Filled {
  readonly written: number
  readonly stopped?: Told
}

export interface Checked {
  readonly wrong: ReadonlyArray<string>
  readonly missing: number
  readonly firstMissing?: number
  readonly failed: ReadonlyArray<Told>
}

export interface ProcessFigures {
  /** The most memory the process ever had (VmHWM). */
  readonly peakBytes: number
  readonly residentBytes: number
  readonly heapBytes: number
  /** What the heap holds of the system, used or not. */
  readonly heapHeldBytes: number
  readonly outsideHeapBytes: number
  readonly descriptors: number
}

export const keyAt = (prefix: string, i: number): string => `${prefix}${String(i).padStart(9, "0")}`

/** Of a length known beforehand; `random` bytes do not compress, the others do. */
export const valueAt = (i: number, bytes: number, random: boolean): Uint8Array => {
  const value = new Uint8Array(bytes)
  let state = (Math.imul(i + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0
  if (!random) return value.fill(state & 0xff)
  for (let at = 0; at < bytes; at += 4) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    value[at] = state
    value[at + 1] = state >>> 8
    value[at + 2] = state >>> 16
    value[at + 3] = state >>> 24
  }
  return value
}
