import { FutureMoment, HistoryDiverged, HistoryGone } from "../../domain/errors.ts"
import type { Manifest } from "../../services/Manifest.ts"
import type { Wal } from "../../services/Wal.ts"

/** What a sequence means in this log. */
export class LogPositions {
  private readonly wal: Pick<Wal["Service"], "log" | "nextSequence" | "visibleSequence">
  private readonly manifest: Pick<Manifest["Service"], "state">

  constructor(wal: Pick<Wal["Service"], "log" | "nextSequence" | "visibleSequence">, manifest: Pick<Manifest["Service"], "state">) {
    this.wal = wal
    this.manifest = manifest
  }

  readonly visible = (): number => this.wal.visibleSequence()

  /** The first sequence at or after `sequence` that was not given up by an open. */
  readonly afterLost = (sequence: number): number => {
    let after = sequence
    // Ascending: opens that crashed one after the other leave ranges that adjoin.
    for (const range of this.manifest.state().lostRanges) if (range.from <= after && after < range.to) after = range.to
    return after
  }

  /** The first sequence the log still holds; where it holds none, that of the next commit. */
  readonly oldest = (): number => {
    const { log } = this.wal
    const first = log.segments()[0]?.firstSequence ?? log.tip().firstSequence
    return first === 0 ? this.afterLost(this.visible() + 1) : first
  }

  /**
   * Where a reader that wants everything from `sequence` on begins. Throws `FutureMoment`, `HistoryGone`, and `HistoryDiverged` where sequences before it were lost: who has seen
   * them has seen what this database never kept. A reader that stands right before a lost range has seen none of it.
   */
  readonly start = (sequence: number): number => {
    const from = this.ahead(sequence)
    const oldest = this.oldest()
    if (from < oldest) throw new HistoryGone({ sequence, oldestSequence: oldest })
    return from
  }

  /** The same for a position whose past is not asked for. Throws `FutureMoment`, `HistoryDiverged`. */
  readonly ahead = (sequence: number): number => {
    for (const range of this.manifest.state().lostRanges) {
      if (range.from < sequence && sequence < range.to) {
        throw new HistoryDiverged({ sequence, detail: `${range.from} to ${range.to - 1} were lost in a crash` })
      }
    }
    const from = this.afterLost(Math.max(sequence, 1))
    if (from > this.wal.nextSequence()) throw new FutureMoment({ asked: sequence, newest: this.visible(), unit: "sequence" })
    return from
  }
}
