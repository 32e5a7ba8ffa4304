import type { Mutant } from "../../scripts/mutants.ts"

const simulation = "test/simulation/simulation.test.ts"
const scripts = "test/regression/simulated.test.ts"

/** What takes many fibers, crashes and faults at once to be seen. */
export const simulationMutants: ReadonlyArray<Mutant> = [
  {
    name: "trust-name-of-found-directory",
    file: "src/layers/Recovery.ts",
    find: "else if (disk.stat(`${path}/${currentFileName}`) === undefined) syncNameOf(disk, path)",
    replace: "",
    test: { file: scripts, name: "directory-name" },
    invariant: "1: an open that failed or was killed has made the directory, and nobody makes its name durable"
  },
  {
    name: "drop-before-its-commit",
    file: "src/layers/Database.ts",
    find: "at > lease.sequence ? catalog.nameOf(id) : undefined",
    replace: "at === -1 ? catalog.nameOf(id) : undefined",
    test: { file: scripts, name: "snapshot-beside-a-drop" },
    invariant: "2: a snapshot sees a drop that is only being committed"
  },
  {
    name: "checkpoint-between-drop-and-flush",
    file: "src/layers/maintenance/checkpoint.ts",
    find: "while (droppedAfter(pinned.state.flushedThrough.sequence))",
    replace: "while (droppedAfter(Infinity))",
    test: { file: scripts, name: "checkpoint-beside-a-drop" },
    invariant: "2: a checkpoint holds a keyspace whose tables are gone"
  },
  {
    name: "skip-sync-simulated",
    file: "src/layers/Wal.ts",
    find: "return Effect.tap(disk.datasync(segment.handle), () => Effect.sync(() => synced(position, sequence)))",
    replace: "return Effect.sync(() => synced(position, sequence))",
    test: { file: simulation, name: "a short simulation" },
    invariant: "1: the simulation finds by itself that nothing is synced"
  }
]
