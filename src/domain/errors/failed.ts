/** What is left to say once the engine has stopped itself. */
import * as Schema from "effect/Schema"
import { because, Cause, Text } from "./parts.ts"

/**
 * A rule of the engine's own was broken, or a part of it could not be started again, so it stopped itself before it could do harm. Everything is refused; what was acknowledged
 * is in the log. Close the database and open it again, and report the cause.
 */
export class DatabaseFailed extends Schema.TaggedError<DatabaseFailed>("lightning-db/DatabaseFailed")("DatabaseFailed", {
  /** The part that failed, in the words of the table of actors: "flusher", "committer", … */
  actor: Schema.String,
  detail: Text,
  cause: Cause
}) {
  override get message(): string {
    return (
      `The database has stopped itself: its ${this.actor} failed${because(this.detail)}. This call was not done, and no later one will be. What was acknowledged is in the log. ` +
      "Close the database and open it again; if it fails again, keep a copy of the directory and report the cause."
    )
  }
}
