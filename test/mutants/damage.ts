import type { Mutant } from "../../scripts/mutants.ts"

const audit = "test/fault/trace-audit.test.ts"
const failing = "test/fault/failing-disk.test.ts"
const damage = "test/fault/damage.test.ts"

/** Disks that fail, a lock that was stolen, bytes that are not what was written (invariants 4 and 5). */
export const damageMutants: ReadonlyArray<Mutant> = [
  {
    name: "retry-failed-sync",
    file: "src/layers/Wal.ts",
    find: "return Effect.tap(disk.datasync(segment.handle), () =>",
    replace: "return Effect.tap(Effect.retry(disk.datasync(segment.handle), { times: 1 }), () =>",
    test: { file: failing, name: "failing disk > a failed datasync" },
    invariant: "4: a failed datasync is retried into success"
  },
  {
    name: "go-on-after-failed-sync",
    file: "src/layers/Wal.ts",
    find: "        else poison(group, cause)\n",
    replace: '        else group?.replies.fail(new CommitOutcomeUnknown({ detail: "" }))\n',
    test: { file: failing, name: "failing disk > a failed datasync" },
    invariant: "4: writing goes on after a failed datasync"
  },
  {
    name: "ignore-stolen-lock",
    file: "src/layers/Wal.ts",
    find: "if (!manifest.stillOurs()) throw new LockLost({ path: directory })",
    replace: "",
    test: { file: failing, name: "failing disk > a second writer" },
    invariant: "4: two writers, and the first does not notice"
  },
  {
    name: "skip-checksum",
    file: "src/domain/table/storedBlock.ts",
    find: "  if (crc32(stored) !== block.sum) throw",
    replace: "  if (crc32(stored) === -1) throw",
    test: { file: damage, name: "damage > tables and values:" },
    invariant: "5: a damaged block is read as if it were right"
  },
  {
    name: "skip-gap-check",
    file: "src/layers/recovery/scanLog.ts",
    find: "if (covered < gap.to) {",
    replace: "if (covered < gap.from) {",
    test: { file: damage, name: "damage > gaps:" },
    invariant: "5: missing transactions are passed over in silence"
  },
  {
    name: "cut-sealed-log",
    file: "src/domain/wal/scanSegment.ts",
    find: "if (end !== limit) throw",
    replace: "if (end < 0) throw",
    test: { file: damage, name: "damage > sealed log and manifest:" },
    invariant: "5: damage in a sealed segment is taken for a torn tail"
  },
  {
    name: "cut-below-floor",
    file: "src/domain/wal/scanSegment.ts",
    find: "if (sealed === undefined && endPosition !== undefined && endPosition < floor) {",
    replace: "if (sealed === undefined && endPosition !== undefined && endPosition < 0) {",
    test: { file: "test/domain/wal/scanSegment.test.ts" },
    invariant: "5: what was durable is cut as a torn tail"
  },
  {
    name: "ignore-group-position",
    file: "src/domain/wal/scanSegment.ts",
    find: "found.position !== base + offset - groupsFrom",
    replace: "found.position < 0",
    test: { file: "test/domain/wal/scanSegment.test.ts" },
    invariant: "5: a copied group is taken for one that was written in its place"
  },
  {
    name: "unseeded-group-sum",
    file: "src/domain/wal/GroupHeader.ts",
    find: "bytes.subarray(at + groupSumSlotBytes, at + header.lengthBytes), saltSum) !== header.sum",
    replace: "bytes.subarray(at + groupSumSlotBytes, at + header.lengthBytes), 0) !== header.sum",
    test: { file: "test/domain/wal/golden.test.ts" },
    invariant: "5: a group of another segment is as good as one of this"
  },
  {
    name: "same-salt",
    file: "src/layers/wal/prepareSegment.ts",
    find: "salt: entropy.bytes(16),",
    replace: "salt: template.salt,",
    test: { file: audit, name: "trace audit > salts" },
    invariant: "5: a group of another segment is as good as one of this"
  },
  {
    name: "forget-where-the-log-begins",
    file: "src/layers/recovery/scanLog.ts",
    find: "previous?.nextSequence ?? Math.min(first, flushed.sequence + 1)",
    replace: "previous?.nextSequence ?? first",
    test: { file: damage, name: "damage > gaps: a log" },
    invariant: "5: transactions between the tables and the log are passed over in silence"
  }
]
