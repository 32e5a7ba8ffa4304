import type { Mutant } from "../../scripts/mutants.ts"

/** Limits, timeouts, the memory budget and the watchdog. */
export const pressureMutants: ReadonlyArray<Mutant> = [
  {
    name: "wait-without-end",
    file: "src/layers/transactions/room.ts",
    find: "waitTimeoutMs === Infinity",
    replace: "waitTimeoutMs > 0",
    test: { file: "test/layers/waits.test.ts", name: "for the flusher, and is told who hangs" },
    invariant: "pressure: every wait of a writer has a typed end"
  },
  {
    name: "forget-limit-of-pending-writes",
    file: "src/layers/transactions/room.ts",
    find: "if (stalls.waiting >= waitingMax)",
    replace: "if (stalls.waiting >= 50 * waitingMax)",
    test: { file: "test/layers/waits.test.ts", name: "is bounded: one more is refused at once" },
    invariant: "pressure: no more writes wait than maxPendingWrites"
  },
  {
    name: "wait-for-work-that-does-not-move",
    file: "src/layers/watch/untilStalled.ts",
    find: "if (progress !== seen) return",
    replace: "if (progress !== -1) return",
    test: { file: "test/layers/waits.test.ts", name: "gets on > flush$" },
    invariant: "pressure: who asked for work is told that it does not move"
  },
  {
    name: "give-up-work-that-moves",
    file: "src/layers/watch/untilStalled.ts",
    find: "if (progress !== seen) return",
    replace: "if (progress === -1) return",
    test: { file: "test/layers/waits.test.ts", name: "however long all that is before it takes" },
    invariant: "pressure: work that moves may take as long as it likes"
  },
  {
    name: "close-with-a-hung-sync",
    file: "src/layers/Wal.ts",
    find: "gaveUp.openUnsafe()",
    replace: "gaveUp.closeUnsafe()",
    test: { file: "test/layers/hangs.test.ts", name: "does not keep the database from closing" },
    invariant: "pressure: a sync that does not come back does not keep the database from closing"
  },
  {
    name: "wait-for-a-hung-sync",
    file: "src/layers/Watchdog.ts",
    find: "actor.onOverdue?.(actor.describe(ms))",
    replace: "actor.describe(ms)",
    test: { file: "test/layers/hangs.test.ts", name: "is waited for no longer than waitTimeout" },
    invariant: "pressure: who waits for a sync is told that its outcome is unknown"
  },
  {
    name: "blame-who-waits",
    file: "src/layers/Watchdog.ts",
    find: "direct.length > 0 ? direct : hanging",
    replace: "hanging",
    test: { file: "test/layers/Watchdog.test.ts", name: "does not blame who waits" },
    invariant: "watchdog: the actor that hangs is named, not those that wait for it"
  },
  {
    name: "blame-actors-for-the-event-loop",
    file: "src/layers/Watchdog.ts",
    find: "actor.sinceMs += lateMs",
    replace: "actor.sinceMs += 0 * lateMs",
    test: { file: "test/layers/Watchdog.test.ts", name: "blames no actor for the time" },
    invariant: "watchdog: time in which nothing could run is nobody's"
  },
  {
    name: "overlook-progress",
    file: "src/layers/Watchdog.ts",
    find: "&& progress === this.seenProgress",
    replace: "&& progress >= 0",
    test: { file: "test/layers/Watchdog.test.ts", name: "takes progress for life" },
    invariant: "watchdog: a job that moves does not hang"
  },
  {
    name: "watch-for-ever",
    file: "src/layers/Watchdog.ts",
    find: "} while (someActive())",
    replace: "} while (actors.length > 0)",
    test: { file: "test/layers/Watchdog.test.ts", name: "has a timer only while a step lasts" },
    invariant: "watchdog: an idle database has no timer"
  },
  {
    name: "keep-caches-under-pressure",
    file: "src/layers/MemoryBudget.ts",
    find: "parts.resizeCaches((cacheBytes = plan.cacheBytes))",
    replace: "cacheBytes = plan.cacheBytes",
    test: { file: "test/layers/memoryBudget.test.ts", name: "holds under a mixed load" },
    invariant: "pressure: the sum of all parts stays within memoryBytes"
  },
  {
    name: "slow-writers-before-caches-are-gone",
    file: "src/layers/MemoryBudget.ts",
    find: 'pressure === "writers" ? "slow"',
    replace: 'pressure !== "none" ? "slow"',
    test: { file: "test/layers/memoryBudget.test.ts", name: "is kept in this order" },
    invariant: "pressure: caches shrink before writers are slowed"
  },
  {
    name: "never-stop-for-memory",
    file: "src/layers/MemoryBudget.ts",
    find: "if (firm > firmBytesMax && isAwaited) refused",
    replace: "if (firm > 4 * firmBytesMax) refused",
    test: { file: "test/layers/memoryBudget.test.ts", name: "is kept in this order" },
    invariant: "pressure: a budget that is used up stops writers"
  },
  {
    name: "wait-for-memory-nobody-frees",
    file: "src/layers/MemoryBudget.ts",
    find: "const isAwaited = parts.awaited()",
    replace: "const isAwaited = true",
    test: { file: "test/regression/budgetThatFreesNothing.test.ts", name: "memoryBytes" },
    invariant: "pressure: writers wait for memory although nothing is under way that would give any back"
  },
  {
    name: "close-with-a-hung-last-sync",
    file: "src/layers/Wal.ts",
    find: "yield* Effect.raceFirst(Fiber.await(last), Effect.as(gaveUp.await, undefined))",
    replace: "yield* Fiber.await(last)",
    test: { file: "test/regression/hungAndHeld.test.ts", name: "where it is the last one" },
    invariant: "watchdog: the sync of the close itself does not come back, and the close with it"
  },
  {
    name: "close-with-a-hung-manifest",
    file: "src/layers/Manifest.ts",
    find: "if (isOverdue && health.closed() !== undefined) giveUp?.()",
    replace: "",
    test: { file: "test/regression/hungAndHeld.test.ts", name: "where it is the manifest's" },
    invariant: "watchdog: the sync of the manifest does not come back, and no close with it"
  },
  {
    name: "edit-after-the-close",
    file: "src/layers/Manifest.ts",
    find: 'failure ??= new DatabasePoisoned({ detail: "the database was closed before this edit was durable" })',
    replace: "closed = false",
    test: { file: "test/regression/hungAndHeld.test.ts", name: "does nothing to the directory" },
    invariant: "3: an edit that comes after the close changes a directory that somebody else has opened"
  },
  {
    name: "keep-memory-of-evicted-blocks",
    file: "src/domain/cache/BlockCache.ts",
    find: "if (shrinks) this.giveBack()",
    replace: "if (shrinks && this.resident < 0) this.giveBack()",
    test: { file: "test/domain/cache/BlockCache.test.ts", name: "gives the memory of what it lets go back" },
    invariant: "pressure: a cache that shrinks gives its memory back"
  },
  {
    name: "lose-moved-blocks",
    file: "src/domain/cache/BlockCache.ts",
    find: "this.frame(to).set(this.frame(frame))",
    replace: "this.frame(to)",
    test: { file: "test/domain/cache/BlockCache.test.ts", name: "gives the memory of what it lets go back" },
    invariant: "5: a block that is moved keeps its bytes"
  },
  {
    name: "count-images-by-their-names",
    file: "src/layers/disk/ChunkedBytes.ts",
    find: 'if (digest !== "") text += `,${index}:${digest}`',
    replace: 'if (digest !== "") text += `,${index}`',
    test: { file: "test/layers/disk/ChunkedBytes.test.ts" },
    invariant: "figures: crash states are told apart by all bytes of the image"
  }
]
