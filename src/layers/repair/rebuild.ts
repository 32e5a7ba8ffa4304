import { compactionJob } from "../../domain/compaction/compactionJob.ts"
import { flushJob } from "../../domain/compaction/flushJob.ts"
import { defaultOutputPolicy, type JobResult, type OutputPolicy } from "../../domain/compaction/JobSpec.ts"
import type { SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage } from "../../domain/failures.ts"
import { currentFileName, type FileKind, fileName } from "../../domain/manifest/fileNames.ts"
import { blankState, draftOf, fileIdBlock, type ManifestState, pastThrough } from "../../domain/manifest/ManifestState.ts"
import type { TableMeta, ValueFileMeta } from "../../domain/manifest/TableMeta.ts"
import { effectOf, type Loss, spanOf, withoutLogged } from "../../domain/repair/Loss.ts"
import { RepairedValues } from "../../domain/repair/RepairedValues.ts"
import { rewriteTable } from "../../domain/repair/rewriteTable.ts"
import { CodecId } from "../../domain/seams.ts"
import type { StepMachine } from "../../domain/steps.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"
import { Replay } from "../recovery/Replay.ts"
import { logLosses } from "./logLosses.ts"
import { restoreCatalog } from "./restoreCatalog.ts"
import { runMachine } from "./runMachine.ts"
import type { DirectorySurvey } from "./surveyDirectory.ts"
import { leavesOf, type SurveyedTable } from "./surveyFiles.ts"
import { readGroups } from "./surveyLog.ts"

export interface RebuildTarget {
  /** Where what is made anew goes. */
  readonly disk: SyncDisk
  readonly directory: string
  /** Takes a sound file along, as it is. */
  readonly keep: (kind: FileKind, fileId: number, bytes: number) => void
  /** More than this is not written: where it goes to memory. */
  readonly bytesMax: number
}

/** What a rebuild has to write is more than its target takes. */
export class TooMuchToRebuild extends Error {}

export interface RebuildTools {
  readonly randomBytes: (count: number) => Uint8Array
  /** Engine time, at least that much. */
  readonly raiseTime: (ms: number) => number
  readonly memtableBytes: number
}

export interface Rebuilt {
  readonly state: ManifestState
  /** For the manifest, which is not written yet. */
  readonly manifestId: number
  readonly losses: ReadonlyArray<Loss>
  /** The moment that is shown: everything up to here that was not lost. */
  readonly sequence: number
  readonly rewrittenTables: number
  readonly mergedTables: number
  readonly movedValues: number
  readonly replayedTransactions: number
  /** The first sequence that was taken from the log again although it was in tables; undefined: none. */
  readonly rebuiltFrom: number | undefined
  readonly laterTransactions: number
  /** Names given to keyspaces whose own were lost. */
  readonly namedKeyspaces: ReadonlyArray<{ readonly id: number; readonly name: string }>
}

/** Everything above 0 is kept: a repair drops nothing. */
const keepAll = { snapshots: [0], horizons: [] } as const
const levelsMax = 6
const idsPerJob = 100_000

