import { rangeHolds } from "./deletedRanges.ts"
import { claimOf, claimsConflict, spanOfInputs } from "./CompactionPlan.ts"
import type { Claim, CompactionPlan, MergePlan, PlanReason } from "./CompactionPlan.ts"
import { comparePlaces, hullOf, spanInRange, spansOverlap } from "./KeySpan.ts"
import type { KeyRange, KeySpan } from "./KeySpan.ts"
import { StripesByKeyspace } from "./stripes.ts"
import type { Horizon } from "./stripes.ts"
import type { TableSummary, ValueFileSummary } from "./TableSummary.ts"

/**
 * Leveled compaction, decided: which tables to merge, move or drop next. Pure; the caller runs the plan, holds its `claimOf` meanwhile, and asks again.
 *
 * Rules, most urgent first: drop what a dropped keyspace and an empty value file leave behind; the level with the highest score, if that is at least 1 (level 0 by number
 * of tables, deeper ones by bytes against a target that grows tenfold per level); tables that are mostly deletes; tables whose range tombstones cover much of what lies
 * deeper; value files that are mostly dead.
 * Published models: LevelDB `db/version_set.cc` (levels, scores, moves), RocksDB "leveled compaction" (least overlap first).
 */
export interface PickerOptions {
  /** Level 0 is compacted once so many of its tables overlap each other (or four times as many lie there at all, or `levelZeroTablesMax`). */
  readonly levelZeroTables: number
  /** Until there are so many, those that overlap wait while they are too small for what they overlap in level 1 (see `levelZeroShare`). Writers wait for their number, whether they overlap or not. */
  readonly levelZeroTablesMax: number
  /**
   * A merge of level 0 rewrites what it overlaps in level 1. It waits until level 0 holds one byte in so many of that: where tables are small (pointers to separated values)
   * every fourth flush would otherwise write the whole of level 1 again.
   */
  readonly levelZeroShare: number
  /** Target of level 1. */
  readonly baseLevelBytes: number
  /** Each level's target is this many times the one above. */
  readonly levelFactor: number
  /** Levels are numbered 0 to `levelCount - 1`. */
  readonly levelCount: number
  /** A table is not moved onto more bytes of the level below its target than this: merging it later would cost too much at once. */
  readonly grandparentBytesMax: number
  /** More tables of a level are taken along, where that costs no further table below, up to this many bytes of input. */
  readonly expandBytesMax: number
  /** A table with a larger share of deletes is compacted for their sake. */
  readonly deleteRatioMax: number
  /** A table is compacted for the sake of its range tombstones where that frees so many bytes for each one it rewrites. */
  readonly freedPerRewrittenMin: number
  /** A value file with a smaller live share is rewritten. */
  readonly valueLiveRatioMin: number
}

export const defaultPickerOptions: PickerOptions = {
  levelZeroTables: 4,
  levelZeroTablesMax: 8,
  levelZeroShare: 2,
  baseLevelBytes: 64 * 1024 * 1024,
  levelFactor: 10,
  levelCount: 7,
  grandparentBytesMax: 160 * 1024 * 1024,
  expandBytesMax: 160 * 1024 * 1024,
  deleteRatioMax: 0.5,
  freedPerRewrittenMin: 0.5,
  valueLiveRatioMin: 0.5
}

/** The tables by level: level 0 newest first, deeper ones in key order and without overlap. `T` is the caller's own record of a table. */
export interface PickerState<T extends TableSummary = TableSummary> {
  readonly levels: ReadonlyArray<ReadonlyArray<T>>
  readonly valueFiles: ReadonlyArray<ValueFileSummary>
  /** Live snapshots ascending, ending with the visible sequence. */
  readonly snapshots: ReadonlyArray<number>
  readonly horizons: ReadonlyArray<Horizon>
  readonly running: ReadonlyArray<Claim>
}

const bytesOf = (tables: ReadonlyArray<TableSummary>): number => {
  let bytes = 0
  for (const table of tables) bytes += table.fileBytes
  return bytes
}

/** Level 0 in groups that do not touch each other, the largest group first; within a group newest first, as given. */
const clustersOf = <T extends TableSummary>(tables: ReadonlyArray<T>): ReadonlyArray<ReadonlyArray<T>> => {
  const clusters: Array<{ span: KeySpan; members: Set<T> }> = []
  for (const table of tables.slice().sort((a, b) => comparePlaces(a.smallest, b.smallest))) {
    const last = clusters[clusters.length - 1]
    if (last === undefined || !spansOverlap(last.span, table)) clusters.push({ span: table, members: new Set([table]) })
    else {
      last.span = hullOf([last.span, table])
      last.members.add(table)
    }
  }
  return clusters.map(({ members }) => tables.filter((table) => members.has(table))).sort((a, b) => b.length - a.length)
}

