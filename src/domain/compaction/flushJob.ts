import { CursorState } from "../EntryCursor.ts"
import type { EntryCursor } from "../EntryCursor.ts"
import { sequenceMax } from "../keys/kinds.ts"
import { MemtableReader } from "../memtable/MemtableReader.ts"
import { mergeCursors } from "../merge/MergeCursor.ts"
import type { StepMachine } from "../steps.ts"
import { fragment, unfragment } from "../table/RangeTombstones.ts"
import type { TombstoneFragment } from "../table/RangeTombstones.ts"
import type { FlushSpec, JobResult, JobTools } from "./JobSpec.ts"
import { keyFacts } from "./keyFacts.ts"
import { mergeRun } from "./mergeRun.ts"
import { OutputIds } from "./OutputIds.ts"
import { OutputTables } from "./OutputTables.ts"
import { OutputValues } from "./OutputValues.ts"
import { StripesByKeyspace, VersionRule } from "./stripes.ts"
import { TombstoneCarry } from "./TombstoneCarry.ts"

export type FlushResult = JobResult

const none = new Uint8Array(0)

/** Whether there are at most `most` keyspaces: one seek for each. */
const hasFewKeyspaces = (cursor: EntryCursor, fragments: ReadonlyArray<TombstoneFragment>, most: number): boolean => {
  const found = new Set(fragments.map((fragment) => fragment.keyspace))
  for (cursor.seekFirst(); cursor.state === CursorState.atEntry && found.size <= most; cursor.seek(cursor.keyspace + 1, none, sequenceMax))
    found.add(cursor.keyspace)
  return found.size <= most
}

/**
 * Frozen memtables into level-0 tables, and their large values into value files.
 *
 * Nothing counts as the bottom here: older memtables and every table lie deeper. Versions above the visible sequence at building are all kept (each is a stripe of its own),
 * so a flush may be built before everything in the memtable is visible; its edit must still wait for that.
 *
 * A few keyspaces get a table each: a table that holds the system keyspace and an application's would span everything between, and be merged with all of it. With many
 * of them, one table holds all.
 */
export function* flushJob(spec: FlushSpec, tools: JobTools): StepMachine<FlushResult> {
  const { policy } = spec
  const readers = spec.memtables.map((buffer) => new MemtableReader(buffer))
  const stripes = new StripesByKeyspace(spec.snapshots, spec.horizons)
  const fragments = fragment(readers.flatMap((reader) => reader.tombstones().flatMap((some) => unfragment(some.fragments()))))
  const carry = new TombstoneCarry(fragments, stripes, () => false)
  const cursor = mergeCursors(readers.map((reader) => reader.cursor()))
  const ids = new OutputIds(spec.outputIds)
  const values = new OutputValues(policy, tools, ids)
  const output = new OutputTables(
    {
      level: 0,
      cutsKeyspaces: hasFewKeyspaces(cursor, fragments, policy.flushTablesMax),
      bytesMax: Infinity,
      grandparents: []
    },
    { createdAtMs: spec.nowMs, replaced: [] },
    policy,
    tools,
    ids,
    carry
  )
  const entriesRead = yield* mergeRun({
    cursor,
    range: {},
    rule: new VersionRule(stripes, keyFacts(carry, undefined), carry.hasAny),
    output,
    values: {
      wants: (entry) => entry.valueEnd - entry.valueStart >= policy.valueThresholdBytes,
      place: (entry) => values.add(entry)
    }
  })
  yield* values.end()
  return {
    tables: output.done,
    valueFiles: values.done,
    stats: {
      bytesRead: 0,
      bytesWritten: output.bytesWritten + values.bytesWritten,
      entriesRead,
      entriesWritten: output.entriesWritten,
      sequencesElided: output.sequencesElided,
      valuesMoved: 0
    }
  }
}
