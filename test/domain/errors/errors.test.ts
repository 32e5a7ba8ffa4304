import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import * as errors from "../../../src/domain/errors.ts"
import { Damage, type DamageReason, IoFailure } from "../../../src/domain/failures.ts"

const thrownBy = (f: () => unknown): unknown => {
  try {
    f()
  } catch (e) {
    return e
  }
  throw new Error("did not throw")
}

describe("messages say what happened and what to do", () => {
  const cases: ReadonlyArray<readonly [Error & { readonly _tag: string }, ReadonlyArray<string>]> = [
    [new errors.InvalidKey({ reason: "Empty" }), ["key is empty", "at least one byte"]],
    [new errors.InvalidKey({ reason: "TooLong", lengthBytes: 70_000, index: 3 }), ["operation 3", "70000 bytes", "65536"]],
    [new errors.InvalidKey({ reason: "TooLong" }), ["too many bytes", "65536"]],
    [new errors.InvalidKey({ reason: "LoneSurrogate" }), ["lone surrogate", "toWellFormed"]],
    [new errors.InvalidKey({ reason: "WrongType", found: "a number" }), ["is a number", "string or a Uint8Array"]],
    [new errors.InvalidKey({ reason: "WrongType" }), ["another type"]],
    [new errors.InvalidValue({ reason: "TooLarge", lengthBytes: 12, bytesMax: 10 }), ["12 bytes", "limit of 10", "valueBytesMax"]],
    [new errors.InvalidValue({ reason: "TooLarge", bytesMax: 10, index: 0 }), ["operation 0", "more than the limit of 10"]],
    [new errors.InvalidValue({ reason: "LoneSurrogate" }), ["lone surrogate", "Uint8Array"]],
    [new errors.InvalidValue({ reason: "WrongType", found: "null" }), ["is null", "string or a Uint8Array"]],
    [new errors.InvalidValue({ reason: "WrongType" }), ["another type"]],
    [new errors.InvalidRange({ detail: "upside down." }), ["range is invalid", "upside down."]],
    [new errors.InvalidOptions({ problems: ["one"] }), ["An option is invalid", "Correct it: one"]],
    [new errors.InvalidOptions({ problems: ["one", "two"] }), ["2 options are invalid", "one; two"]],
    [new errors.InvalidBatch({ detail: "odd." }), ["The batch is invalid: odd.", "Nothing was written"]],
    [new errors.InvalidBatch({ index: 4, detail: "odd." }), ["Operation 4 of the batch"]],
    [new errors.BatchTooLarge({ bytes: 9, bytesMax: 8 }), ["9 bytes", "limit of 8", "split"]],
    [
      new errors.BatchTooLarge({ bytes: 9, bytesMax: 8, beforeImageBytes: 5 }),
      ["9 bytes", "5 of them values that it replaces", "limit of 8", "split"]
    ],
    [new errors.InvalidKeyspaceName({ name: "a/b", detail: "no slashes." }), ['"a/b"', "no slashes."]],
    [new errors.KeyspaceNotFound({ name: "orders" }), ['"orders"', "keyspace(name)"]],
    [new errors.KeyspaceDropped({ name: "orders" }), ['"orders" was dropped', "Open it again"]],
    [new errors.DatabaseClosed({}), ["The database is closed", "Open it again"]],
    [new errors.DatabaseClosed({ path: "./d" }), ["at ./d is closed"]],
    [new errors.DatabaseLocked({ path: "./d", pid: 12, detail: "since noon" }), ["./d", "process 12", "since noon", "readOnly"]],
    [new errors.DatabaseLocked({ path: "./d" }), ["held by another open"]],
    [new errors.LockLost({ path: "./d", detail: "CURRENT was replaced" }), ["./d", "CURRENT was replaced", "may or may not", "reopen"]],
    [new errors.DatabasePoisoned({ detail: "datasync: EIO", cause: new Error("x") }), ["datasync: EIO", "not done", "reopen"]],
    [new errors.DatabasePoisoned({}), ["refuses writes because an earlier one failed. This"]],
    [new errors.DatabaseReadOnly({ detail: "opened so" }), ["read-only (opened so)", "health"]],
    [new errors.CommitOutcomeUnknown({ detail: "" }), ["may or may not be kept. Reopen"]],
    [new errors.WriteStalled({ detail: "a table is damaged", waitedMs: 12.4 }), ["12 ms", "a table is damaged", "health"]],
    [new errors.WriteStalled({}), ["The write waited for flush"]],
    [
      new errors.RestorePointNotFound({ name: "nightly", path: "/data.checkpoints", available: ["weekly@1", "weekly@2"] }),
      ['"nightly"', "/data.checkpoints", "weekly@1, weekly@2"]
    ],
    [new errors.RestorePointNotFound({ name: "nightly", path: "/data.checkpoints", available: [] }), ["There is none"]],
    [new errors.InvalidRestorePointName({ name: "a/b", detail: "a name has no slash" }), ['"a/b"', "a name has no slash", "Nothing was done"]],
    [new errors.RestorePointsBusy({ path: "/data.checkpoints", pid: 7 }), ["Process 7", "/data.checkpoints", "Repeat it"]],
    [new errors.RestorePointsBusy({ path: "/data.checkpoints" }), ["Somebody else"]],
    [
      new errors.RestorePointMismatch({ path: "/data.checkpoints/nightly", detail: "it was written to" }),
      ["/data.checkpoints/nightly", "it was written to", "Nothing was changed", "new directory"]
    ],
    [
      new errors.TooManyWrites({ pendingMax: 7, detail: "a flush hangs" }),
      ["7 writes wait", "a flush hangs", "Nothing was written", "maxPendingWrites"]
    ],
    [
      new errors.WorkStalled({ work: "flush", waitedMs: 60_000, detail: "the flusher hangs" }),
      ["flush", "60000 ms", "the flusher hangs", "waitTimeout"]
    ],
    [
      new errors.JobFailed({ work: "flush", quarantined: false, detail: "the thread exited with code 1" }),
      ["A flush job failed", "the thread exited with code 1", "Nothing is lost", "repeated by itself"]
    ],
    [new errors.JobFailed({ work: "compaction", quarantined: true, detail: "a bug" }), ["A compaction job failed", "a bug", "reopen it", "report"]],
    [new errors.BatchTooLarge({ bytes: 9, bytesMax: 8, operationsMax: 4 }), ["more than 4 operations", "batchBytesMax of 8", "split"]],
    [new errors.SnapshotExpired({ sequence: 7, leaseMs: 100 }), ["sequence 7", "lease of 100 ms", "snapshotLease"]],
    [new errors.SnapshotExpired({ sequence: 7 }), ["sequence 7 has expired. Take"]],
    [new errors.TooManySnapshots({ openMax: 3 }), ["3 snapshots", "Close", "maxTransactions"]],
    [
      new errors.TransactionConflict({ keyspace: "orders", start: new Uint8Array([1]), winningSequence: 9, attempts: 3 }),
      ['keyspace "orders"', "committed as 9", "3 attempts", "Nothing was written", "tx.lock"]
    ],
    [new errors.TransactionConflict({ keyspace: "o", start: new Uint8Array([1]), winningSequence: 9, attempts: 1 }), ["1 attempt."]],
    [new errors.TransactionTooOld({ sequence: 4, ageMs: 1200.4, reason: "time" }), ["1200 ms", "beyond its lease", "Nothing was written"]],
    [new errors.TransactionTooOld({ sequence: 4, ageMs: 10, reason: "window" }), ["more was committed than is kept"]],
    [new errors.TransactionTooLarge({ what: "reads", bytes: 9, bytesMax: 8 }), ["reads take 9 bytes", "limit of 8", "Split"]],
    [new errors.TransactionTimeout({ timeoutMs: 50, attempts: 1 }), ["50 ms", "1 attempt)", "Nothing was written"]],
    [new errors.TransactionTimeout({ timeoutMs: 50, attempts: 2 }), ["2 attempts"]],
    [new errors.TransactionFinished({ state: "committed" }), ["over (committed)", "Begin another"]],
    [new errors.SavepointNotFound({ name: "a" }), ['"a"', "tx.savepoint"]],
    [new errors.LockTimeout({ waitedMs: 12.2 }), ["12 ms", "timeout"]],
    [new errors.LockDeadlock({}), ["wait for each other", "Run the transaction again"]],
    [new errors.AtomicOperationFailed({ reason: "Compare", index: 2 }), ["operation 2", "another value", "Nothing was written"]],
    [new errors.AtomicOperationFailed({ reason: "NotANumber" }), ["no 64-bit number"]],
    [new errors.AtomicOperationFailed({ reason: "Overflow" }), ["exceed 64 bits"]],
    [new errors.AtomicOperationFailed({ reason: "TooLarge" }), ["larger than its limit"]],
    [new errors.HistoryGone({ sequence: 3, oldestSequence: 8 }), ["sequence 3", "oldest there is is 8", "retention"]],
    [new errors.HistoryDiverged({ sequence: 3, detail: "a crash lost it" }), ["Sequence 3", "a crash lost it", "snapshot"]],
    [new errors.FutureMoment({ asked: 9, newest: 3, unit: "sequence" }), ["Sequence 9", "newest is 3"]],
    [new errors.FutureMoment({ asked: 9, newest: 3, unit: "ms" }), ["The time 9"]],
    [new errors.CursorNotFound({ name: "c" }), ['"c"', "createCursor"]],
    [new errors.InvalidEvent({ reason: "Encode", stream: "s", index: 2, detail: "no id" }), ["position 2", '"s"', "Nothing was written", "no id"]],
    [new errors.InvalidEvent({ reason: "Decode", stream: "s", revision: 5, detail: "" }), ["revision 5", "older versions"]],
    [new errors.InvalidEvent({ reason: "Malformed", stream: "s", detail: "" }), ["not written as an event"]],
    [new errors.ProjectionNotFound({ name: "p" }), ['"p"', "Projection.run"]],
    [new errors.ProjectionStopped({ name: "p" }), ['"p" is not running here.', "Projection.run"]],
    [new errors.ProjectionStopped({ name: "p", cause: new Error("boom") }), ["(boom)"]],
    [new errors.ProjectionStopped({ name: "p", cause: "halt" }), ["(halt)"]],
    [new errors.WrongRevision({ stream: "s", expected: 4, actual: 6 }), ['"s"', "revision 6, not 4"]],
    [
      new errors.CorruptFile({ file: "f", offsetBytes: 5, reason: "BadMagic", detail: "saw 0" }),
      ["f is damaged at byte 5: BadMagic (saw 0)", "restore"]
    ],
    [new errors.DiskError({ operation: "read", path: "f", code: "EIO" }), ["read of f failed with EIO"]],
    [new errors.DiskError({ operation: "read", path: "f", code: "EIO", offsetBytes: 512 }), ["read of f at byte 512 failed with EIO"]],
    [
      new errors.DiskError({ operation: "read", path: "f", code: "EIO", offsetBytes: 512, retryAfterMs: 99.5 }),
      ["read of f at byte 512 was not tried", "EIO", "suspended for another 100 ms", "Other files"]
    ],
    [new errors.DatabaseFailed({ actor: "flusher", detail: "boom" }), ["its flusher failed (boom)", "in the log", "open it again"]],
    [new errors.DiskFull({ path: "f", code: "ENOSPC" }), ["No space is left for f (ENOSPC)", "Free space"]],
    [new errors.DiskFull({ path: "f", code: "ENOSPC", offsetBytes: 7 }), ["No space is left for f at byte 7 (ENOSPC)"]],
    [
      new errors.PermissionDenied({ operation: "writev", path: "f", code: "EROFS", offsetBytes: 7 }),
      ["writev of f at byte 7 is not permitted (EROFS)"]
    ],
    [new errors.PermissionDenied({ operation: "open", path: "f", code: "EACCES" }), ["open of f is not permitted (EACCES)", "access"]],
    [new errors.NotADatabase({ path: "./d", detail: "it holds other files" }), ["./d is not a database (it holds other files)", "empty or missing"]],
    [new errors.PathIsFile({ path: "./d" }), ["./d is a file", "directory"]],
    [new errors.PathExists({ path: "./d" }), ["./d exists already"]],
    [new errors.UnsupportedFormat({ file: "f", found: "version 9", supported: "format 1" }), ["version 9", "format 1", "Nothing was changed"]]
  ]

  it.each(cases.map(([error, parts]) => [error._tag, error, parts] as const))("%s", (tag, error, parts) => {
    for (const part of parts) expect(error.message).toContain(part)
    expect(error.message).not.toMatch(/undefined|\[object/)
    expect(error).toBeInstanceOf(Error)
    // What Node prints for an uncaught one.
    expect(error.stack).toContain(error.message)
    expect(JSON.parse(JSON.stringify(error))._tag).toBe(tag)
  })

  it("covers every error there is", () => {
    const classes = Object.entries(errors)
      .filter(([, one]) => typeof one === "function" && one.prototype instanceof Error)
      .map(([name]) => name)
    expect(new Set(cases.map(([error]) => error._tag))).toEqual(new Set(classes))
  })

  it("crosses a wire by its schema", () => {
    const codec = Schema.toCodecJson(errors.CorruptFile)
    const error = new errors.CorruptFile({ file: "f", offsetBytes: 5, reason: "Truncated", detail: "" })
    const back = Schema.decodeUnknownSync(codec)(Schema.encodeSync(codec)(error))
    expect(back).toBeInstanceOf(errors.CorruptFile)
    expect(back.message).toBe(error.message)
  })
})

describe("fromFailure", () => {
  it.each(["BadMagic", "ChecksumMismatch", "Truncated", "Malformed", "Missing", "Unexpected"] satisfies ReadonlyArray<DamageReason>)(
    "translates damage: %s",
    (reason) => {
      expect(errors.fromFailure(new Damage("f", 12, reason, "why"))).toMatchObject({
        _tag: "CorruptFile",
        file: "f",
        offsetBytes: 12,
        reason,
        detail: "why"
      })
    }
  )

  it("tells an unknown version from damage", () => {
    expect(errors.fromFailure(new Damage("f", 4, "UnsupportedVersion", "version 9"))).toMatchObject({
      _tag: "UnsupportedFormat",
      file: "f",
      found: "version 9",
      supported: "format 1"
    })
    expect(errors.fromFailure(new Damage("f", 4, "UnsupportedVersion"))).toMatchObject({ found: "an unknown version" })
  })

  it.each([
    ["ENOSPC", "DiskFull"],
    ["EDQUOT", "DiskFull"],
    ["EACCES", "PermissionDenied"],
    ["EPERM", "PermissionDenied"],
    ["EROFS", "PermissionDenied"],
    ["EIO", "DiskError"],
    ["EMFILE", "DiskError"]
  ])("translates %s", (code, tag) => {
    expect(errors.fromFailure(new IoFailure("open", "f", code))).toMatchObject({ _tag: tag, path: "f", code })
  })

  it("lets what is translated already pass", () => {
    for (const code of ["ENOSPC", "EPERM", "EIO"]) {
      const error = errors.fromFailure(new IoFailure("open", "f", code))
      expect(errors.fromFailure(error)).toBe(error)
    }
    for (const reason of ["Truncated", "UnsupportedVersion"] as const) {
      const error = errors.fromFailure(new Damage("f", 0, reason))
      expect(errors.fromFailure(error)).toBe(error)
    }
  })

  it("throws a broken rule of our own again", () => {
    const defect = new TypeError("ours")
    expect(thrownBy(() => errors.fromFailure(defect))).toBe(defect)
    expect(thrownBy(() => errors.fromReadFailure("text"))).toBe("text")
  })

  it("knows no full disk for reads", () => {
    expect(errors.fromReadFailure(new IoFailure("read", "f", "ENOSPC"))).toMatchObject({ _tag: "DiskError", operation: "read", code: "ENOSPC" })
    expect(errors.fromReadFailure(new IoFailure("read", "f", "EACCES"))._tag).toBe("PermissionDenied")
  })
})
