/**
 * A simulated history as plain data: what each fiber of each life does, what fails, and when the power goes. It can be printed, cut and pasted; with its seed it is the same
 * history each time it is run.
 */
import type { DiskOperationKind } from "../../src/layers/disk/SimulatedDisk.ts"
import type { RestartMode } from "../../src/runtime/simulation/SimulatedMachine.ts"

/** A keyspace beside the default one. */
export type Space = "a" | "b"

interface InSpace {
  readonly space?: Space
}

/** Values are made from the step they stand in: see `valueOf`. */
export type SimulatedWrite = InSpace &
  (
    | { readonly put: string; readonly bytes: number; readonly ttlMs?: number }
    | { readonly delete: string }
    | { readonly from: string; readonly to: string }
    | { readonly add: string; readonly by: number }
    | { readonly max: string; readonly by: number }
    | { readonly append: string }
    | { readonly setOnce: string }
    /** So many puts with values of so many bytes: what fills a memtable. */
    | { readonly fill: number; readonly bytes: number }
  )

export type SimulatedStep =
  | { readonly do: "write"; readonly writes: ReadonlyArray<SimulatedWrite>; readonly sync?: true }
  /** Begun, then reads and lets others go on, then writes and commits; a conflict is an answer. `through`: by `db.transaction`, which runs again after one. */
  | {
      readonly do: "transaction"
      /** Keys, and ranges: `from..to`. */
      readonly reads: ReadonlyArray<string>
      readonly writes: ReadonlyArray<SimulatedWrite>
      readonly sync?: true
      readonly through?: true
      readonly lock?: string
    }
  | { readonly do: "create" | "drop"; readonly space: Space }
  | { readonly do: "get"; readonly key: string; readonly space?: Space }
  /** A snapshot is taken, read as a whole, and held until `release`, which reads it again. */
  | { readonly do: "hold" | "release" | "scan" | "flush" | "compact" | "checkpoint" | "cursor" | "verify" | "follow" | "history" }
  | { readonly do: "wait"; readonly ms: number }
  /** The step is begun by another fiber, which is interrupted after so many turns. */
  | { readonly do: "interrupt"; readonly step: SimulatedStep; readonly after: number }

/** What a path is to the engine. */
export type FileOf = "log" | "table" | "values" | "manifest" | "current" | "directory" | "other"

export type FaultShape =
  | { readonly code: string; readonly afterBytes?: number }
  | { readonly shortRead: number }
  /** A read sees a bit flipped; which one is drawn from this seed. */
  | { readonly flipBit: number }
  /** A read returns what stands so many bytes further on. */
  | { readonly misread: number }
  /** A read returns what was there before the last write. */
  | { readonly stale: true }
  | { readonly delayMs: number; readonly answer?: "late" }

export interface SimulatedFault {
  /** While the database is opened, or once it is open. */
  readonly during: "open" | "life"
  readonly operation: DiskOperationKind
  readonly file: FileOf
  /** The first match that is struck, and how many from there on. */
  readonly nth: number
  readonly times: number
  readonly fault: FaultShape
}

/** Before the operation of this number in the life, or after it began to close, or before the nth of a kind on a kind of file. */
export type CrashPoint = number | { readonly closing: number } | { readonly before: DiskOperationKind; readonly file: FileOf; readonly nth: number }

export interface SimulatedLife {
  readonly fibers: ReadonlyArray<ReadonlyArray<SimulatedStep>>
  readonly faults?: ReadonlyArray<SimulatedFault>
  /** Absent: it ends by being closed. */
  readonly crash?: CrashPoint
  /** What becomes of what was not synced; "killed": only the process goes. Default "random". */
  readonly mode?: RestartMode
}

export interface SimulationScript {
  readonly seed: number
  /** Default "unlimited": of the log. `cursor`: only what a durable cursor holds is kept, which follows what was read. */
  readonly keeps?: "cursor"
  readonly beforeImages?: true
  readonly lives: ReadonlyArray<SimulatedLife>
}

export const simulatedSpaces: ReadonlyArray<Space> = ["a", "b"]

export const fileOf = (path: string): FileOf => {
  const match = /\.(log|table|values|manifest)$/.exec(path)
  if (match !== null) return match[1] as FileOf
  if (/\/CURRENT(\.\w+)?$/.test(path)) return "current"
  return path === "/" || /\/(db|copy[^/]*)$/.test(path) ? "directory" : "other"
}

const patterns: Record<FileOf, RegExp> = {
  log: /\.log$/,
  table: /\.table$/,
  values: /\.values$/,
  manifest: /\.manifest$/,
  current: /\/CURRENT(\.\w+)?$/,
  directory: /^\/$|\/(db|copy[^/]*)$/,
  other: /\/LOCK/
}

/** Matches the paths of these files. */
export const patternOf = (file: FileOf): RegExp => patterns[file]