/** Makes of what was surveyed a set of tables and value files that an open accepts, and says what is lost. The manifest is left to the caller. Throws `IoFailure`, `Damage`. */
export function* rebuild(survey: DirectorySurvey, target: RebuildTarget, tools: RebuildTools): Generator<void, Rebuilt, void> {
  const { byManifest, damagedValues, disk, directory, run, state, tables } = survey
  const firstNewId = survey.highestId + 1
  let nextId = firstNewId
  const takeId = () => nextId++
  const hashSeed = state?.hashSeed ?? seedOf(tables.values()) ?? randomSeed(tools.randomBytes)
  const policy: OutputPolicy = { ...defaultOutputPolicy, tableBytesMax: 32 << 20, uuid: survey.uuid, hashSeed, codec: CodecId.lz4 }
  let createdMs = state?.engineTimeMs ?? 0
  for (const { properties } of tables.values()) createdMs = Math.max(createdMs, properties?.createdAtMs ?? 0)
  let nowMs = tools.raiseTime(createdMs)
  let written = 0
  const drive = function* <A>(machine: StepMachine<A>): Generator<void, A, void> {
    return yield* runMachine(measured(machine), {
      open: (kind, fileId) =>
        fileId >= firstNewId
          ? target.disk.open(`${target.directory}/${fileName(kind, fileId)}`, "read")
          : disk.open(`${directory}/${fileName(kind, fileId)}`, "read"),
      output: target,
      onRead: () => undefined,
      unreadable: "none"
    })
  }
  const measured = function* <A>(machine: StepMachine<A>): StepMachine<A> {
    let step = machine.next()
    while (!step.done) {
      if (step.value.step === "write") {
        for (const buffer of step.value.buffers) written += buffer.length
        if (written > target.bytesMax) throw new TooMuchToRebuild(directory)
      }
      step = machine.next(yield step.value)
    }
    return step.value
  }
  const files = { disk, directory, uuid: survey.uuid, onRead: () => undefined }

  // 1. Tables: the sound ones stay, of the others what can be read is written again.
  const kept: Array<TableMeta> = []
  const rewritten: Array<TableMeta> = []
  const found: Array<Omit<Loss, "effect"> & { readonly goesOn: boolean }> = []
  let rewrittenLevel0 = false
  let rewrittenTables = 0
  const values = new RepairedValues(damagedValues, takeId, policy, { crc32, codecs })
  for (const table of [...tables.values()].sort((a, b) => a.fileId - b.fileId)) {
    const { damage, fileId, meta, path } = table
    if (meta === undefined) continue
    const sequences = { first: meta.smallestSequence, last: meta.largestSequence }
    const refersToDamage = meta.valueRefs.some((ref) => damagedValues.has(ref.fileId))
    if (damage === undefined && !refersToDamage) {
      kept.push(meta)
      continue
    }
    const whole = {
      kind: "table",
      file: path,
      range: spanOf(meta),
      sequences,
      entries: meta.entryCount,
      bytes: meta.fileBytes,
      goesOn: false
    } as const
    const leaves = damage?.reason === "Missing" ? undefined : yield* leavesOf(files, table)
    if (leaves === undefined || leaves.unreadable !== undefined) {
      const { detail, offsetBytes, reason } = leaves?.unreadable ?? damage!
      found.push({ ...whole, offsetBytes, reason, detail })
      continue
    }
    const output = yield* drive(rewriteTable({ fileId, path, level: meta.level, survey: leaves }, takeId, policy, { crc32, codecs }, nowMs, values))
    rewrittenTables++
    if (meta.level === 0) rewrittenLevel0 = true
    if (output.meta !== undefined) rewritten.push(output.meta)
    let lostEntries: number | undefined = Math.max(
      0,
      meta.entryCount - output.entries - output.lostValues.reduce((sum, lost) => sum + lost.entries, 0)
    )
    const blocks = leaves.gaps.filter(({ kind }) => kind === "block").length
    if (blocks > 1) lostEntries = undefined
    for (const gap of leaves.gaps) {
      const { detail, offsetBytes, reason } = gap.damage
      const entries = gap.kind === "block" ? lostEntries : 0
      const range = gap.range === undefined ? spanOf(meta) : { from: gap.range.from, to: gap.range.to ?? spanOf(meta).to }
      found.push({
        kind: gap.kind,
        file: path,
        offsetBytes,
        reason,
        detail,
        range,
        sequences,
        entries,
        bytes: gap.bytes,
        goesOn: gap.kind === "tombstones" || gap.versionsGoOn
      })
    }
    for (const lost of output.lostValues) {
      const { detail, file, offsetBytes, reason } = lost.damage
      found.push({
        kind: "value",
        file,
        offsetBytes,
        reason,
        detail,
        range: lost.range,
        sequences: { first: lost.firstSequence, last: lost.lastSequence },
        entries: lost.entries,
        bytes: lost.bytes,
        // An older version of the key may stand right behind it.
        goesOn: true
      })
    }
  }
  yield* drive(values.end())
  const valueFiles = new Map<number, ValueFileMeta>([...survey.values, ...values.done.map((file) => [file.fileId, file] as const)])

  // 2. The log: what is not in tables, and, where something was lost, all that it still has.
  const logged = run.run
  const rebuiltFrom = found.length > 0 && logged !== undefined && logged.first <= survey.flushed ? logged.first : undefined
  const replayed = yield* replay(survey, (rebuiltFrom ?? survey.flushed + 1) - 1, hashSeed, tools.memtableBytes, function* (memtables) {
    const result: JobResult = yield* drive(flushJob({ ...keepAll, nowMs, policy, outputIds: idsFrom(nextId), memtables }, { crc32, codecs }))
    nextId = Math.max(nextId, ...[...result.tables, ...result.valueFiles].map(({ fileId }) => fileId + 1))
    for (const file of result.valueFiles) valueFiles.set(file.fileId, file)
    return result.tables
  })
  nowMs = tools.raiseTime(replayed.lastCommitMs)

  // 3. Where the order of levels is not known any more, or the same versions may be in two places, all is merged into one run. So is level 0 where one of its tables got a new id: its
  //    order goes by ids.
  let all = [...kept, ...rewritten, ...replayed.tables]
  const mergesAll = (!byManifest && all.length > 1) || rebuiltFrom !== undefined
  let mergedTables = 0
  if (mergesAll || rewrittenLevel0) {
    const inputs = all.filter(({ level }) => mergesAll || level === 0).sort((a, b) => b.fileId - a.fileId)
    const others = all.filter((table) => !inputs.includes(table))
    const result: JobResult = yield* drive(
      compactionJob(
        {
          ...keepAll,
          nowMs,
          policy,
          outputIds: idsFrom(nextId),
          inputs: [{ level: 0, tables: inputs }],
          targetLevel: mergesAll ? levelsMax : 0,
          deeper: others,
          grandparents: [],
          rewriteValueFiles: [],
          lingering: []
        },
        { crc32, codecs }
      )
    )
    nextId = Math.max(nextId, ...result.tables.map(({ fileId }) => fileId + 1))
    mergedTables = inputs.length
    for (const { fileId } of inputs) if (fileId >= firstNewId) target.disk.remove(`${target.directory}/${fileName("table", fileId)}`)
    all = [...others, ...result.tables]
  }

  // 4. What is lost, and the state.
  const lostInTables = found.flatMap((loss) => {
    const { goesOn, ...rest } = loss
    const left = withoutLogged({ ...rest, effect: "missing" }, rebuiltFrom)
    return left === undefined ? [] : [{ ...left, effect: effectOf(left.range, left.sequences, all, goesOn) }]
  })
  const losses: Array<Loss> = [...manifestLosses(survey), ...lostInTables, ...logLosses(survey)]
  for (const { detail, file, offsetBytes, reason } of unreferencedValues(survey))
    losses.push({ kind: "value", file, offsetBytes, reason, detail, range: undefined, sequences: undefined, entries: 0, bytes: 0, effect: "none" })
  let sequence = Math.max(run.through, state?.flushedThrough.sequence ?? 0)
  for (const table of all) sequence = Math.max(sequence, table.largestSequence)
  const referenced = new Set(all.flatMap(({ valueRefs }) => valueRefs.map(({ fileId }) => fileId)))
  for (const fileId of valueFiles.keys()) if (!referenced.has(fileId) && !(byManifest && survey.values.has(fileId))) valueFiles.delete(fileId)

  const base = state ?? blankState({ uuid: survey.uuid, lineageId: tools.randomBytes(16), epoch: 0, hashSeed })
  const draft = draftOf({
    ...base,
    lineageId: tools.randomBytes(16),
    // No segment of an earlier epoch may be taken for a part of the new log.
    epoch: base.epoch + 2,
    engineTimeMs: nowMs
  })
  draft.segments.clear()
  const makeState = (): ManifestState => {
    draft.tables = new Map(all.map((table) => [table.fileId, table]))
    draft.valueFiles = new Map([...valueFiles.values()].map((file) => [file.fileId, file]))
    draft.flushedThrough = { sequence, position: base.flushedThrough.position }
    draft.sequencesThrough = sequence
    draft.fileIdsThrough = Math.max(nextId + fileIdBlock, byManifest ? base.fileIdsThrough : 0)
    draft.lostRanges = mergeRanges(base.lostRanges, sequence)
    return { ...draft, ...pastThrough(draft, sequence), uuid: survey.uuid, hashSeed }
  }
  for (const { fileBytes, fileId } of all) if (fileId < firstNewId) target.keep("table", fileId, fileBytes)
  for (const { fileBytes, fileId } of valueFiles.values()) if (fileId < firstNewId) target.keep("values", fileId, fileBytes)

  // 5. A keyspace whose name was lost would count as dropped, and its data as garbage.
  const restored = restoreCatalog({ losses, survey, target, state: makeState(), sequence })
  if (restored.memtable !== undefined) {
    const result: JobResult = yield* drive(
      flushJob({ ...keepAll, nowMs, policy, outputIds: idsFrom(nextId), memtables: [restored.memtable.buffer] }, { crc32, codecs })
    )
    nextId = Math.max(nextId, ...result.tables.map(({ fileId }) => fileId + 1))
    all = [...all, ...result.tables]
    sequence = restored.memtable.highestSequence
  }
  // Of a keyspace that lost something, no past can be told for certain.
  if (losses.some(({ effect }) => effect !== "none")) {
    const everywhere = losses.some(({ effect, range }) => effect !== "none" && range === undefined)
    const hit = new Set<number>()
    for (const { range } of losses) {
      if (range === undefined) continue
      for (const id of restored.keyspaces) if (id >= range.from.keyspace && (range.to === undefined || id <= range.to.keyspace)) hit.add(id)
      hit.add(range.from.keyspace)
    }
    for (const id of everywhere ? restored.keyspaces : hit) draft.historyFrom.set(id, Math.max(sequence, draft.historyFrom.get(id) ?? 0))
  }
  const final = makeState()
  return {
    state: final,
    manifestId: nextId,
    losses,
    sequence,
    rewrittenTables,
    mergedTables,
    movedValues: values.count,
    replayedTransactions: replayed.transactions,
    rebuiltFrom,
    laterTransactions: run.later,
    namedKeyspaces: restored.named
  }
}

