import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AtError } from "../../domain/errors.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { PastSnapshot } from "../../services/History.ts"
import type { Retention } from "../../services/Retention.ts"
import type { Timeline } from "../../services/Timeline.ts"
import type { SnapshotLease, TransactionManager } from "../../services/TransactionManager.ts"
import type { Wal } from "../../services/Wal.ts"
import { makeReads, type ReadParts, type ReadTarget } from "../reading/makeReads.ts"
import { atError, checkMoment, momentOf, oldestOf, resolveMoment } from "./moment.ts"
import { pastSnapshot } from "./pastSnapshot.ts"

export interface AtParts {
  readonly reads: ReadParts
  readonly clock: Pick<EngineClock["Service"], "nowMs">
  readonly catalog: Pick<Catalog["Service"], "droppedIds">
  readonly retention: Pick<Retention["Service"], "historyFrom">
  readonly timeline: Timeline["Service"]
  readonly transactions: Pick<TransactionManager["Service"], "snapshotAt">
  readonly wal: Pick<Wal["Service"], "awaitVisible" | "nextSequence" | "visibleSequence">
  readonly checkOpen: () => void
  /** Where a snapshot of `lease` reads, in one keyspace; `timeMs` is the engine time of the moment. */
  readonly past: (keyspace: number, lease: SnapshotLease, timeMs: number) => ReadTarget
}

/** `db.at`: a lease at a moment of the past. */
export const makeAt =
  (parts: AtParts) =>
  (keyspace: number, name: string) =>
  (given: number | Date): Effect.Effect<PastSnapshot, AtError, Scope.Scope> =>
    Effect.gen(function* () {
      const attempt = <A>(run: () => A): Effect.Effect<A, AtError> =>
        Effect.suspend(() => {
          try {
            return Effect.succeed(run())
          } catch (cause) {
            return Effect.fail(atError(cause))
          }
        })
      const { clock, retention, timeline, transactions, wal } = parts
      const oldest = () => oldestOf(retention.historyFrom(), keyspace)
      const resolved = yield* attempt(() => {
        parts.checkOpen()
        return resolveMoment(momentOf(given), { timeline, nowMs: clock.nowMs, lastSequence: () => wal.nextSequence() - 1, oldest })
      })
      // A date's last commit may be on its way. Where it fails, nobody will ever see it, and what is visible is all there was.
      if (given instanceof Date && resolved.sequence > wal.visibleSequence()) yield* Effect.ignore(wal.awaitVisible(resolved.sequence))
      const opened = yield* Effect.acquireRelease(
        attempt(() => {
          parts.checkOpen()
          const newest = wal.visibleSequence()
          const sequence = given instanceof Date ? Math.min(resolved.sequence, newest) : resolved.sequence
          checkMoment({ name, sequence, newest, oldest: oldest(), droppedAt: parts.catalog.droppedIds().get(keyspace) })
          // In one step with the look at where history begins: what jobs that are built from here on may drop, they keep for this lease.
          return { lease: transactions.snapshotAt(sequence), historyFrom: retention.historyFrom() }
        }),
        ({ lease }) => Effect.sync(lease.release)
      )
      const { historyFrom, lease } = opened
      return pastSnapshot(
        keyspace,
        lease.sequence,
        (id) => makeReads(parts.reads, parts.past(id, lease, resolved.timeMs)),
        (id) => oldestOf(historyFrom, id)
      )
    })
