import type { Mutant } from "../../scripts/mutants.ts"

const inspectDamage = "test/runtime/cli/inspectDamage.test.ts"
const resume = "test/runtime/cli/import-resume.test.ts"
const exported = "test/runtime/cli/export.test.ts"

/** What people see of a database from outside, and what goes in and out of it. */
export const commandLineMutants: ReadonlyArray<Mutant> = [
  {
    name: "keep-place-of-finished-import",
    file: "src/runtime/cli/importing/resume.ts",
    find: 'if (finished) return [{ type: "delete", key, keyspace: importsKeyspace }]',
    replace: "if (finished) return []",
    test: { file: resume },
    invariant: "2: an import that is finished goes on from its end when it is run again"
  },
  {
    name: "resume-changed-source",
    file: "src/runtime/cli/importing/resume.ts",
    find: "(size !== place.sources[i]?.size || mtimeMs !== place.sources[i]?.mtimeMs)",
    replace: "false",
    test: { file: resume },
    invariant: "2: an import goes on in the middle of a file that is another one by now"
  },
  {
    name: "surrogates-read-wrong",
    file: "src/runtime/cli/importing/scanEntry.ts",
    find: "((code - 0xd800) << 10)",
    replace: "((code - 0xd800) << 9)",
    test: { file: "test/runtime/cli/import-lines.test.ts" },
    invariant: "JSON lines are read otherwise than by JSON.parse"
  },
  {
    name: "export-last-key-twice",
    file: "src/runtime/cli/exporting/walk.ts",
    find: "{ ...range, gte: undefined, gt: key }",
    replace: "{ ...range, gte: key, gt: undefined }",
    test: { file: exported },
    invariant: "an export that goes on writes an entry twice"
  },
  {
    name: "resume-at-another-moment",
    file: "src/runtime/cli/exporting/moment.ts",
    find: "again.sequence === sequence ? again :",
    replace: "again.sequence >= sequence ? again :",
    test: { file: exported },
    invariant: "6: an export is half of one moment and half of another"
  },
  {
    name: "export-out-of-the-directory",
    file: "src/runtime/cli/exporting/keyPath.ts",
    find: 'if (name === "." || name === "..")',
    replace: 'if (name === ".")',
    test: { file: "test/runtime/cli/exportTree.test.ts" },
    invariant: "a key writes a file outside of the destination"
  },
  {
    name: "stop-behind-damaged-value",
    file: "src/domain/values/walkRecords.ts",
    find: "while (next < limit && headAt(next)?.sumHolds !== true) next++",
    replace: "next = limit",
    test: { file: inspectDamage },
    invariant: "5: what lies behind damage is not shown"
  },
  {
    name: "stop-behind-damaged-group",
    file: "src/domain/wal/walkSegment.ts",
    find: "for (offset = alignUp(end + 1, frame.alignment); offset < limit; offset += frame.alignment) {",
    replace: "for (offset = limit; offset < limit; offset += frame.alignment) {",
    test: { file: inspectDamage },
    invariant: "5: groups behind damage are not shown"
  },
  {
    name: "scan-reads-values-of-keys",
    file: "src/layers/reading/RangeReader.ts",
    find: "return this.cursor.isPointer && !this.keysOnly",
    replace: "return this.cursor.isPointer",
    test: { file: "test/layers/estimate.test.ts" },
    invariant: "a count reads the values it does not need"
  },
  {
    name: "checkpoint-of-a-reader-forgets-the-log",
    file: "src/layers/readOnly/openReadOnly.ts",
    find: "lengthBytes: scan.endOffset",
    replace: "lengthBytes: scan.endOffset - 1",
    test: { file: "test/layers/readerCheckpoint.test.ts" },
    invariant: "1: a checkpoint beside a writer lacks what is in the log alone"
  },
  {
    name: "hand-over-in-one-stack",
    file: "src/layers/transactions/Turnstile.ts",
    find: "ticket.wake = () => resume(Effect.yieldNow)",
    replace: "ticket.wake = () => resume(Effect.void)",
    test: { file: "test/isolation/handover.test.ts" },
    invariant: "9: a row of transactions that end without a wait overflows the stack"
  },
  {
    name: "hold-only-for-those-who-wait",
    file: "src/layers/readOnly/FollowedLog.ts",
    find: "return this.listeners.size + this.pins.size > 0",
    replace: "return this.listeners.size > 0",
    test: { file: "test/layers/readOnly/held.test.ts" },
    invariant: "16: a reader loses the log that it will come to"
  },
  {
    name: "follow-another-database",
    file: "src/layers/readOnly/FollowedLog.ts",
    find: "if (!isSameDatabase(content.state, this.state)) {",
    replace: "if (false) {",
    test: { file: "test/layers/readOnly/replaced.test.ts" },
    invariant: "5: another database in the directory is read as if it were the one that was opened"
  }
]
