import { comparePlaces } from "../compaction/KeySpan.ts"
import { Damage } from "../failures.ts"
import { type KeptVersions, keptOf, withKept } from "../history/keptVersions.ts"
import { sequenceMax } from "../keys/kinds.ts"
import type { FlushedThrough, Identity, KeyspaceSequence, LostRange, ManifestEdit, ManifestSnapshot } from "./ManifestEdit.ts"
import type { SegmentMeta } from "./SegmentMeta.ts"
import type { TableMeta, ValueFileMeta } from "./TableMeta.ts"

/** The structure of the database at one moment: what all edits so far make. Never changed; an edit makes another one. */
export interface ManifestState extends Identity {
  /** File ids up to this one are reserved. */
  readonly fileIdsThrough: number
  /** The highest id that a named file ever had: none up to it is given to another file, though its own may be gone. */
  readonly fileIdsUsed: number
  /** Sequences up to this one are reserved. */
  readonly sequencesThrough: number
  /** Ascending, disjoint. */
  readonly lostRanges: ReadonlyArray<LostRange>
  readonly flushedThrough: FlushedThrough
  readonly engineTimeMs: number
  /** By keyspace; history of one that is not here is complete. */
  readonly historyFrom: ReadonlyMap<number, number>
  /** By keyspace, where a job has kept versions by count: what is there for certain. */
  readonly keptVersions: ReadonlyMap<number, ReadonlyArray<KeptVersions>>
  /** By file id, in the order in which they were added: log order. */
  readonly segments: ReadonlyMap<number, SegmentMeta>
  /** By file id, in the order in which they were added. */
  readonly tables: ReadonlyMap<number, TableMeta>
  readonly valueFiles: ReadonlyMap<number, ValueFileMeta>
  /** Dropped keyspaces whose files are still there, with the sequence of the drop. */
  readonly droppedKeyspaces: ReadonlyMap<number, number>
}

/** How many sequences and file ids are reserved at a time. */
export const sequenceBlock = 2 ** 28
export const fileIdBlock = 8192

/** A database in which nothing has happened. */
export const blankState = (identity: Identity): ManifestState => ({
  ...identity,
  fileIdsThrough: 0,
  fileIdsUsed: 0,
  sequencesThrough: 0,
  lostRanges: [],
  flushedThrough: { sequence: 0, position: 0 },
  engineTimeMs: 0,
  historyFrom: new Map(),
  keptVersions: new Map(),
  segments: new Map(),
  tables: new Map(),
  valueFiles: new Map(),
  droppedKeyspaces: new Map()
})

/**
 * What is known of the past, for a copy that ends with this sequence. A job may have gone by commits that are not in the copy: what it has dropped lies below the last one that is, and
 * what the copy commits under the same sequences it has never seen.
 */
export const pastThrough = ({ historyFrom, keptVersions }: Pick<ManifestState, "historyFrom" | "keptVersions">, sequence: number) => ({
  historyFrom: new Map(Array.from(historyFrom, ([keyspace, from]) => [keyspace, Math.min(from, sequence)] as const)),
  keptVersions: new Map(
    Array.from(keptVersions, ([keyspace, kept]) => {
      let within: ReadonlyArray<KeptVersions> = []
      for (const one of kept) within = withKept(within, { count: one.count, sequence: Math.min(one.sequence, sequence) })
      return [keyspace, within] as const
    })
  )
})

/** The edit that makes `state` out of nothing. */
export const snapshotOf = (state: ManifestState): ManifestSnapshot => ({
  identity: { uuid: state.uuid, lineageId: state.lineageId, epoch: state.epoch, hashSeed: state.hashSeed },
  engineTimeMs: state.engineTimeMs,
  fileIdsThrough: state.fileIdsThrough,
  sequencesThrough: state.sequencesThrough,
  flushedThrough: state.flushedThrough,
  addLostRanges: state.lostRanges,
  historyFrom: pairs(state.historyFrom),
  addSegments: [...state.segments.values()],
  addTables: [...state.tables.values()],
  addValueFiles: [...state.valueFiles.values()],
  dropKeyspaces: pairs(state.droppedKeyspaces),
  keepVersions: Array.from(state.keptVersions, ([keyspace, kept]) => kept.map((one) => ({ keyspace, ...one }))).flat(),
  // What the named files say themselves need not be said again.
  ...(state.fileIdsUsed > highestNamed(state) ? { fileIdsUsed: state.fileIdsUsed } : {})
})

