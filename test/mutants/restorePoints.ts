import type { Mutant } from "../../scripts/mutants.ts"

const sweep = "test/fault/restore-point-sweep.test.ts"
const points = "test/layers/restorePoints/restorePoints.test.ts"
const against = "test/domain/table/verifyAgainst.test.ts"
const scrubber = "test/layers/scrubber.test.ts"

/** Restore points (whole or not there, by one rename), verification of pieces against each other, scrubbing. */
export const restorePointMutants: ReadonlyArray<Mutant> = [
  {
    name: "note-of-a-restore-point-unsynced",
    file: "src/layers/restorePoints/createPoint.ts",
    find: "      yield* disk.syncDirectory(making)\n",
    replace: "",
    test: { file: sweep, name: "crash sweep of restore points > made and removed" },
    invariant: "24: a restore point that is listed is whole"
  },
  {
    name: "restore-point-name-unsynced",
    file: "src/layers/restorePoints/createPoint.ts",
    find: "    yield* disk.syncDirectory(points)\n",
    replace: "",
    test: { file: sweep, name: "crash sweep of restore points > made and removed" },
    invariant: "24: a restore point that was answered is there"
  },
  {
    name: "trust-name-of-found-restore-points",
    file: "src/layers/restorePoints/createPoint.ts",
    find: "          else if (listPlaces(disk.sync, points).length === 0) syncNameOf(disk.sync, points)\n",
    replace: "",
    test: { file: sweep, name: "the directory of the restore points" },
    invariant: "24: a restore point that was answered is there, whoever made the directory of all"
  },
  {
    name: "make-restore-point-in-place",
    file: "src/layers/restorePoints/createPoint.ts",
    find: "    const making = `${points}/${makingDirectory(name, version)}`",
    replace: "    const making = `${points}/${pointDirectory(name, version)}`",
    test: { file: sweep, name: "crash sweep of restore points > made and removed" },
    invariant: "24: what was cut short is cleared away"
  },
  {
    name: "roll-back-before-its-files-are-durable",
    file: "src/layers/restorePoints/rollBackTo.ts",
    find: "  disk.syncDirectory(directory)\n  disk.rename(temporary",
    replace: "  disk.rename(temporary",
    test: { file: sweep, name: "crash sweep of restore points > rolled back" },
    invariant: "22: a roll back commits by one rename, after all it needs is durable"
  },
  {
    name: "roll-back-without-directory-sync",
    file: "src/layers/restorePoints/rollBackTo.ts",
    find: "${currentFileName}`)\n  disk.syncDirectory(directory)\n",
    replace: "${currentFileName}`)\n",
    test: { file: sweep, name: "crash sweep of restore points > rolled back" },
    invariant: "22: a roll back that was answered is done"
  },
  {
    name: "roll-back-in-the-present-epoch",
    file: "src/layers/restorePoints/rollBackTo.ts",
    find: "const segment = rewriteLog(input, segmentId, epoch + 1)",
    replace: "const segment = rewriteLog(input, segmentId, epoch)",
    test: { file: points, name: "roll back > that fails before its rename leaves what was there, whatever is in no table" },
    invariant: "23: nothing is put there that the present would not take for a left-over"
  },
  {
    name: "roll-back-in-the-old-lineage",
    file: "src/layers/restorePoints/rollBackTo.ts",
    find: "    lineageId: input.randomBytes(16),\n",
    replace: "",
    test: { file: points, name: "roll back > makes a lineage of its own each time" },
    invariant: "2: a rolled back database has a new lineage"
  },
  {
    name: "forget-the-log-of-a-restore-point",
    file: "src/layers/restorePoints/rollBackTo.ts",
    find: "segments: segment === undefined ? new Map() : new Map([[segment.fileId, segment]])",
    replace: "segments: new Map()",
    test: { file: points, name: "roll back > to one that a reader made, with what was in no table yet" },
    invariant: "24: a restore point is rolled back to as a whole"
  },
  {
    name: "restore-what-is-damaged",
    file: "src/layers/restorePoints/restorePoint.ts",
    find: "  return verifyAsReader({ disk, directory, memtableBytes }, { counter, onStart: () => counter.start(options) })",
    replace: "  return Effect.as(Effect.sync(() => counter.start(options)), undefined)",
    test: { file: points, name: "restore points > with damage are found by verify, and not restored from, wherever it is" },
    invariant: "19: damage never becomes an answer"
  },
  {
    name: "believe-another-manifest-of-a-restore-point",
    file: "src/layers/restorePoints/pointDirectory.ts",
    find: "  if (content.fileId !== manifestId)",
    replace: "  if (content.fileId < manifestId)",
    test: { file: points, name: "restore points > that were opened for writing are none any more" },
    invariant: "19: a restore point is what its note says"
  },
  {
    name: "verify-without-pointers",
    file: "src/domain/table/verifyTable.ts",
    find: "    if (pointer !== undefined && pointers !== undefined) {",
    replace: "    if (pointer !== undefined && pointers !== undefined && fences.offset(leaf) < 0) {",
    test: { file: against, name: "a pointer > to another key's record is found, in the leaf that holds it" },
    invariant: "17: a pointer leads to the value of its key"
  },
  {
    name: "verify-pointers-by-offset-alone",
    file: "src/domain/values/PointerCheck.ts",
    find: "          compareBytes(record.key, key) === 0 &&\n          (sequence === 0 || record.sequence === sequence) &&\n",
    replace: "",
    test: { file: against, name: "a pointer > to another sequence is found, in the leaf that holds it" },
    invariant: "17: a pointer leads to the value of its key"
  },
  {
    name: "verify-without-the-manifest",
    file: "src/domain/table/verifyTable.ts",
    find: "(expected === undefined ? undefined : problemWithMeta(expected, table, footer.root))",
    replace: "undefined",
    test: { file: "test/layers/verifyInconsistent.test.ts", name: "verify > finds a manifest that says: fewer entries than the table has" },
    invariant: "19: the manifest and its tables agree"
  },
  {
    name: "verify-without-properties",
    file: "src/domain/table/verifyTable.ts",
    find: "    tally.problemWith(properties, table.leafCount) ??\n",
    replace: "",
    test: { file: against, name: "a table whose properties say something else than its content > is found by its keyBytes" },
    invariant: "18: what a table says about itself is true"
  },
  {
    name: "verify-without-levels",
    file: "src/domain/manifest/checkStructure.ts",
    find: "if (comparePlaces(before.largest, table.smallest) >= 0) return",
    replace: "if (comparePlaces(before.largest, table.smallest) > 9) return",
    test: { file: "test/domain/manifest/checkStructure.test.ts", name: "the structure of a state > is refused: tables 3 and 4 of level 1 overlap" },
    invariant: "9: tables of a level do not overlap"
  },
  {
    name: "scrub-at-full-speed",
    file: "src/layers/maintenance/pacing.ts",
    find: "      return waitMs === 0 ? Effect.yieldNow : Effect.sleep(waitMs)",
    replace: "      return waitMs === -1 ? Effect.sleep(waitMs) : Effect.yieldNow",
    test: { file: scrubber, name: "scrub > goes no faster than it may" },
    invariant: "scrubbing leaves the disk to others"
  },
  {
    name: "miss-what-was-compacted-away",
    file: "src/layers/Scrubber.ts",
    find: "if (Result.isFailure(checked) && isNamed(file)) {",
    replace: "if (Result.isFailure(checked)) {",
    test: { file: scrubber, name: "scrub > misses nothing that goes while it reads the table that pointed there" },
    invariant: "24: what nobody needs any more is not missed"
  },
  {
    name: "scrub-without-telling",
    file: "src/layers/Scrubber.ts",
    find: "    health.degrade(condition, `scrubbing found damage",
    replace: "    health.conditionOf(`scrubbing found damage",
    test: { file: scrubber, name: "scrub > finds damage" },
    invariant: "damage that is found is told"
  }
]
