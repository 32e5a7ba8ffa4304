import type { BlockNeed, EntryCursor } from "../EntryCursor.ts"
import { fileName } from "../manifest/fileNames.ts"
import type { TableMeta } from "../manifest/TableMeta.ts"
import { LevelCursor } from "../merge/LevelCursor.ts"
import { mergeCursors } from "../merge/MergeCursor.ts"
import type { StepMachine } from "../steps.ts"
import { FragmentedTombstones } from "../table/RangeTombstones.ts"
import { TableCursor } from "../table/TableCursor.ts"
import { TableReader } from "../table/TableReader.ts"
import { DeeperTables } from "./DeeperTables.ts"
import type { CompactionSpec, JobResult, JobTools } from "./JobSpec.ts"
import { keyFacts } from "./keyFacts.ts"
import { spanInRange } from "./KeySpan.ts"
import { mergeRun } from "./mergeRun.ts"
import { OutputIds } from "./OutputIds.ts"
import { OutputTables } from "./OutputTables.ts"
import { OutputValues } from "./OutputValues.ts"
import { ReadAhead } from "./ReadAhead.ts"
import { StripesByKeyspace, VersionRule } from "./stripes.ts"
import { TombstoneCarry } from "./TombstoneCarry.ts"
import { ValueMover } from "./ValueMover.ts"

export type CompactionResult = JobResult

/**
 * Merges tables into new ones at the target level: versions that no one can ask for go, range tombstones are carried or dropped, values are moved out of dying value files
 * (with the same sequence, so that neither snapshots nor the change feed notice).
 *
 * The inputs are opened first and stay open: everything above their leaves is in memory, the leaves are read once each, in runs. The outputs are orphans until a manifest
 * edit names them; a job that throws leaves some of them unfinished. Throws `Damage` for an input that is not what was written.
 */
export function* compactionJob(spec: CompactionSpec, tools: JobTools): StepMachine<CompactionResult> {
  const { policy, targetLevel } = spec
  const range = spec.range ?? {}
  const stripes = new StripesByKeyspace(spec.snapshots, spec.horizons)
  const deeper = new DeeperTables(spec.deeper)
  const reads = new ReadAhead(policy.readAheadBytes)
  const ids = new OutputIds(spec.outputIds)
  const readers = new Map<number, TableReader>()
  const sources: Array<EntryCursor> = []
  const replaced = new Set<number>()
  let bytesRead = 0

  for (const input of spec.inputs) {
    const tables = input.tables.filter((table) => spanInRange(table, range))
    for (const { fileBytes, fileId, root } of tables) {
      const reader = yield* TableReader.opening({ ...tools, fileId, path: fileName("table", fileId), fileBytes, root, uuid: policy.uuid })
      const last = reader.leafCount - 1
      bytesRead += fileBytes - (last < 0 ? 0 : reader.leafOffset(last) + reader.leafStoredLength(last))
      replaced.add(fileId)
      for (const earlier of reader.properties.replaced) if (spec.lingering.includes(earlier)) replaced.add(earlier)
      readers.set(fileId, reader)
    }
    const open = (table: TableMeta): EntryCursor => new TableCursor(readers.get(table.fileId)!)
    // Tables of level 0 overlap: each is a source of its own. A deeper level is one.
    if (input.level === 0) sources.push(...tables.map(open))
    else sources.push(new LevelCursor(tables, open))
  }

  const tombstones = FragmentedTombstones.merge([...readers.values()].map((reader) => reader.tombstones)).clip(range.from, range.to)
  const carry = new TombstoneCarry([...tombstones.fragments()], stripes, (keyspace, start, end) => deeper.isRangeAtBottom(keyspace, start, end))
  const output = new OutputTables(
    { level: targetLevel, cutsKeyspaces: true, bytesMax: policy.tableBytesMax, grandparents: spec.grandparents },
    { createdAtMs: spec.nowMs, replaced: [...replaced] },
    policy,
    tools,
    ids,
    carry
  )
  const values = new OutputValues(policy, tools, ids)
  const mover = new ValueMover(spec.rewriteValueFiles, values, reads, tools.crc32)
  const entriesRead = yield* mergeRun({
    cursor: mergeCursors(sources),
    range,
    rule: new VersionRule(stripes, keyFacts(carry, deeper), carry.hasAny),
    output,
    values: mover,
    *block(need: BlockNeed) {
      const { leaf, offset, storedLength, tableId } = need
      const reader = readers.get(tableId)!
      const held = reads.held(tableId, offset, storedLength)
      // Whole leaves: none is read twice.
      const last = held === undefined ? reader.lastLeafWithin(leaf, reads.bytesMax) : leaf
      const stored = held ?? (yield* reads.read("table", tableId, offset, storedLength, reader.leafOffset(last) + reader.leafStoredLength(last)))
      return reader.verifyBlock(need, stored)
    }
  })
  yield* values.end()
  return {
    tables: output.done,
    valueFiles: values.done,
    stats: {
      bytesRead: bytesRead + reads.bytesRead,
      bytesWritten: output.bytesWritten + values.bytesWritten,
      entriesRead,
      entriesWritten: output.entriesWritten,
      sequencesElided: output.sequencesElided,
      valuesMoved: mover.count
    }
  }
}
