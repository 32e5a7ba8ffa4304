/**
 * What a simulation has covered: counts by area and cell. What was never met was never tested: a zero in a cell that is required fails the run.
 */
export class Ledger {
  readonly #counts = new Map<string, Map<string, number>>()
  readonly #states = new Set<string>()

  count(area: string, cell: string, times = 1): void {
    if (times === 0) return
    let cells = this.#counts.get(area)
    if (cells === undefined) this.#counts.set(area, (cells = new Map()))
    cells.set(cell, (cells.get(cell) ?? 0) + times)
  }

  /** A disk that was found after a crash, by its hash. */
  crashState(hash: string): void {
    this.#states.add(hash)
    this.count("crashes", "crash states")
  }

  get distinctStates(): number {
    return this.#states.size
  }

  get(area: string, cell: string): number {
    return this.#counts.get(area)?.get(cell) ?? 0
  }

  /** Takes over what another one has counted. */
  add(other: Ledger): void {
    for (const [area, cells] of other.#counts) for (const [cell, times] of cells) this.count(area, cell, times)
    for (const state of other.#states) this.#states.add(state)
  }

  /** The cells without which a run proves nothing, that were never met: `area: cell`. */
  missing(wanted: Cells = required): ReadonlyArray<string> {
    return Object.entries(wanted).flatMap(([area, cells]) => cells.filter((cell) => this.get(area, cell) === 0).map((cell) => `${area}: ${cell}`))
  }

  toRecord(wanted: Cells = required): Record<string, Record<string, number>> {
    const areas: Record<string, Record<string, number>> = {}
    const names = new Set([...Object.keys(wanted), ...this.#counts.keys()])
    for (const area of names) {
      const cells = new Set([...(wanted[area] ?? []), ...[...(this.#counts.get(area)?.keys() ?? [])].sort()])
      areas[area] = Object.fromEntries([...cells].map((cell) => [cell, this.get(area, cell)]))
    }
    if (this.#states.size > 0) areas["crashes"] = { ...areas["crashes"], "distinct crash states": this.distinctStates }
    return areas
  }

  /** Lines of text, one cell each, by area. A required cell that was never met is marked. */
  print(wanted: Cells = required): string {
    const missing = new Set(this.missing(wanted))
    return Object.entries(this.toRecord(wanted))
      .map(([area, cells]) =>
        [
          area,
          ...Object.entries(cells).map(
            ([cell, times]) => `  ${String(times).padStart(9)}  ${cell}${missing.has(`${area}: ${cell}`) ? "   <-- never" : ""}`
          )
        ].join("\n")
      )
      .join("\n")
  }
}

/** By area. */
export type Cells = Readonly<Record<string, ReadonlyArray<string>>>

/** Which cells a complete run has met. */
export const required: Cells = {
  steps: [
    "write",
    "write, sync",
    "transaction",
    "transaction, through",
    "transaction, lock",
    "create",
    "drop",
    "get",
    "scan",
    "hold",
    "release",
    "flush",
    "compact",
    "checkpoint",
    "cursor",
    "verify",
    "follow",
    "history",
    "wait",
    "interrupt"
  ],
  writes: ["put", "put, expiring", "delete", "range delete", "add", "max", "append", "setOnce", "fill"],
  outcomes: [
    "acknowledged, sync",
    "acknowledged, buffered",
    "TransactionConflict",
    "CommitOutcomeUnknown",
    "DatabasePoisoned",
    "interrupted",
    "buffered and lost",
    "unknown and there",
    "unknown and not there"
  ],
  crashes: ["during opening", "during the run", "during closing", "random", "worst", "all", "killed", "depth 1", "depth 2", "depth 3"],
  "crash points": [
    "log open",
    "log writev",
    "log datasync",
    "table open",
    "table writev",
    "table datasync",
    "values writev",
    "values datasync",
    "manifest open",
    "manifest writev",
    "manifest datasync",
    "current writev",
    "current rename",
    "directory syncDirectory"
  ],
  recoveries: ["opened", "replayed", "torn tail", "after a refused opening", "read-only until reopened"],
  faults: [
    "log open EIO",
    "log open EMFILE",
    "log writev EIO",
    "log writev ENOSPC",
    "log writev EDQUOT",
    "log datasync EIO",
    "table open EIO",
    "table open EACCES",
    "table writev ENOSPC",
    "table datasync EIO",
    "table readAt EIO",
    "table readAt short read",
    "table readAt bit flip",
    "table readAt misdirected read",
    "table readAt stale read",
    "log datasync delay",
    "values writev ENOSPC",
    "values readAt EIO",
    "manifest writev EIO",
    "manifest writev ENOSPC",
    "manifest datasync EIO",
    "directory syncDirectory EIO"
  ],
  observations: ["held against the states", "held snapshots read again", "whole state", "checkpoints opened"],
  feed: ["changes", "values before", "expired", "followed live", "durable cursor"]
}