const idsFrom = (first: number): ReadonlyArray<number> => Array.from({ length: idsPerJob }, (_, i) => first + i)

const seedOf = (tables: Iterable<SurveyedTable>): number | undefined => {
  for (const { properties } of tables) if (properties !== undefined) return properties.hashSeed
  return undefined
}

const randomSeed = (randomBytes: (count: number) => Uint8Array): number => {
  const seed = randomBytes(4)
  return (seed[0]! | (seed[1]! << 8) | (seed[2]! << 16) | (seed[3]! << 24)) >>> 0
}

/** Ascending and disjoint, without what lies beyond the last sequence. */
const mergeRanges = (ranges: ManifestState["lostRanges"], sequence: number): ManifestState["lostRanges"] => {
  const merged: Array<{ from: number; to: number }> = []
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    if (from > sequence) continue
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  return merged
}

/** Value files that are damaged where no table refers to: nothing that is read is lost. */
const unreferencedValues = ({ damagedValues, tables }: DirectorySurvey): ReadonlyArray<Damage> => {
  const referenced = new Set([...tables.values()].flatMap(({ meta }) => meta?.valueRefs.map(({ fileId }) => fileId) ?? []))
  return [...damagedValues].filter(([fileId]) => !referenced.has(fileId)).map(([, { damage }]) => damage)
}