const highestNamed = ({ segments, tables, valueFiles }: ManifestState): number => {
  let highest = 0
  for (const files of [segments, tables, valueFiles]) for (const id of files.keys()) if (id > highest) highest = id
  return highest
}

const pairs = (map: ReadonlyMap<number, number>): ReadonlyArray<KeyspaceSequence> =>
  Array.from(map, ([keyspace, sequence]) => ({ keyspace, sequence }))

/**
 * The state after one more edit. Throws `Damage` "Malformed" for an edit that does not fit: a file removed that is not there, an id used twice or beyond
 * what is reserved, a number going back. `path` and `offset` say where the edit was read; a running engine, whose own edit this is, need not give them.
 */
export const applyEdit = (state: ManifestState, edit: ManifestEdit, path = "manifest", offset = 0): ManifestState => {
  const draft = draftOf(state)
  applyToDraft(draft, edit, path, offset)
  return draft
}

/** A state that its owner may still change: replaying a long manifest copies no tables per edit. */
export interface StateDraft extends Omit<ManifestState, "segments" | "tables" | "valueFiles"> {
  fileIdsThrough: number
  fileIdsUsed: number
  sequencesThrough: number
  lostRanges: ReadonlyArray<LostRange>
  flushedThrough: FlushedThrough
  engineTimeMs: number
  historyFrom: Map<number, number>
  keptVersions: Map<number, ReadonlyArray<KeptVersions>>
  segments: Map<number, SegmentMeta>
  tables: Map<number, TableMeta>
  valueFiles: Map<number, ValueFileMeta>
  droppedKeyspaces: Map<number, number>
}

export const draftOf = (state: ManifestState): StateDraft => ({
  ...state,
  historyFrom: new Map(state.historyFrom),
  keptVersions: new Map(state.keptVersions),
  segments: new Map(state.segments),
  tables: new Map(state.tables),
  valueFiles: new Map(state.valueFiles),
  droppedKeyspaces: new Map(state.droppedKeyspaces)
})

/** As `applyEdit`, in place; a draft that it threw on is worthless. */
export const applyToDraft = (draft: StateDraft, edit: ManifestEdit, path: string, offset: number): void => {
  const demand = (holds: boolean, broken: string): void => {
    if (!holds) throw new Damage(path, offset, "Malformed", broken)
  }
  const remove = (map: Map<number, unknown>, ids: ReadonlyArray<number> | undefined, what: string): void => {
    for (const id of ids ?? []) demand(map.delete(id), `${what} ${id} is removed and not there`)
  }
  const add = <A extends { readonly fileId: number }>(map: Map<number, A>, items: ReadonlyArray<A> | undefined): void => {
    for (const item of items ?? []) {
      const id = item.fileId
      demand(id >= 1 && id <= draft.fileIdsThrough, `file id ${id} is not reserved`)
      demand(!draft.segments.has(id) && !draft.tables.has(id) && !draft.valueFiles.has(id), `file id ${id} is used twice`)
      map.set(id, item)
      if (id > draft.fileIdsUsed) draft.fileIdsUsed = id
    }
  }
  applyCounters(draft, edit, demand)
  remove(draft.segments, edit.removeSegments, "segment")
  remove(draft.tables, edit.removeTables, "table")
  remove(draft.valueFiles, edit.removeValueFiles, "value file")
  add(draft.segments, edit.addSegments)
  add(draft.valueFiles, edit.addValueFiles)
  add(draft.tables, edit.addTables)
  for (const table of edit.addTables ?? []) {
    demand(comparePlaces(table.smallest, table.largest) <= 0, `bounds of table ${table.fileId}`)
    demand(table.smallestSequence <= table.largestSequence && table.largestSequence <= draft.sequencesThrough, `sequences of table ${table.fileId}`)
    for (const ref of table.valueRefs)
      demand(draft.valueFiles.has(ref.fileId), `table ${table.fileId} refers to value file ${ref.fileId}, which is not there`)
  }
  if (edit.removeValueFiles !== undefined) {
    for (const table of draft.tables.values()) {
      for (const ref of table.valueRefs)
        demand(draft.valueFiles.has(ref.fileId), `value file ${ref.fileId} is removed, but table ${table.fileId} refers to it`)
    }
  }
  for (const { basePosition, fileId, ...sealed } of edit.sealSegments ?? []) {
    const segment = draft.segments.get(fileId)
    if (segment === undefined || segment.sealed !== undefined)
      throw new Damage(path, offset, "Malformed", `segment ${fileId} is not there to be sealed`)
    demand(segment.basePosition === undefined || segment.basePosition === basePosition, `segment ${fileId} is sealed with another base`)
    draft.segments.set(fileId, { ...segment, basePosition, sealed })
  }
  for (const { keyspace, sequence } of edit.dropKeyspaces ?? []) {
    demand(!draft.droppedKeyspaces.has(keyspace), `keyspace ${keyspace} is dropped twice`)
    draft.droppedKeyspaces.set(keyspace, sequence)
  }
  for (const keyspace of edit.forgetKeyspaces ?? []) {
    demand(draft.droppedKeyspaces.delete(keyspace), `keyspace ${keyspace} is forgotten and was not dropped`)
    draft.historyFrom.delete(keyspace)
    draft.keptVersions.delete(keyspace)
  }
  demand(draft.flushedThrough.sequence <= draft.sequencesThrough, "flushed through a sequence that is not reserved")
  if (edit.sequencesThrough !== undefined || edit.sealSegments !== undefined || edit.addSegments !== undefined) {
    for (const { fileId, sealed } of draft.segments.values()) {
      demand(sealed === undefined || sealed.lastSequence <= draft.sequencesThrough, `segment ${fileId} ends with a sequence that is not reserved`)
    }
  }
}

