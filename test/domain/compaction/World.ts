import { crc32 } from "node:zlib"
import { compactionJob } from "../../../src/domain/compaction/compactionJob.ts"
import { splitMerge } from "../../../src/domain/compaction/CompactionPlan.ts"
import type { CompactionPlan, MergePlan } from "../../../src/domain/compaction/CompactionPlan.ts"
import { flushJob } from "../../../src/domain/compaction/flushJob.ts"
import { defaultOutputPolicy } from "../../../src/domain/compaction/JobSpec.ts"
import type { CompactionSpec, JobResult, OutputPolicy } from "../../../src/domain/compaction/JobSpec.ts"
import { comparePlaces } from "../../../src/domain/compaction/KeySpan.ts"
import type { KeyRange } from "../../../src/domain/compaction/KeySpan.ts"
import { defaultPickerOptions, pickCompaction, pickManual } from "../../../src/domain/compaction/picker.ts"
import type { PickerOptions, PickerState } from "../../../src/domain/compaction/picker.ts"
import type { Horizon } from "../../../src/domain/compaction/stripes.ts"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import type { EntryCursor } from "../../../src/domain/EntryCursor.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { keyHash } from "../../../src/domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../../src/domain/keys/keyspaceSeed.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import type { TableMeta, ValueFileMeta } from "../../../src/domain/manifest/TableMeta.ts"
import { Memtable } from "../../../src/domain/memtable/Memtable.ts"
import { LevelCursor } from "../../../src/domain/merge/LevelCursor.ts"
import { mergeCursors } from "../../../src/domain/merge/MergeCursor.ts"
import { VisibleCursor } from "../../../src/domain/merge/VisibleCursor.ts"
import type { Bounds } from "../../../src/domain/merge/VisibleCursor.ts"
import type { FragmentedTombstones } from "../../../src/domain/table/RangeTombstones.ts"
import { verifyStored } from "../../../src/domain/table/storedBlock.ts"
import { TableCursor } from "../../../src/domain/table/TableCursor.ts"
import { TableReader } from "../../../src/domain/table/TableReader.ts"
import { decodeValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { MemoryFiles } from "./MemoryFiles.ts"

export type Op =
  | { readonly type: "put"; readonly keyspace: number; readonly key: string; readonly value: string; readonly expiresAt?: number }
  | { readonly type: "delete" | "expire"; readonly keyspace: number; readonly key: string }
  | { readonly type: "deleteRange"; readonly keyspace: number; readonly start: string; readonly end: string }

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const asText = (b: Uint8Array): string => new TextDecoder().decode(b.slice())
const hashSeed = 77

export const tools = { crc32: (bytes: Uint8Array, seed?: number): number => crc32(bytes, seed), codecs: new Map() }

/** Small limits, so that a few keys make many blocks, tables and files. */
export const smallPolicy: OutputPolicy = {
  ...defaultOutputPolicy,
  uuid: new Uint8Array(16).fill(9),
  hashSeed,
  codec: 0,
  blockBytes: 128,
  tableBytesMax: 700,
  grandparentBytesMax: 3_000,
  valueThresholdBytes: 40,
  valueFileBytesMax: 600,
  readAheadBytes: 300
}

export const smallPicker: PickerOptions = {
  ...defaultPickerOptions,
  levelZeroTables: 3,
  baseLevelBytes: 2_000,
  levelFactor: 3,
  levelCount: 5,
  grandparentBytesMax: 3_000,
  expandBytesMax: 6_000
}

/** A database without log, threads and actors: memtables, levels, and the real jobs over files in memory; beside it the list of all operations, which is the truth. */
export class World {
  readonly files = new MemoryFiles()
  readonly log: Array<{ readonly sequence: number; readonly ops: ReadonlyArray<Op> }> = []
  memtableBytes = 64 * 1024
  memtable = new Memtable(this.memtableBytes)
  frozen: Array<Memtable> = []
  levels: Array<Array<TableMeta>> = [[]]
  valueFiles: Array<ValueFileMeta> = []
  snapshots: Array<number> = []
  horizons: Array<Horizon> = []
  policy = smallPolicy
  picker = smallPicker
  sequence = 0
  #fileId = 100

  commit(...ops: ReadonlyArray<Op>): void {
    const sequence = ++this.sequence
    this.log.push({ sequence, ops })
    for (const op of ops) {
      if (op.type === "deleteRange") {
        this.memtable.addRangeTombstone(op.keyspace, text(op.start), text(op.end), sequence)
        continue
      }
      const key = text(op.key)
      const hash = keyHash(keyspaceSeed(hashSeed, op.keyspace), key, 0, key.length)
      if (op.type === "put") {
        const value = text(op.value)
        this.memtable.insert(op.keyspace, hash, key, 0, key.length, Kind.put, sequence, value, 0, value.length, op.expiresAt ?? 0)
      } else {
        this.memtable.insert(op.keyspace, hash, key, 0, key.length, op.type === "delete" ? Kind.delete : Kind.expire, sequence, undefined, 0, 0, 0)
      }
    }
  }

  freeze(): void {
    this.frozen.unshift(this.memtable)
    this.memtable = new Memtable(this.memtableBytes)
  }

  stripes(): ReadonlyArray<number> {
    return [...new Set([...this.snapshots, this.sequence])].sort((a, b) => a - b)
  }

  ids(count = 200): ReadonlyArray<number> {
    const ids = Array.from({ length: count }, () => this.#fileId++)
    return ids
  }

  /** Flushes everything frozen, as one job. */
  flush(): void {
    this.freeze()
    const result = this.files.run(
      flushJob(
        {
          memtables: this.frozen.map((memtable) => memtable.buffer),
          snapshots: this.stripes(),
          horizons: this.horizons,
          nowMs: 5,
          outputIds: this.ids(),
          policy: this.policy
        },
        tools
      )
    )
    this.frozen = []
    this.#name(0, result)
  }

  #name(level: number, result: JobResult): void {
    const tables = (this.levels[level] ??= [])
    if (level === 0) tables.unshift(...result.tables)
    else tables.push(...result.tables)
    this.valueFiles.push(...result.valueFiles)
    if (level > 0) {
      tables.sort((a, b) => comparePlaces(a.smallest, b.smallest))
      for (let i = 1; i < tables.length; i++) {
        if (comparePlaces(tables[i - 1]!.largest, tables[i]!.smallest) >= 0)
          throw new Error(`tables ${tables[i - 1]!.fileId} and ${tables[i]!.fileId} of level ${level} touch`)
      }
    }
  }

  #forget(level: number, tables: ReadonlyArray<TableMeta>): void {
    const ids = new Set(tables.map((table) => table.fileId))
    this.levels[level] = (this.levels[level] ?? []).filter((table) => !ids.has(table.fileId))
  }

  state(): PickerState<TableMeta> {
    return { levels: this.levels, valueFiles: this.valueFiles, snapshots: this.stripes(), horizons: this.horizons, running: [] }
  }

  pick(): CompactionPlan<TableMeta> | undefined {
    return pickCompaction(this.state(), this.picker)
  }

  pickManual(range: KeyRange = {}): MergePlan<TableMeta> | undefined {
    const plan = pickManual(this.state(), range, this.picker)
    if (plan === "busy") throw new Error("nothing else runs")
    return plan
  }

  spec(plan: MergePlan<TableMeta>, range?: KeyRange): CompactionSpec {
    const { deeper, grandparents, inputs, rewriteValueFiles, targetLevel } = plan
    return {
      inputs,
      targetLevel,
      deeper,
      grandparents,
      rewriteValueFiles,
      range,
      snapshots: this.stripes(),
      horizons: this.horizons,
      nowMs: 6,
      outputIds: this.ids(),
      policy: this.policy,
      lingering: []
    }
  }

  /** What the plan's job makes, as so many sub-jobs; nothing is named yet. */
  merge(plan: MergePlan<TableMeta>, parts = 1): JobResult {
    const results = splitMerge(plan, parts).map((range) => this.files.run(compactionJob(this.spec(plan, range), tools)))
    return {
      tables: results.flatMap((result) => result.tables),
      valueFiles: results.flatMap((result) => result.valueFiles),
      stats: results[0]!.stats
    }
  }

  apply(plan: CompactionPlan<TableMeta>, parts = 1): void {
    switch (plan.type) {
      case "merge": {
        const result = this.merge(plan, parts)
        for (const input of plan.inputs) this.#forget(input.level, input.tables)
        this.#name(plan.targetLevel, result)
        break
      }
      case "move":
        this.#forget(plan.fromLevel, plan.tables)
        this.#name(plan.targetLevel, {
          tables: plan.tables.map((table) => ({ ...table, level: plan.targetLevel })),
          valueFiles: [],
          stats: { bytesRead: 0, bytesWritten: 0, entriesRead: 0, entriesWritten: 0, sequencesElided: 0, valuesMoved: 0 }
        })
        break
      case "drop": {
        for (const { level, table } of plan.tables) this.#forget(level, [table])
        const gone = new Set(plan.valueFiles.map((file) => file.fileId))
        this.valueFiles = this.valueFiles.filter((file) => !gone.has(file.fileId))
      }
    }
  }

  /** Runs what the picker wants until it wants nothing. */
  settle(parts = 1): number {
    for (let count = 0; ; count++) {
      const plan = this.pick()
      if (plan === undefined) return count
      if (count > 200) throw new Error(`the picker never rests: ${plan.type}, ${plan.reason}`)
      this.apply(plan, parts)
    }
  }

  reader(meta: TableMeta): TableReader {
    return TableReader.open(tools.crc32, tools.codecs, meta.fileId, String(meta.fileId), meta.fileBytes, meta.root, (offset, length) =>
      this.files.read(meta.fileId, offset, length)
    )
  }

  /** Everything, newest source first; blocks of tables are brought by `supply`. */
  sources(): { readonly cursor: EntryCursor; readonly tombstones: ReadonlyArray<FragmentedTombstones> } {
    const memtables = [this.memtable, ...this.frozen]
    const cursors: Array<EntryCursor> = memtables.map((memtable) => memtable.cursor())
    const tombstones = memtables.flatMap((memtable) => memtable.tombstones())
    for (const [level, tables] of this.levels.entries()) {
      if (level === 0) for (const table of tables) cursors.push(new TableCursor(this.reader(table)))
      else cursors.push(new LevelCursor(tables, (table) => new TableCursor(this.reader(table))))
      for (const table of tables) tombstones.push(this.reader(table).tombstones)
    }
    return { cursor: mergeCursors(cursors), tombstones }
  }

  #value(bytes: Uint8Array, start: number, end: number, isPointer: boolean): string {
    if (!isPointer) return asText(bytes.subarray(start, end))
    const pointer = decodeValuePointer(bytes, start, end)
    const stored = this.files.read(pointer.fileId, pointer.offset, pointer.storedLength)
    return asText(verifyStored(tools.crc32, tools.codecs, String(pointer.fileId), pointer, stored))
  }

  /** "key=value" of what a user sees. */
  scan(
    keyspace: number,
    sequence: number,
    options: { readonly timeMs?: number; readonly reverse?: boolean; readonly bounds?: Bounds } = {}
  ): Array<string> {
    const { cursor, tombstones } = this.sources()
    const visible = new VisibleCursor(cursor, {
      keyspace,
      sequence,
      timeMs: options.timeMs ?? 0,
      reverse: options.reverse,
      bounds: options.bounds,
      tombstones
    })
    const out: Array<string> = []
    const held = new Map<number, Uint8Array>()
    for (let state = visible.advance(); ;) {
      if (state === CursorState.atEnd) return out
      if (state === CursorState.needsBlock) {
        const need = visible.need!
        const meta = this.levels.flat().find((table) => table.fileId === need.tableId)!
        // A block may be reused as soon as its cursor asks for another: here it is scribbled over.
        held.get(need.tableId)?.fill(0xee)
        const block = this.reader(meta).verifyBlock(need, this.files.read(need.tableId, need.offset, need.storedLength))
        held.set(need.tableId, block)
        state = visible.supply(block)
        continue
      }
      out.push(
        `${asText(visible.keyBytes.slice(visible.keyStart, visible.keyEnd))}=${this.#value(visible.valueBytes, visible.valueStart, visible.valueEnd, visible.isPointer)}`
      )
      state = visible.advance()
    }
  }

  /** The same by the definition, from the list of operations. */
  truth(keyspace: number, sequence: number, timeMs = 0): Array<string> {
    const found = new Map<string, { readonly value: string; readonly expiresAt: number }>()
    for (const commit of this.log) {
      if (commit.sequence > sequence) break
      for (const op of commit.ops) {
        if (op.keyspace !== keyspace) continue
        if (op.type === "put") found.set(op.key, { value: op.value, expiresAt: op.expiresAt ?? 0 })
        else if (op.type !== "deleteRange") found.delete(op.key)
        else
          for (const key of [...found.keys()])
            if (compareBytes(text(op.start), text(key)) <= 0 && compareBytes(text(key), text(op.end)) < 0) found.delete(key)
      }
    }
    return [...found]
      .filter(([, { expiresAt }]) => expiresAt === 0 || expiresAt > timeMs)
      .sort(([a], [b]) => compareBytes(text(a), text(b)))
      .map(([key, { value }]) => `${key}=${value}`)
  }

  /** All entries as they are stored, for comparing two results. */
  dump(tables: ReadonlyArray<TableMeta>): Array<string> {
    const out: Array<string> = []
    for (const meta of tables) {
      const reader = this.reader(meta)
      const cursor = new TableCursor(reader)
      for (cursor.seekFirst(); isOpen(cursor);) {
        if (cursor.need !== undefined) {
          cursor.supply(reader.verifyBlock(cursor.need, this.files.read(meta.fileId, cursor.need.offset, cursor.need.storedLength)))
          continue
        }
        const key = asText(cursor.keyBytes.slice(cursor.keyStart, cursor.keyEnd))
        out.push(
          `${cursor.keyspace}/${key}@${cursor.sequence} ${cursor.kind} ${cursor.expiresAt} ${this.#value(cursor.valueBytes, cursor.valueStart, cursor.valueEnd, cursor.isPointer)}`
        )
        cursor.next()
      }
    }
    return out
  }
}

const isOpen = (cursor: EntryCursor): boolean => cursor.state !== CursorState.atEnd
