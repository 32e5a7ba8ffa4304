/** Errors of the past, the change feed, event streams and projections. */
import * as Schema from "effect/Schema"
import { Cause, Count, because, inBatch } from "./parts.ts"

/** The past asked for is no longer kept. `oldestSequence` is the first that is: start from there, or keep more (`retention`). */
export class HistoryGone extends Schema.TaggedError<HistoryGone>("lightning-db/HistoryGone")("HistoryGone", {
  sequence: Schema.Finite,
  oldestSequence: Schema.Finite
}) {
  override get message(): string {
    return `What was at sequence ${this.sequence} is no longer kept; the oldest there is is ${this.oldestSequence}. Start from there, or open the database with a longer retention.`
  }
}

/** The position belongs to a past this database does not share: commits that a crash lost, or another copy. Start again from a scan. */
export class HistoryDiverged extends Schema.TaggedError<HistoryDiverged>("lightning-db/HistoryDiverged")("HistoryDiverged", {
  sequence: Schema.Finite,
  detail: Schema.String
}) {
  override get message(): string {
    return `Sequence ${this.sequence} is not part of this database's history (${this.detail}). Take a snapshot, scan it, and follow the changes from its sequence.`
  }
}

/** The moment asked for has not come yet. */
export class FutureMoment extends Schema.TaggedError<FutureMoment>("lightning-db/FutureMoment")("FutureMoment", {
  asked: Schema.Finite,
  newest: Schema.Finite,
  unit: Schema.Literals(["sequence", "ms"])
}) {
  override get message(): string {
    return `${this.unit === "sequence" ? "Sequence" : "The time"} ${this.asked} has not come yet: the newest is ${this.newest}.`
  }
}

/** There is no durable cursor of this name: it was never made, or was deleted, perhaps under its reader. */
export class CursorNotFound extends Schema.TaggedError<CursorNotFound>("lightning-db/CursorNotFound")("CursorNotFound", {
  name: Schema.String
}) {
  override get message(): string {
    return `There is no cursor ${JSON.stringify(this.name)}: it was never made, or was deleted. Make it with db.createCursor(name).`
  }
}

/** The event stream is not at the expected revision: somebody else appended. Read it again and decide. */
export class WrongRevision extends Schema.TaggedError<WrongRevision>("lightning-db/WrongRevision")("WrongRevision", {
  stream: Schema.String,
  /** -1 is a stream without events. */
  expected: Schema.Union([Schema.Finite, Schema.Literals(["none", "exists"])]),
  actual: Schema.Finite
}) {
  override get message(): string {
    return `The stream ${JSON.stringify(this.stream)} is at revision ${this.actual}, not ${this.expected}. Read it again, decide, and append with its revision.`
  }
}

/** An event does not fit the schema of its event streams, or a row of their keyspace is no event. Nothing was written: correct the event, or the schema. */
export class InvalidEvent extends Schema.TaggedError<InvalidEvent>("lightning-db/InvalidEvent")("InvalidEvent", {
  /** `Encode`: an event handed in. `Decode`: one that is stored. `Malformed`: the row was not written by event streams. */
  reason: Schema.Literals(["Encode", "Decode", "Malformed"]),
  stream: Schema.String,
  /** Of a stored event. */
  revision: Count,
  /** Position in the list of events handed in. */
  index: Count,
  detail: Schema.String
}) {
  override get message(): string {
    const which = this.revision === undefined ? inBatch(this.index).replace("operation", "position") : ` at revision ${this.revision}`
    const what = {
      Encode: "does not fit the schema it is to be written with. Nothing was written: correct it",
      Decode: "does not fit the schema it is read with. Let the schema accept what older versions of the program wrote",
      Malformed: "was not written as an event. Let nothing but event streams write to their keyspace"
    }[this.reason]
    return `The event${which} of stream ${JSON.stringify(this.stream)} ${what}${because(this.detail)}.`
  }
}

/** There is no projection of this name: it never ran on this database. Start it with `Projection.run`. */
export class ProjectionNotFound extends Schema.TaggedError<ProjectionNotFound>("lightning-db/ProjectionNotFound")("ProjectionNotFound", {
  name: Schema.String
}) {
  override get message(): string {
    return `There is no projection ${JSON.stringify(this.name)}: it never ran on this database. Start it with Projection.run.`
  }
}

/** The projection is not running in this process, so what was waited for will not come. `cause` is what ended it; run it again once that is corrected. */
export class ProjectionStopped extends Schema.TaggedError<ProjectionStopped>("lightning-db/ProjectionStopped")("ProjectionStopped", {
  name: Schema.String,
  cause: Cause
}) {
  override get message(): string {
    const why = this.cause === undefined ? "" : because(this.cause instanceof Error ? this.cause.message : String(this.cause))
    return `The projection ${JSON.stringify(this.name)} is not running here${why}. What it holds stays at its position; start it again with Projection.run.`
  }
}
