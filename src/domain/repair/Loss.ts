import { comparePlaces, type KeyPlace } from "../compaction/KeySpan.ts"
import type { DamageReason } from "../failures.ts"
import type { TableMeta } from "../manifest/TableMeta.ts"

/** A part of key space that something was lost from. */
export interface LostRange {
  readonly from: KeyPlace
  /** Exclusive; undefined: to the end of all keyspaces. */
  readonly to: KeyPlace | undefined
}

/** Both included. */
export interface LostSequences {
  readonly first: number
  /** Undefined: nothing that is left tells how far it went. */
  readonly last: number | undefined
}

/** What was lost of one file, in one place. */
export interface Loss {
  /**
   * `table`: a whole table, or what of it could not be found any more. `block`: leaves of a table. `tombstones`: a table's range deletes. `value`: large values. `log`: committed
   * transactions. `retained`: transactions that are in tables all the same, so that only the change feed misses them. `manifest`: records of structure.
   */
  readonly kind: "table" | "block" | "tombstones" | "value" | "log" | "retained" | "manifest"
  /** The path of the file. */
  readonly file: string
  readonly offsetBytes: number
  readonly reason: DamageReason
  readonly detail: string
  /** Which keys; undefined where that is not known: any key, for `log`. */
  readonly range: LostRange | undefined
  /** What was lost lies within; an older version of a key may have lost its sequence, which is then 0. */
  readonly sequences: LostSequences | undefined
  /** Entries lost; undefined where that is not known. */
  readonly entries: number | undefined
  /** Bytes of the file that cannot be used. */
  readonly bytes: number
  /**
   * `missing`: keys may be absent. `stale`: also, an older version may be shown in place of a newer one, a deleted key among them, because older data lie beneath. `none`: no key is
   * concerned.
   */
  readonly effect: "missing" | "stale" | "none"
}

export const spanOf = (table: Pick<TableMeta, "smallest" | "largest">): LostRange => ({
  from: table.smallest,
  to: { keyspace: table.largest.keyspace, key: Uint8Array.of(...table.largest.key, 0) }
})

/** Whether the key lies in the range. */
export const holdsKey = (range: LostRange, place: KeyPlace): boolean =>
  comparePlaces(range.from, place) <= 0 && (range.to === undefined || comparePlaces(place, range.to) < 0)

const overlaps = (range: LostRange, table: Pick<TableMeta, "smallest" | "largest">): boolean =>
  comparePlaces(table.largest, range.from) >= 0 && (range.to === undefined || comparePlaces(table.smallest, range.to) < 0)

/**
 * What a loss does to what is read: where a table that is left holds older versions in the range, these show through. `versionsGoOn`: the table itself has older versions of a key at
 * the edge of what was lost.
 */
export const effectOf = (
  range: LostRange | undefined,
  sequences: LostSequences | undefined,
  left: Iterable<Pick<TableMeta, "smallest" | "largest" | "smallestSequence">>,
  versionsGoOn: boolean
): Loss["effect"] => {
  if (versionsGoOn || range === undefined) return "stale"
  const last = sequences?.last ?? Infinity
  for (const table of left) if (table.smallestSequence < last && overlaps(range, table)) return "stale"
  return "missing"
}

/** Of a loss: the part that the log does not give back, whose transactions from `from` on are all there. Undefined: nothing of it. */
export const withoutLogged = (loss: Loss, from: number | undefined): Loss | undefined => {
  if (from === undefined || loss.range === undefined || loss.sequences === undefined) return loss
  const { first, last } = loss.sequences
  // From the beginning on there is nothing that the log does not know.
  if (from <= 1 || first >= from) return undefined
  return last !== undefined && last >= from ? { ...loss, sequences: { first, last: from - 1 }, entries: undefined } : loss
}