type Demand = (holds: boolean, broken: string) => void

const applyCounters = (draft: StateDraft, edit: ManifestEdit, demand: Demand): void => {
  if (edit.engineTimeMs !== undefined) {
    demand(edit.engineTimeMs >= draft.engineTimeMs, "engine time goes back")
    draft.engineTimeMs = edit.engineTimeMs
  }
  if (edit.fileIdsThrough !== undefined) {
    demand(edit.fileIdsThrough >= draft.fileIdsThrough, "reserved file ids go back")
    draft.fileIdsThrough = edit.fileIdsThrough
  }
  if (edit.fileIdsUsed !== undefined) {
    demand(edit.fileIdsUsed >= draft.fileIdsUsed && edit.fileIdsUsed <= draft.fileIdsThrough, "used file ids go back, or beyond what is reserved")
    draft.fileIdsUsed = edit.fileIdsUsed
  }
  if (edit.sequencesThrough !== undefined) {
    demand(edit.sequencesThrough <= sequenceMax, "sequence beyond 2^53 - 1")
    draft.sequencesThrough = edit.sequencesThrough
  }
  if (edit.flushedThrough !== undefined) {
    const { position, sequence } = edit.flushedThrough
    demand(sequence >= draft.flushedThrough.sequence && position >= draft.flushedThrough.position, "flushedThrough goes back")
    draft.flushedThrough = edit.flushedThrough
  }
  if (edit.addLostRanges !== undefined) {
    const ranges = [...draft.lostRanges]
    for (const range of edit.addLostRanges) {
      demand(range.from < range.to && range.from >= (ranges.at(-1)?.to ?? 0), `lost range ${range.from} .. ${range.to}`)
      ranges.push(range)
    }
    draft.lostRanges = ranges
  }
  // Before history goes on: where this is the first job that goes by count, all that is there begins where history has begun until now.
  for (const { count, keyspace, sequence } of edit.keepVersions ?? [])
    draft.keptVersions.set(keyspace, withKept(keptOf(draft.keptVersions, draft.historyFrom, keyspace), { sequence, count }))
  for (const { keyspace, sequence } of edit.historyFrom ?? []) {
    demand(sequence >= (draft.historyFrom.get(keyspace) ?? 0), `history of keyspace ${keyspace} grows backwards`)
    draft.historyFrom.set(keyspace, sequence)
  }
}