const overlapping = <T extends TableSummary>(tables: ReadonlyArray<T>, span: KeySpan): Array<T> => tables.filter((table) => spansOverlap(table, span))

class Picker<T extends TableSummary> {
  readonly #state: PickerState<T>
  readonly #options: PickerOptions
  readonly #stripes: StripesByKeyspace
  readonly #liveBytes = new Map<number, number>()
  readonly #clusters: ReadonlyArray<ReadonlyArray<T>>
  /** Value files worth rewriting. */
  readonly #dying = new Map<number, ValueFileSummary>()

  constructor(state: PickerState<T>, options: PickerOptions) {
    this.#state = state
    this.#options = options
    this.#stripes = new StripesByKeyspace(state.snapshots, state.horizons)
    this.#clusters = clustersOf(this.#level(0))
    for (const level of state.levels) {
      for (const table of level)
        for (const ref of table.valueRefs) this.#liveBytes.set(ref.fileId, (this.#liveBytes.get(ref.fileId) ?? 0) + ref.bytes)
    }
    for (const file of state.valueFiles) {
      const live = this.#liveBytes.get(file.fileId)
      if (live !== undefined && live < file.valueBytes * options.valueLiveRatioMin) this.#dying.set(file.fileId, file)
    }
  }

  pick(): CompactionPlan<T> | undefined {
    return this.#dropped() ?? this.#overfull() ?? this.#deleted() ?? this.#covering() ?? this.#wasteful()
  }

