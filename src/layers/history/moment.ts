import { type AtError, FutureMoment, type HistoryError, HistoryGone, InvalidRange, KeyspaceDropped, TooManySnapshots } from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { defaultKeyspace, systemKeyspace } from "../../domain/keys/kinds.ts"
import type { Timeline } from "../../services/Timeline.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { DatabaseStats } from "../../services/Database.ts"
import { readError } from "../reading/makeReads.ts"
import { listError } from "../reading/thrownErrors.ts"

/** A moment as an application names it, checked. */
export type Moment = { readonly sequence: number } | { readonly second: number }

/** Throws `InvalidRange`. A date is cut to its second. */
export const momentOf = (given: unknown): Moment => {
  if (given instanceof Date) {
    const ms = given.getTime()
    if (Number.isNaN(ms)) throw new InvalidRange({ detail: "the moment is an invalid Date." })
    return { second: Math.floor(ms / 1000) }
  }
  if (typeof given === "number" && Number.isSafeInteger(given) && given >= 0) return { sequence: given }
  throw new InvalidRange({
    detail: `the moment is ${typeof given === "number" ? given : describeType(given)}. Use a sequence (a whole number, 0 or more) or a Date.`
  })
}

export interface MomentParts {
  readonly timeline: Pick<Timeline["Service"], "sequenceBefore" | "timeOf">
  readonly nowMs: () => number
  /** The last sequence given out: not yet visible, perhaps. */
  readonly lastSequence: () => number
  /** The first sequence that can still be read. */
  readonly oldest: () => number
}

/** What is read at the moment: up to which sequence, and at which engine time. Throws `FutureMoment`, `HistoryGone`. The sequence may not be visible yet where a date was given. */
export const resolveMoment = (moment: Moment, parts: MomentParts): { readonly sequence: number; readonly timeMs: number } => {
  const { timeline } = parts
  if ("sequence" in moment) {
    // A time that is not known lies before now in any case: what has expired since is not shown.
    const nowMs = parts.nowMs()
    return { sequence: moment.sequence, timeMs: Math.min(nowMs, timeline.timeOf(moment.sequence) ?? nowMs) }
  }
  const timeMs = moment.second * 1000
  const nowMs = parts.nowMs()
  if (timeMs > nowMs) throw new FutureMoment({ asked: timeMs, newest: nowMs, unit: "ms" })
  const sequence = timeline.sequenceBefore(moment.second, parts.lastSequence())
  if (sequence === undefined) {
    const oldestSequence = parts.oldest()
    throw new HistoryGone({ sequence: Math.max(0, oldestSequence - 1), oldestSequence })
  }
  return { sequence, timeMs }
}

/**
 * From where the past of a keyspace can be read. Its names and times are those of keyspace 0, which keeps its history the longest: before that begins, nothing is asked of
 * another one either.
 */
export const oldestOf = (historyFrom: ReadonlyMap<number, number>, keyspace: number): number =>
  Math.max(historyFrom.get(keyspace) ?? 0, historyFrom.get(systemKeyspace) ?? 0)

/** How far back the log and the default keyspace go, as the manifest says. */
export const retentionOf = ({ historyFrom, segments }: ManifestState): DatabaseStats["retention"] => {
  let logFromSequence: number | undefined
  for (const { sealed } of segments.values())
    if (sealed !== undefined && sealed.firstSequence <= sealed.lastSequence)
      logFromSequence = Math.min(logFromSequence ?? sealed.firstSequence, sealed.firstSequence)
  return { logSegments: segments.size, logFromSequence, historyFromSequence: oldestOf(historyFrom, defaultKeyspace) }
}

/** What `history` may throw, as its error. Defects pass through. */
export const historyError = (cause: unknown): HistoryError =>
  cause instanceof HistoryGone || cause instanceof InvalidRange || cause instanceof TooManySnapshots ? cause : readError(cause)

/** What `at` may throw. */
export const atError = (cause: unknown): AtError =>
  cause instanceof HistoryGone ||
  cause instanceof FutureMoment ||
  cause instanceof InvalidRange ||
  cause instanceof TooManySnapshots ||
  cause instanceof KeyspaceDropped
    ? cause
    : listError(cause)

export interface MomentCheck {
  readonly name: string
  readonly sequence: number
  /** The newest that can be read, and the oldest. */
  readonly newest: number
  readonly oldest: number
  /** When the keyspace was dropped, if it was. */
  readonly droppedAt: number | undefined
}

/** Whether the keyspace can be read at the sequence. Throws `FutureMoment`, `HistoryGone`, `KeyspaceDropped`. */
export const checkMoment = ({ droppedAt, name, newest, oldest, sequence }: MomentCheck): void => {
  if (sequence > newest) throw new FutureMoment({ asked: sequence, newest, unit: "sequence" })
  if (sequence < oldest) throw new HistoryGone({ sequence, oldestSequence: oldest })
  if (droppedAt !== undefined && sequence >= droppedAt) throw new KeyspaceDropped({ name })
}
