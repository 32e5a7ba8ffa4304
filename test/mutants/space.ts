import type { Mutant } from "../../scripts/mutants.ts"

const space = "test/fault/space.test.ts"
const keeper = "test/layers/spaceKeeper.test.ts"

/** A full disk: what is taken back, what is refused, and what is kept ready (invariants 1, 3, 4). */
export const spaceMutants: ReadonlyArray<Mutant> = [
  {
    name: "cut-without-sync",
    file: "src/layers/Wal.ts",
    find: "    Effect.andThen(datasync),\n    Effect.andThen(Effect.sync(() => durableWaiters",
    replace: "    Effect.andThen(Effect.sync(() => durableWaiters",
    test: { file: space, name: "a group that is held > is neither written nor unknown" },
    invariant: "4: what was refused appears after a power cut: the tail was cut, and the cut never synced"
  },
  {
    name: "write-again-without-cutting",
    file: "src/layers/Wal.ts",
    find: "const cutBack = Effect.suspend(() => Effect.orDie(attemptIo(() => segment.handle.truncate(endOffset(segment))))).pipe(",
    replace: "const cutBack = Effect.void.pipe(",
    test: { file: space, name: "full disk > failures that are reported" },
    invariant: "1: a group stands in the log twice, and what follows the second one hangs on nothing"
  },
  {
    name: "acknowledge-held-group",
    file: "src/layers/Wal.ts",
    find: "if (full !== undefined) yield* writeWithRoom(",
    replace: `if (full !== undefined) group.replies.succeed(group.firstSequence, "sync")
          if (full !== undefined) yield* writeWithRoom(`,
    test: { file: space, name: "a group that is held" },
    invariant: "1: a commit is acknowledged before there was room for it"
  },
  {
    name: "hold-groups-of-a-log-that-ended",
    file: "src/layers/Wal.ts",
    find: "    if (failure !== undefined) throw failure\n",
    replace: "",
    test: { file: "test/regression/hungAndHeld.test.ts", name: "is answered when the log ends" },
    invariant: "4: a group that is held waits for room although the log has ended"
  },
  {
    name: "poison-when-full",
    file: "src/layers/Wal.ts",
    find: "      if (isDiskFull(cause)) return cause\n      throw cause",
    replace: "      throw cause",
    test: { file: space, name: "no room at the n-th write > of log" },
    invariant: "4: a full disk ends writing until the database is opened again"
  },
  {
    name: "survive-failed-sync",
    file: "src/domain/disk/diskFull.ts",
    find: " && !syncOperations.has(cause.operation)",
    replace: "",
    test: { file: space, name: "a group that is held > is of unknown outcome" },
    invariant: "4: a sync that failed is tried again, because it failed for want of room"
  },
  {
    name: "append-behind-torn-edit",
    file: "src/layers/Manifest.ts",
    find: "if (torn) return rollOver(next)",
    replace: "if (torn) tail = { ...tail, lengthBytes: tail.lengthBytes + 4096 }",
    test: { file: space, name: "full disk > failures that are reported" },
    invariant: "3: an edit is appended behind a part of itself: what recovery takes for damage"
  },
  {
    name: "roll-over-without-edit",
    file: "src/layers/Manifest.ts",
    find: "if (torn) return rollOver(next)",
    replace: "if (torn) return rollOver(state)",
    test: { file: space, name: "full disk > failures that are reported" },
    invariant: "3: the edit that found no room is in no manifest"
  },
  {
    name: "take-writes-while-low",
    file: "src/layers/TransactionManager.ts",
    find: "if (full !== undefined && request.frees !== true) return Effect.fail(full)",
    replace: "",
    test: { file: keeper, name: "without room" },
    invariant: "4: what was kept ready for deletes, the end of the log and the manifest goes to ordinary writes"
  },
  {
    name: "refuse-deletes-while-low",
    file: "src/layers/TransactionManager.ts",
    find: "if (full !== undefined && request.frees !== true) return Effect.fail(full)",
    replace: "if (full !== undefined) return Effect.fail(full)",
    test: { file: keeper, name: "without room" },
    invariant: "4: what would make room is refused for want of it"
  },
  {
    name: "never-look-again",
    file: "src/layers/SpaceKeeper.ts",
    find: "        pauseMs = Math.min(pauseMsMax, pauseMs * 2)\n        sign()\n",
    replace: "        yield* Effect.never\n",
    test: { file: keeper, name: "without room" },
    invariant: "4: room that others make is never found: writes resume after reopening only"
  },
  {
    name: "keep-reserve",
    file: "src/layers/SpaceKeeper.ts",
    find: "const gained = stands && removeQuietly(path)",
    replace: "const gained = false",
    test: { file: keeper, name: "without room" },
    invariant: "4: the reserve is not given up when it is needed"
  },
  {
    name: "name-reserve-first",
    file: "src/layers/SpaceKeeper.ts",
    find: "          yield* disk.datasync(handle)\n",
    replace: "",
    test: { file: keeper, name: "the reserve > is made behind an open" },
    invariant: "4: a file of the right length under the reserve's name holds no room"
  }
]