  #level(level: number): ReadonlyArray<T> {
    return this.#state.levels[level] ?? []
  }

  #isBusy(fileId: number): boolean {
    return this.#state.running.some((claim) => claim.fileIds.has(fileId))
  }

  #free<P extends CompactionPlan<T>>(plan: P): P | undefined {
    const claim = claimOf(plan)
    return this.#state.running.some((other) => claimsConflict(claim, other)) ? undefined : plan
  }

  /** Tables of which nothing can be asked any more, and value files that nothing points into: free space for the price of an edit. */
  #dropped(): CompactionPlan<T> | undefined {
    const tables: Array<{ readonly level: number; readonly table: T }> = []
    this.#state.levels.forEach((level, index) => {
      for (const table of level) {
        const keyspace = table.smallest.keyspace
        if (keyspace === table.largest.keyspace && this.#stripes.of(keyspace).isDropped && !this.#isBusy(table.fileId))
          tables.push({ level: index, table })
      }
    })
    const valueFiles = this.#state.valueFiles.filter((file) => !this.#liveBytes.has(file.fileId) && !this.#isBusy(file.fileId))
    return tables.length + valueFiles.length === 0 ? undefined : { type: "drop", reason: "dropped", tables, valueFiles }
  }

  #overfull(): CompactionPlan<T> | undefined {
    const { baseLevelBytes, levelCount, levelFactor, levelZeroTables } = this.#options
    const crowd = Math.min(4 * levelZeroTables, this.#options.levelZeroTablesMax)
    const scores: Array<{ readonly level: number; readonly score: number }> = []
    for (let level = 0; level < levelCount - 1; level++) {
      const idle = this.#level(level).filter((table) => !this.#isBusy(table.fileId))
      const score =
        level === 0
          ? Math.max(idle.length / crowd, ...this.#clusters.map((cluster) => cluster.length / levelZeroTables))
          : bytesOf(idle) / (baseLevelBytes * levelFactor ** (level - 1))
      if (score >= 1) scores.push({ level, score })
    }
    scores.sort((a, b) => b.score - a.score)
    for (const { level } of scores) {
      const plan =
        level === 0
          ? (this.#levelZero("levelZero", (cluster) => this.#isDue(cluster)) ??
            (this.#level(0).length >= crowd ? this.#cheapestOfLevelZero() : undefined))
          : this.#fromLevel(level)
      if (plan !== undefined) return plan
    }
    return undefined
  }

  #isDue(cluster: ReadonlyArray<T>): boolean {
    const { levelZeroShare, levelZeroTables, levelZeroTablesMax } = this.#options
    if (cluster.length < levelZeroTables) return false
    return cluster.length >= levelZeroTablesMax || bytesOf(cluster) * levelZeroShare >= bytesOf(overlapping(this.#level(1), hullOf(cluster)))
  }

  /** A whole cluster of level 0, the largest first: an older table must never stay above a newer one it overlaps. */
  #levelZero(reason: PlanReason, isWanted: (cluster: ReadonlyArray<T>) => boolean): CompactionPlan<T> | undefined {
    for (const cluster of this.#clusters) {
      const plan = isWanted(cluster) ? this.#down(0, cluster, reason) : undefined
      if (plan !== undefined) return plan
    }
    return undefined
  }

  /** Level 0 is too long although none of its groups is due: the one that costs the least for each table it takes away, which may be nothing but a move. */
  #cheapestOfLevelZero(): CompactionPlan<T> | undefined {
    const costOf = (cluster: ReadonlyArray<T>): number => {
      const lower = overlapping(this.#level(1), hullOf(cluster))
      return lower.length === 0 && this.#isMovable(cluster, 1) ? 0 : (bytesOf(cluster) + bytesOf(lower)) / cluster.length
    }
    for (const { cluster } of this.#clusters.map((cluster) => ({ cluster, cost: costOf(cluster) })).sort((a, b) => a.cost - b.cost)) {
      const plan = this.#down(0, cluster, "levelZero")
      if (plan !== undefined) return plan
    }
    return undefined
  }

  /** The table that drags the least of the next level along, per byte of its own. */
  #fromLevel(level: number): CompactionPlan<T> | undefined {
    const below = this.#level(level + 1)
    const candidates = this.#level(level)
      .filter((table) => !this.#isBusy(table.fileId))
      .map((table) => ({ table, cost: bytesOf(overlapping(below, table)) / table.fileBytes }))
      .sort((a, b) => a.cost - b.cost)
    for (const { table } of candidates) {
      const plan = this.#down(level, [table], "levelSize")
      if (plan !== undefined) return plan
    }
    return undefined
  }

  /** One level down: as a move where nothing has to be written for it. */
  #down(level: number, tables: ReadonlyArray<T>, reason: PlanReason): CompactionPlan<T> | undefined {
    const target = level + 1
    const span = hullOf(tables)
    const lower = overlapping(this.#level(target), span)
    if (lower.length === 0 && this.#isMovable(tables, target)) {
      return this.#free({ type: "move", reason, tables, fromLevel: level, targetLevel: target, ...span })
    }
    const upper = level === 0 ? tables : this.#expanded(level, tables, lower)
    return this.#merge(
      [
        { level, tables: upper },
        { level: target, tables: lower }
      ],
      target,
      reason
    )
  }

  /** Takes along what lies within the reach of `lower` anyway. */
  #expanded(level: number, tables: ReadonlyArray<T>, lower: ReadonlyArray<T>): ReadonlyArray<T> {
    if (lower.length === 0) return tables
    const wider = overlapping(this.#level(level), hullOf([...tables, ...lower]))
    const isFree = !wider.some((table) => this.#isBusy(table.fileId))
    const fits = bytesOf(wider) + bytesOf(lower) <= this.#options.expandBytesMax
    return isFree && fits && overlapping(this.#level(level + 1), hullOf(wider)).length === lower.length ? wider : tables
  }

  #isMovable(tables: ReadonlyArray<T>, target: number): boolean {
    const below = this.#level(target + 1)
    return tables.every(
      (table, index) =>
        // A table of several keyspaces stays in level 0 as it is; so do tables that overlap each other.
        table.smallest.keyspace === table.largest.keyspace &&
        !tables.some((other, at) => at !== index && spansOverlap(other, table)) &&
        !table.valueRefs.some((ref) => this.#dying.has(ref.fileId)) &&
        bytesOf(overlapping(below, table)) <= this.#options.grandparentBytesMax
    )
  }

  #merge(given: MergePlan<T>["inputs"], targetLevel: number, reason: PlanReason): MergePlan<T> | undefined {
    const inputs = given.filter((input) => input.tables.length > 0)
    const span = spanOfInputs(inputs)
    const deeper: Array<T> = []
    for (let level = targetLevel + 1; level < this.#state.levels.length; level++) deeper.push(...overlapping(this.#level(level), span))
    const pointed = new Set(inputs.flatMap((input) => input.tables.flatMap((table) => table.valueRefs.map((ref) => ref.fileId))))
    return this.#free({
      type: "merge",
      reason,
      inputs,
      targetLevel,
      deeper,
      grandparents: overlapping(this.#level(targetLevel + 1), span),
      rewriteValueFiles: [...this.#dying.values()].filter((file) => pointed.has(file.fileId)),
      ...span
    })
  }

  /**
   * Tables of mostly deletes go down until they meet what they delete, so that deleting gives space back unasked. At the bottom such a table is rewritten in place, once no
   * snapshot holds any of its deletes (before that a rewrite would change nothing, and be picked again).
   */
  #deleted(): CompactionPlan<T> | undefined {
    for (let level = 0; level < this.#state.levels.length; level++) {
      for (const table of this.#level(level)) {
        const deletes = table.deleteCount + table.rangeTombstoneCount
        if (deletes === 0 || deletes <= (table.entryCount + table.rangeTombstoneCount) * this.#options.deleteRatioMax) continue
        const plan =
          level === 0
            ? this.#levelZero("tombstones", (cluster) => cluster.includes(table))
            : this.#hasDeeper(level, table)
              ? this.#down(level, [table], "tombstones")
              : table.largestSequence <= this.#lowestStripe(table)
                ? this.#merge([{ level, tables: [table] }], level, "tombstones")
                : undefined
        if (plan !== undefined) return plan
      }
    }
    return undefined
  }

  /**
   * Few range tombstones among many puts may delete most of what lies deeper, so it is not their number that counts but what they cover: such a table goes down until it
   * meets that. Not before every snapshot is past it, as nothing would be freed.
   */
  #covering(): CompactionPlan<T> | undefined {
    for (let level = 0; level < this.#state.levels.length; level++) {
      for (const table of this.#level(level)) {
        if (table.deletedRanges === undefined || !this.#frees(level, table)) continue
        const plan = level === 0 ? this.#levelZero("tombstones", (cluster) => cluster.includes(table)) : this.#down(level, [table], "tombstones")
        if (plan !== undefined) return plan
      }
    }
    return undefined
  }

  /** Whether the bytes that the table's range tombstones cover as whole tables are worth those that are rewritten on the way down. */
  #frees(level: number, table: T): boolean {
    const ranges = table.deletedRanges!.filter((range) => table.largestSequence <= this.#stripes.of(range.keyspace).lowest)
    if (ranges.length === 0) return false
    const upper = level === 0 ? this.#clusters.find((cluster) => cluster.includes(table))! : [table]
    const span = hullOf(upper)
    let freed = 0
    let rewritten = 0
    const count = (other: T, isOlder: boolean) => {
      if (isOlder && ranges.some((range) => rangeHolds(range, other))) {
        freed += other.fileBytes
        for (const ref of other.valueRefs) freed += ref.bytes
      } else rewritten += other.fileBytes
    }
    upper.forEach((other, index) => count(other, index > upper.indexOf(table)))
    for (let deeper = level + 1; deeper < this.#state.levels.length; deeper++)
      for (const other of overlapping(this.#level(deeper), span)) count(other, true)
    return freed > 0 && freed >= rewritten * this.#options.freedPerRewrittenMin
  }

  #hasDeeper(level: number, table: T): boolean {
    return this.#state.levels.some((tables, index) => index > level && overlapping(tables, table).length > 0)
  }

  #lowestStripe(table: T): number {
    return this.#stripes.of(table.smallest.keyspace).lowest
  }

  /** The deadest value file first: one table that points into it is rewritten where it is; its values move to a new file. */
  #wasteful(): CompactionPlan<T> | undefined {
    const share = (file: ValueFileSummary): number => this.#liveBytes.get(file.fileId)! / file.valueBytes
    for (const file of [...this.#dying.values()].sort((a, b) => share(a) - share(b))) {
      for (let level = 0; level < this.#state.levels.length; level++) {
        for (const table of this.#level(level)) {
          if (!table.valueRefs.some((ref) => ref.fileId === file.fileId)) continue
          const plan =
            level === 0
              ? this.#levelZero("valueFiles", (cluster) => cluster.includes(table))
              : this.#merge([{ level, tables: [table] }], level, "valueFiles")
          if (plan !== undefined) return plan
        }
      }
    }
    return undefined
  }

  /** See `pickManual`. */
  manual(range: KeyRange): MergePlan<T> | "busy" | undefined {
    const levels = this.#state.levels
    let chosen = levels.map((tables) => tables.filter((table) => spanInRange(table, range)))
    if (chosen.every((tables) => tables.length === 0)) return undefined
    // What a chosen table overlaps must come along, in every level, until nothing more is touched: older data must not stay above newer.
    for (let count = -1, now = 0; count !== now;) {
      const span = spanOfInputs(chosen.map((tables) => ({ tables })))
      count = now
      chosen = levels.map((tables) => overlapping(tables, span))
      now = chosen.reduce((sum, tables) => sum + tables.length, 0)
    }
    const target = Math.max(
      1,
      chosen.findLastIndex((tables) => tables.length > 0)
    )
    return (
      this.#merge(
        chosen.map((tables, level) => ({ level, tables })),
        target,
        "manual"
      ) ?? "busy"
    )
  }
}

/** The next thing to do, or undefined when all is well or everything worth doing conflicts with what runs. */
export const pickCompaction = <T extends TableSummary>(
  state: PickerState<T>,
  options: PickerOptions = defaultPickerOptions
): CompactionPlan<T> | undefined => new Picker(state, options).pick()

/**
 * Everything that touches `range`, from all levels, into the deepest level any of it lies in (at least level 1). Undefined when there is nothing; "busy" when running jobs
 * hold some of it: ask again when one of them ends.
 */
export const pickManual = <T extends TableSummary>(
  state: PickerState<T>,
  range: KeyRange = {},
  options: PickerOptions = defaultPickerOptions
): MergePlan<T> | "busy" | undefined => new Picker(state, options).manual(range)
