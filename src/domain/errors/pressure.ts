/** Errors of too much at once, and of work that does not get on. */
import * as Schema from "effect/Schema"
import { because, Cause, Text } from "./parts.ts"

/** As many writes wait for room as `maxPendingWrites` allows. Nothing was written: let those end that are under way before beginning more. */
export class TooManyWrites extends Schema.TaggedError<TooManyWrites>("lightning-db/TooManyWrites")("TooManyWrites", {
  pendingMax: Schema.Finite,
  /** What they wait for. */
  detail: Text
}) {
  override get message(): string {
    return (
      `${this.pendingMax} writes wait already, which is the limit${because(this.detail)}. Nothing was written. ` +
      "Bound how many writes the application begins at once, and repeat this one when others have ended; or open the database with a larger maxPendingWrites."
    )
  }
}

/**
 * The work has not moved for as long as `waitTimeout` says, and its caller waits no longer. Nothing is lost: what of it was done stays done. Look at `health`, which names what hangs,
 * and ask for the work again.
 */
export class WorkStalled extends Schema.TaggedError<WorkStalled>("lightning-db/WorkStalled")("WorkStalled", {
  work: Schema.Literals(["flush", "compact", "checkpoint", "verify"]),
  /** How long nothing has moved. */
  waitedMs: Schema.Finite,
  /** What hangs, where that is known. */
  detail: Text
}) {
  override get message(): string {
    return (
      `The ${this.work} has not moved for ${Math.round(this.waitedMs)} ms${because(this.detail)}. What of it was done stays done, and nothing else has changed. ` +
      "Look at health for what hangs (a device, a file system, a worker thread); ask for it again when that is over, or open the database with a longer waitTimeout."
    )
  }
}

/**
 * A job of flush or compaction ended before it was done, again and again: its worker thread died, or it met a broken rule of the engine's own. Nothing is lost and nothing has changed:
 * what was acknowledged is in the log, and reads and writes go on. Look at `health` for how it goes on, and ask for the work again.
 */
export class JobFailed extends Schema.TaggedError<JobFailed>("lightning-db/JobFailed")("JobFailed", {
  work: Schema.Literals(["flush", "compaction"]),
  /** Its files are left out of compaction until the database is opened again: it will not be repeated before. */
  quarantined: Schema.Boolean,
  /** What it ended with. */
  detail: Text,
  cause: Cause
}) {
  override get message(): string {
    return (
      `A ${this.work} job failed again and again${because(this.detail)}. Nothing is lost: what was acknowledged is in the log and in the tables as they were; reads and writes go on. ` +
      (this.quarantined
        ? "Its files are left out of compaction until the database is opened again: reopen it, ask for the work again, and report the cause if it comes back."
        : "It is repeated by itself, on the main thread while worker threads are left alone. See why they end (memory, limits of the process), then ask for the work again.")
    )
  }
}