/**
 * Records of structure that cannot be read may have named tables that are gone as well: nothing tells. What is left was matched with what lies in the directory.
 */
const manifestLosses = ({ byManifest, directory, manifestDamage, state }: DirectorySurvey): ReadonlyArray<Loss> => {
  if (manifestDamage === undefined && byManifest) return []
  const damage =
    manifestDamage?.damage ?? new Damage(`${directory}/${currentFileName}`, 0, "Unexpected", "its manifest does not fit the tables that are there")
  const { detail, file, offsetBytes, reason } = damage
  const names = state !== undefined && byManifest && (manifestDamage?.bytes ?? 0) === 0
  return [
    {
      kind: "manifest",
      file,
      offsetBytes,
      reason,
      detail,
      range: undefined,
      sequences: undefined,
      entries: undefined,
      bytes: manifestDamage?.bytes ?? 0,
      effect: names ? "none" : "stale"
    }
  ]
}

/** Folds groups of the log into memtables, and writes these whenever they are full, so that a long log takes no more memory than a short one. */
function* replay(
  { directory, disk, log, run }: DirectorySurvey,
  afterSequence: number,
  hashSeed: number,
  memtableBytes: number,
  flush: (memtables: ReadonlyArray<SharedArrayBuffer>) => Generator<void, ReadonlyArray<TableMeta>, void>
): Generator<void, { readonly tables: ReadonlyArray<TableMeta>; readonly transactions: number; readonly lastCommitMs: number }, void> {
  const tables: Array<TableMeta> = []
  let transactions = 0
  let lastCommitMs = 0
  let fold = new Replay(memtableBytes, hashSeed, afterSequence)
  const write = function* () {
    const filled = fold.memtables().filter((memtable) => !memtable.isEmpty)
    if (filled.length > 0) tables.push(...(yield* flush(filled.map((memtable) => memtable.buffer))))
    transactions += fold.transactions
    lastCommitMs = Math.max(lastCommitMs, fold.lastCommitTimeMs)
    fold = new Replay(memtableBytes, hashSeed, afterSequence)
  }
  const wanted = (run.run?.groups ?? []).map((index) => log.groups[index]!).filter((group) => group.firstSequence + group.count - 1 > afterSequence)
  for (const group of readGroups(disk, directory, wanted)) {
    fold.group(group)
    if (fold.memtables().length > 1) yield* write()
    yield
  }
  yield* write()
  return { tables, transactions, lastCommitMs }
}
