import * as Context from "effect/Context"
import { Damage } from "../../domain/failures.ts"
import { Doubts } from "../../domain/repair/Doubts.ts"
import type { SalvageReport } from "../../domain/repair/RepairReport.ts"
import type { Tables } from "../../services/Tables.ts"
import { PointReader, PointState } from "../reading/PointReader.ts"
import type { View } from "../reading/View.ts"

/** What a read-only database is made of that was opened with `salvage`; undefined in every other. */
export const Salvaged = Context.Reference<SalvageReport | undefined>("lightning-db/layers/repair/Salvaged", { defaultValue: () => undefined })

/** Lookups that fail where a newer version of the key may be among what was lost: who asks for one key gets the right answer or none. */
export class DoubtingPointReader extends PointReader {
  private readonly doubts: Doubts

  constructor(tables: Tables["Service"], report: SalvageReport) {
    super(tables)
    this.doubts = new Doubts(report.losses)
  }

  override lookup(
    view: View,
    keyspace: number,
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    mayBlock: boolean,
    brought: ReadonlyMap<string, Uint8Array> | undefined
  ): PointState {
    const state = super.lookup(view, keyspace, hash, key, keyStart, keyEnd, mayBlock, brought)
    if (state === PointState.pending || this.doubts.isEmpty) return state
    const loss = this.doubts.about(keyspace, key.subarray(keyStart, keyEnd), state === PointState.missing ? 0 : this.sequence)
    if (loss !== undefined)
      throw new Damage(
        loss.file,
        loss.offsetBytes,
        loss.reason,
        `${loss.detail === "" ? "" : `${loss.detail}; `}a newer version of the key may have been there`
      )
    return state
  }
}

export const makePointReader = (tables: Tables["Service"], report: SalvageReport | undefined): PointReader =>
  report === undefined ? new PointReader(tables) : new DoubtingPointReader(tables, report)
