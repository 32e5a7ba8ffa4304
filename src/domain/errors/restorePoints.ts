/** Errors of restore points. */
import * as Schema from "effect/Schema"
import { because, Count } from "./parts.ts"

/** There is no restore point of this name. `available` lists those there are. */
export class RestorePointNotFound extends Schema.TaggedError<RestorePointNotFound>("lightning-db/RestorePointNotFound")("RestorePointNotFound", {
  name: Schema.String,
  /** The directory that was looked into. */
  path: Schema.String,
  available: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const there = this.available.length === 0 ? "There is none." : `There are: ${this.available.join(", ")}.`
    return `There is no restore point ${JSON.stringify(this.name)} in ${this.path}. ${there}`
  }
}

/** The name cannot name a restore point, or does not say which of several. Nothing was done: choose another, or add the version (`name@2`). */
export class InvalidRestorePointName extends Schema.TaggedError<InvalidRestorePointName>("lightning-db/InvalidRestorePointName")(
  "InvalidRestorePointName",
  { name: Schema.String, detail: Schema.String }
) {
  override get message(): string {
    return `${JSON.stringify(this.name)} does not name a restore point: ${this.detail}. Nothing was done.`
  }
}

/** Somebody else is making or removing restore points in the same directory. Nothing was done: repeat it when they are done. */
export class RestorePointsBusy extends Schema.TaggedError<RestorePointsBusy>("lightning-db/RestorePointsBusy")("RestorePointsBusy", {
  path: Schema.String,
  /** The holder, where it could be told. */
  pid: Count
}) {
  override get message(): string {
    const holder = this.pid === undefined ? "Somebody else" : `Process ${this.pid}`
    return `${holder} is changing the restore points in ${this.path}. Nothing was done. Repeat it when that has ended.`
  }
}

/** The restore point is whole, but not what it was made as, or not of this database. Nothing was changed: restore it into a new directory and look at it there. */
export class RestorePointMismatch extends Schema.TaggedError<RestorePointMismatch>("lightning-db/RestorePointMismatch")("RestorePointMismatch", {
  path: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The restore point ${this.path} cannot be used here${because(this.detail)}. Nothing was changed. Its directory is a database: restore it by its path into a new directory, and look at it there.`
  }
}

export type RestorePointProblem = RestorePointNotFound | InvalidRestorePointName | RestorePointsBusy | RestorePointMismatch
