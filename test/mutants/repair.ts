import type { Mutant } from "../../scripts/mutants.ts"

const cases = "test/fault/repairCases.test.ts"
const survey = "test/domain/repair/surveyTable.test.ts"
const choices = "test/domain/repair/choices.test.ts"
const crash = "test/fault/repairCrash.test.ts"

/** Salvage and repair: what is lost is told, what is told is all, and nothing wrong is shown (invariant 5). */
export const repairMutants: ReadonlyArray<Mutant> = [
  {
    name: "salvage-forgets-tombstones",
    file: "src/domain/repair/rewriteTable.ts",
    find: "builder.addTombstones(survey.tombstones.fragments())",
    replace: "builder.addTombstones([])",
    test: { file: cases, name: "repair, case by case > a damaged block:" },
    invariant: "5: a repair resurrects what a range delete had removed"
  },
  {
    name: "salvage-keeps-a-loss-to-itself",
    file: "src/layers/repair/rebuild.ts",
    find: "for (const gap of leaves.gaps) {",
    replace: "for (const gap of leaves.gaps.slice(1)) {",
    test: { file: "test/fault/repair.test.ts" },
    invariant: "5: what a salvage has left out is in no report"
  },
  {
    name: "salvage-claims-the-log-has-it",
    file: "src/domain/repair/Loss.ts",
    find: "if (from <= 1 || first >= from) return undefined",
    replace: "if (from > 0) return undefined",
    test: { file: "test/domain/repair/choices.test.ts" },
    invariant: "5: what the log does not give back is in no report"
  },
  {
    name: "salvage-answers-in-doubt",
    file: "src/layers/repair/SalvagedReads.ts",
    find: "if (loss !== undefined)",
    replace: "if (loss !== undefined && loss.bytes < 0)",
    test: { file: cases, name: "repair, case by case > a damaged block:" },
    invariant: "5: a salvage answers with a version that a lost one had replaced"
  },
  {
    name: "resurrect-replaced-tables",
    file: "src/domain/repair/chooseTables.ts",
    find: "for (const id of replaced) dead.add(id)",
    replace: "",
    test: { file: cases, name: "repair, case by case > what a merge had dropped" },
    invariant: "5: a repair takes tables that a merge had replaced"
  },
  {
    name: "believe-uncommitted-merges",
    file: "src/domain/repair/chooseTables.ts",
    find: "if (!isCommitted) continue",
    replace: "",
    test: { file: choices },
    invariant: "5: a repair takes a part of a merge for all of it"
  },
  {
    name: "apply-log-behind-a-hole",
    file: "src/domain/repair/logRuns.ts",
    find: "(follows || firstSequence === run.last + 1)",
    replace: "(follows || firstSequence > run.last)",
    test: { file: cases, name: "repair, case by case > a hole in the log:" },
    invariant: "5: a salvage shows transactions whose predecessors are missing"
  },
  {
    name: "leave-versions-untold",
    file: "src/domain/repair/surveyTable.ts",
    find: "close(fence.sequence >= 0 ? successor(place) : place, fence.sequence >= 0)",
    replace: "close(place, false)",
    test: { file: survey },
    invariant: "5: a key whose newer versions were lost is in no reported range"
  },
  {
    name: "ignore-the-retained-log",
    file: "src/layers/repair/rebuild.ts",
    find: "const rebuiltFrom = found.length > 0 &&",
    replace: "const rebuiltFrom = found.length < 0 &&",
    test: { file: cases, name: "repair, case by case > a lost table is rebuilt" },
    invariant: "5: a repair loses what the log still has"
  },
  {
    name: "forget-lost-keyspaces",
    file: "src/layers/repair/restoreCatalog.ts",
    find: "if (id < firstNamedKeyspace || catalog.exists(id) || dropped.has(id)) continue",
    replace: "if (id > 0) continue",
    test: { file: cases, name: "repair, case by case > keyspaces whose names" },
    invariant: "5: after a repair compaction clears away a keyspace that had only lost its name"
  },
  {
    name: "repair-keeps-the-lineage",
    file: "src/layers/repair/rebuild.ts",
    find: "    ...base,\n    lineageId: tools.randomBytes(16),",
    replace: "    ...base,",
    test: { file: cases, name: "repair, case by case > a repair begins a new lineage" },
    invariant: "2: a cursor goes on over what a repair has lost"
  },
  {
    name: "repair-before-the-backup",
    file: "src/layers/repair/repairDirectory.ts",
    find: "for (const name of before) linkOrCopy(disk, `${path}/${name}`, `${backup}/${name}`)\n      disk.syncDirectory(backup)\n",
    replace: "for (const name of before.slice(1)) linkOrCopy(disk, `${path}/${name}`, `${backup}/${name}`)\n",
    test: { file: crash },
    invariant: "5: a repair changes what it has no copy of"
  },
  {
    name: "rename-before-sync-in-repair",
    file: "src/layers/repair/repairDirectory.ts",
    find: "      disk.syncDirectory(path)\n      // 4. The one step that counts.\n",
    replace: "",
    test: { file: crash },
    invariant: "22: a repair names files that a crash may take away"
  }
]
