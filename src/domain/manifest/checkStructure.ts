import { comparePlaces } from "../compaction/KeySpan.ts"
import type { SegmentFacts } from "../wal/verifySegment.ts"
import type { SequenceGap } from "../wal/scanSegment.ts"
import type { SegmentMeta } from "./SegmentMeta.ts"
import type { ManifestState } from "./ManifestState.ts"
import type { TableMeta } from "./TableMeta.ts"

/**
 * What of a state cannot be, whatever the files hold: nothing is read. In words; undefined where all is well. (What makes a single edit impossible is refused when the manifest is
 * read: `applyEdit`.)
 */
export const structureProblem = (state: ManifestState): string | undefined => {
  const live = new Map<number, number>()
  const levels = new Map<number, Array<TableMeta>>()
  for (const table of state.tables.values()) {
    const { fileId, level } = table
    if (table.largestSequence > state.flushedThrough.sequence)
      return `table ${fileId} holds sequence ${table.largestSequence}, but tables go through ${state.flushedThrough.sequence} only`
    if (level > 0) {
      if (table.smallest.keyspace !== table.largest.keyspace) return `table ${fileId} of level ${level} holds more than one keyspace`
      const others = levels.get(level)
      if (others === undefined) levels.set(level, [table])
      else others.push(table)
    }
    for (const ref of table.valueRefs) {
      if (!state.valueFiles.has(ref.fileId)) return `table ${fileId} refers to value file ${ref.fileId}, which is not there`
      live.set(ref.fileId, (live.get(ref.fileId) ?? 0) + ref.bytes)
    }
  }
  for (const [level, tables] of levels) {
    tables.sort((a, b) => comparePlaces(a.smallest, b.smallest))
    for (let i = 1; i < tables.length; i++) {
      const [before, table] = [tables[i - 1]!, tables[i]!]
      if (comparePlaces(before.largest, table.smallest) >= 0) return `tables ${before.fileId} and ${table.fileId} of level ${level} overlap`
    }
  }
  for (const { fileBytes, fileId, valueBytes } of state.valueFiles.values()) {
    const bytes = live.get(fileId) ?? 0
    if (bytes > valueBytes) return `tables refer to ${bytes} bytes of value file ${fileId}, which holds ${valueBytes}`
    if (valueBytes > fileBytes) return `value file ${fileId} holds ${valueBytes} bytes of values in ${fileBytes}`
  }
  for (const [keyspace, sequence] of state.historyFrom)
    if (sequence > state.sequencesThrough) return `history of keyspace ${keyspace} begins at ${sequence}, which is not reserved`
  for (const [keyspace, kept] of state.keptVersions) {
    if (kept.some(({ count, sequence }, i) => i > 0 && (sequence <= kept[i - 1]!.sequence || count <= kept[i - 1]!.count)))
      return `what is kept of the versions of keyspace ${keyspace} is out of order`
  }
  return undefined
}

/**
 * What of one segment after the other cannot be: follows the log from the oldest segment on. Each `add` answers with what is wrong, or undefined. Where a segment could not be read,
 * `skip` it.
 */
export class LogChain {
  readonly #state: ManifestState
  #before: { readonly meta: SegmentMeta; readonly facts: SegmentFacts } | undefined = undefined
  #isFirst = true

  constructor(state: ManifestState) {
    this.#state = state
  }

  add(meta: SegmentMeta, basePosition: number, facts: SegmentFacts): string | undefined {
    for (const gap of facts.gaps) if (!this.#isLost(gap)) return gapText(gap)
    const { firstSequence, lastSequence } = facts
    const { sealed } = meta
    if (sealed !== undefined && firstSequence !== undefined) {
      if (sealed.firstSequence !== firstSequence || sealed.lastSequence !== lastSequence)
        return `it holds sequences ${firstSequence} to ${lastSequence}, the manifest says ${sealed.firstSequence} to ${sealed.lastSequence}`
      if (facts.lastCommitMs > sealed.lastCommitMs) return `a commit at ${facts.lastCommitMs}, later than the manifest says`
    }
    // One that is empty, or not reached yet, says nothing.
    if (firstSequence === undefined) return undefined
    const before = this.#before
    const isFirst = this.#isFirst
    this.#before = { meta, facts }
    this.#isFirst = false
    if (before === undefined) {
      // What is in no table yet must be in the log, from its first sequence on.
      const gap = { from: this.#state.flushedThrough.sequence + 1, to: firstSequence }
      return isFirst && gap.from < gap.to && !this.#isLost(gap) ? gapText(gap) : undefined
    }
    const sameEpoch = before.meta.epoch === meta.epoch
    // An open that finds everything in tables begins its chain anew.
    if (facts.firstPreviousSum !== before.facts.lastSum && (sameEpoch || facts.firstPreviousSum !== 0))
      return `its first group does not follow the last one of segment ${before.meta.fileId}`
    if (basePosition < before.facts.endPosition || (sameEpoch && basePosition !== before.facts.endPosition))
      return `it begins at position ${basePosition}, and segment ${before.meta.fileId} ends at ${before.facts.endPosition}`
    const from = before.facts.lastSequence! + 1
    if (firstSequence < from) return `sequence ${firstSequence} follows ${from - 1} of segment ${before.meta.fileId}`
    return firstSequence > from && !this.#isLost({ from, to: firstSequence }) ? gapText({ from, to: firstSequence }) : undefined
  }

  skip(): void {
    this.#before = undefined
    this.#isFirst = false
  }

  #isLost({ from, to }: SequenceGap): boolean {
    let covered = from
    for (const range of this.#state.lostRanges) if (range.from <= covered && range.to > covered) covered = range.to
    return covered >= to
  }
}

const gapText = ({ from, to }: SequenceGap): string => `sequences ${from} to ${to - 1} are missing and the manifest does not name them as lost`
