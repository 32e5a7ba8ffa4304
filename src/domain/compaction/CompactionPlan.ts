import { comparePlaces, hullOf, spansOverlap, successor } from "./KeySpan.ts"
import type { KeyPlace, KeyRange, KeySpan } from "./KeySpan.ts"
import type { TableSummary, ValueFileSummary } from "./TableSummary.ts"

/** Why a plan was made; for statistics, logs and tests. */
export type PlanReason = "levelZero" | "levelSize" | "tombstones" | "valueFiles" | "manual" | "dropped"

/** Read the inputs, write what is left of them at the target level. */
export interface MergePlan<T extends TableSummary = TableSummary> extends KeySpan {
  readonly type: "merge"
  readonly reason: PlanReason
  /** By level, shallow first; level 0 newest first, deeper ones in key order. */
  readonly inputs: ReadonlyArray<{ readonly level: number; readonly tables: ReadonlyArray<T> }>
  readonly targetLevel: number
  /** Tables beneath the target level within the span: what lies there is not at the bottom. */
  readonly deeper: ReadonlyArray<T>
  /** Tables of the level below the target within the span: outputs are cut where they would overlap too many. */
  readonly grandparents: ReadonlyArray<T>
  /** Value files whose values are to be copied into a new one wherever an input points into them. */
  readonly rewriteValueFiles: ReadonlyArray<ValueFileSummary>
}

/** Name the tables at another level; nothing is read or written. */
export interface MovePlan<T extends TableSummary = TableSummary> extends KeySpan {
  readonly type: "move"
  readonly reason: PlanReason
  readonly tables: ReadonlyArray<T>
  readonly fromLevel: number
  readonly targetLevel: number
}

/** Let go of files that nothing can ask for any more; nothing is read or written. */
export interface DropPlan<T extends TableSummary = TableSummary> {
  readonly type: "drop"
  readonly reason: PlanReason
  readonly tables: ReadonlyArray<{ readonly level: number; readonly table: T }>
  readonly valueFiles: ReadonlyArray<ValueFileSummary>
}

export type CompactionPlan<T extends TableSummary = TableSummary> = MergePlan<T> | MovePlan<T> | DropPlan<T>

/**
 * What a running job holds: its files, and a rectangle of levels and keys. File ids alone are not enough: a job that skips levels could otherwise be overtaken by one
 * that brings a newer table into the target level beside it.
 */
export interface Claim {
  readonly fileIds: ReadonlySet<number>
  readonly firstLevel: number
  readonly lastLevel: number
  /** Undefined for a drop, which moves nothing. */
  readonly span: KeySpan | undefined
}

export const claimOf = (plan: CompactionPlan): Claim => {
  switch (plan.type) {
    case "merge":
      return {
        fileIds: new Set(plan.inputs.flatMap((input) => input.tables.map((table) => table.fileId))),
        firstLevel: plan.inputs[0]!.level,
        lastLevel: plan.targetLevel,
        span: { smallest: plan.smallest, largest: plan.largest }
      }
    case "move":
      return {
        fileIds: new Set(plan.tables.map((table) => table.fileId)),
        firstLevel: plan.fromLevel,
        lastLevel: plan.targetLevel,
        span: { smallest: plan.smallest, largest: plan.largest }
      }
    case "drop":
      return {
        fileIds: new Set([...plan.tables.map(({ table }) => table.fileId), ...plan.valueFiles.map((file) => file.fileId)]),
        firstLevel: 0,
        lastLevel: 0,
        span: undefined
      }
  }
}

export const claimsConflict = (a: Claim, b: Claim): boolean => {
  for (const id of a.fileIds) if (b.fileIds.has(id)) return true
  return a.span !== undefined && b.span !== undefined && a.firstLevel <= b.lastLevel && b.firstLevel <= a.lastLevel && spansOverlap(a.span, b.span)
}

/**
 * Cuts a merge into at most `count` ranges of about the same input size, to be run as separate jobs over the same inputs. The ranges follow one another and together are
 * everything. Cuts lie directly after the last key of an input table: see `successor` for why not before the first of one.
 */
export const splitMerge = (plan: MergePlan, count: number): ReadonlyArray<KeyRange> => {
  const tables = plan.inputs.flatMap((input) => input.tables).sort((a, b) => comparePlaces(a.largest, b.largest))
  let total = 0
  for (const table of tables) total += table.fileBytes
  const cuts: Array<KeyPlace> = []
  let before = 0
  for (const table of tables) {
    before += table.fileBytes
    if (cuts.length >= count - 1 || before * count < total * (cuts.length + 1) || comparePlaces(table.largest, plan.largest) >= 0) continue
    const place = successor(table.largest)
    const last = cuts[cuts.length - 1]
    if (last === undefined || comparePlaces(place, last) > 0) cuts.push(place)
  }
  return [...cuts, undefined].map((to, i) => ({ from: cuts[i - 1], to }))
}

/** The span of the tables of a plan's inputs. */
export const spanOfInputs = (inputs: ReadonlyArray<{ readonly tables: ReadonlyArray<KeySpan> }>): KeySpan =>
  hullOf(inputs.flatMap((input) => input.tables))
