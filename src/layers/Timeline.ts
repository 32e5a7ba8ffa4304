import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type FileError, fromFailure } from "../domain/errors.ts"
import { Damage } from "../domain/failures.ts"
import { TimeMarks } from "../domain/history/TimeMarks.ts"
import { compareBytes } from "../domain/keys/compareBytes.ts"
import { decodeMarkRow, markRowKey, markRows, markRowValue } from "../domain/keys/catalogRows.ts"
import { systemKeyspace } from "../domain/keys/kinds.ts"
import { Catalog } from "../services/Catalog.ts"
import { Manifest } from "../services/Manifest.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"
import { Tables } from "../services/Tables.ts"
import { Timeline } from "../services/Timeline.ts"
import { readVersions } from "./history/readVersions.ts"
import type { View } from "./reading/View.ts"

/** With each mark at most so many obsolete ones are deleted: more than come, and never many at once. */
const obsoletePerMark = 4

/** The marks of a view, whose version is pinned. Throws `Damage`, `IoFailure`. */
export const readMarks = (directory: string, tables: Tables["Service"], view: View): TimeMarks => {
  const marks = new TimeMarks()
  let last: Uint8Array | undefined
  for (const { key, sequence, value } of readVersions(tables, view, markRows.lower, markRows.upper)) {
    const isNewest = last === undefined || compareBytes(key, last) !== 0
    last = key
    // It was deleted, or made again after a commit that failed.
    if (!isNewest || value === undefined) continue
    const row = decodeMarkRow(key, value)
    if (row === undefined) throw new Damage(directory, 0, "Malformed", "keyspace 0 holds a time mark of another form")
    // Of those that are older than all history, whose sequences are gone, the newest tells the time of what follows it. The others
    // are still to be deleted.
    if (sequence === 0) marks.elide()
    marks.add(row.second, sequence, row.isLast)
  }
  return marks
}

/** Engine time in ms at which the sequence is seen; undefined where that is not known. */
export const timeOf = (marks: TimeMarks, sequence: number): number | undefined => {
  const second = marks.secondAt(sequence)
  return second === undefined ? undefined : second * 1000
}

/** Over the marks there are. `keepsHistory` and `historyFrom` (of keyspace 0, as it is durable) are asked each time. */
export const make = (marks: TimeMarks, keepsHistory: () => boolean, historyFrom: () => number): Timeline["Service"] => ({
  due: (commitTimeMs) => {
    const keeps = keepsHistory()
    if (!keeps && !marks.isOpen) return undefined
    const second = Math.floor(commitTimeMs / 1000)
    if (second <= marks.newestSecond) return undefined
    const obsolete: Array<Uint8Array> = []
    for (let i = Math.min(obsoletePerMark, marks.countBefore(historyFrom())) - 1; i >= 0; i--) obsolete.push(markRowKey(marks.secondOf(i)))
    return {
      second,
      isLast: !keeps,
      key: markRowKey(second),
      value: markRowValue(!keeps),
      obsolete
    }
  },
  noted: ({ isLast, obsolete, second }, sequence) => {
    marks.forget(obsolete.length)
    marks.add(second, sequence, isLast)
    return () => marks.removeFrom(sequence)
  },
  timeOf: (sequence) => timeOf(marks, sequence),
  sequenceBefore: (second, newest) => marks.sequenceBefore(second, newest),
  floorAt: (second, newest) => marks.floorAt(second, newest)
})

const load = Effect.gen(function* () {
  const tables = yield* Tables
  const memtables = yield* Memtables
  const catalog = yield* Catalog
  const manifest = yield* Manifest
  const { directory, visibleSequence } = yield* Recovery
  return yield* Effect.try({
    try: () => {
      const view: View = { memtables: memtables.all(), version: tables.current(), sequence: visibleSequence, timeMs: 0 }
      return make(readMarks(directory, tables, view), catalog.keepsHistory, () => manifest.state().historyFrom.get(systemKeyspace) ?? 0)
    },
    catch: fromFailure
  })
})

export const layer: Layer.Layer<Timeline, FileError, Tables | Memtables | Catalog | Manifest | Recovery> = Layer.effect(Timeline, load)
