import type { Mutant } from "../../scripts/mutants.ts"

const changes = "test/layers/feed/changes.test.ts"
const cursors = "test/layers/feed/cursors.test.ts"
const locks = "test/layers/transactions/locks.test.ts"
const picker = "test/domain/compaction/picker.test.ts"
const reaper = "test/layers/expiryReaper.test.ts"
const retention = "test/layers/history/retention.test.ts"
const transactions = "test/contracts/database/transactions.test.ts"

/** Feeds, history, expiry, what transactions offer beyond isolation, and what is built on the database. */
export const featureMutants: ReadonlyArray<Mutant> = [
  {
    name: "show-what-is-not-visible",
    file: "src/layers/Wal.ts",
    find: "segment.headerBytes + (visiblePosition - segment.basePosition)",
    replace: "segment.headerBytes + (segment.position - segment.basePosition)",
    test: { file: changes, name: "the join from history into live > has every sequence once" },
    invariant: "6: a reader of changes sees a group that is written and not yet visible"
  },
  {
    name: "forget-retained-segments",
    file: "src/layers/recovery/recover.ts",
    find: "const retained = [...kept, ...cut.sealed]",
    replace: "const retained = [...cut.sealed]",
    test: { file: cursors, name: "durable cursors > resume where they were left" },
    invariant: "decision 16: an open forgets the log that cursors and readers still need"
  },
  {
    name: "ignore-reader-pins",
    file: "src/layers/wal/RetainedLog.ts",
    find: "if (pin.next < needed) needed = pin.next",
    replace: "if (pin.next < 0) needed = pin.next",
    test: { file: changes, name: "what readers hold > keeps the log" },
    invariant: "decision 24: a segment goes while a reader stands in it"
  },
  {
    name: "drop-unflushed-segments",
    file: "src/layers/wal/RetainedLog.ts",
    find: "retained[kept]!.lastSequence <= flushed && ",
    replace: "",
    test: { file: "test/fault/crash-sweep.test.ts", name: "crash sweep > rotation:" },
    invariant: "1: a segment goes while its transactions are in memtables only"
  },
  {
    name: "skip-sum-of-live-groups",
    file: "src/layers/feed/LogReader.ts",
    find: "return verifyGroup(crc32, segment.header.saltSum, segment.path, offset, this.window, at, header) ? header : undefined",
    replace: "return at >= 0 ? header : undefined",
    test: { file: changes, name: "what is not there to be read > damage .byte 41060" },
    invariant: "5: a damaged group is handed to a reader of changes"
  },
  {
    name: "watch-from-now",
    file: "src/layers/feed/makeWatch.ts",
    find: "positions.start(sequence + 1)",
    replace: "positions.start(positions.visible() + 1)",
    test: { file: "test/layers/feed/watch.test.ts", name: "watch > what is written while the present values" },
    invariant: "decision 1: what is committed between snapshot and feed is never told"
  },
  {
    name: "let-go-before-durable",
    file: "src/layers/feed/makeCursors.ts",
    find: "since <= durable ? next : before",
    replace: "next",
    test: { file: cursors, name: "durable cursors > let go of nothing" },
    invariant: "1: a crash takes a cursor back to log that was dropped"
  },
  {
    name: "forget-names-of-the-past",
    file: "src/layers/Retention.ts",
    find: "if (lowest < visible) floors",
    replace: "if (lowest < 0) floors",
    test: {
      file: retention,
      name: "retention by time > all of it is there within the time, by sequence and by date; beyond it is gone once a job ran .seed 1"
    },
    invariant: "decision 12: keyspaces and times of the past go before its values"
  },
  {
    name: "claim-history-that-is-gone",
    file: "src/layers/Retention.ts",
    find: "const sequence = floors.get(keyspace) ?? visible",
    replace: "const sequence = floors.get(keyspace) ?? Math.min(visible, 1)",
    test: { file: retention, name: "without retention > the present can be read" },
    invariant: "decision 12: versions are dropped, and the manifest says that history is whole"
  },
  {
    name: "date-of-the-commit-before",
    file: "src/layers/Timeline.ts",
    find: "marks.add(second, sequence,",
    replace: "marks.add(second, sequence - 1,",
    test: { file: "test/layers/history/timeline.test.ts" },
    invariant: "decision 12: a date names another moment than its own"
  },
  {
    name: "expire-by-the-present",
    file: "src/layers/history/makeAt.ts",
    find: "parts.past(id, lease, resolved.timeMs)",
    replace: "parts.past(id, lease, parts.clock.nowMs())",
    test: { file: "test/layers/history/keyspaces.test.ts", name: "a value that expires > is seen in the past" },
    invariant: "decision 11: the past forgets what expired since"
  },
  {
    name: "open-unfinished-checkpoint",
    file: "src/domain/manifest/fileNames.ts",
    find: '"CURRENT.checkpoint"',
    replace: '"CURRENT.tmp"',
    test: { file: "test/fault/checkpoint-sweep.test.ts", name: "crash sweep of checkpoint > an empty database" },
    invariant: "decision 16: a checkpoint that was cut short passes for a new database"
  },
  {
    name: "believe-a-file-is-lost",
    file: "src/layers/readOnly/openReadOnly.ts",
    find: 'cause.code === "ENOENT") continue',
    replace: 'cause.code === "NEVER") continue',
    test: { file: "test/fault/read-only-sweep.test.ts", name: "crash sweep of read-only opens > beside a writer" },
    invariant: "decision 29: a file that the writer has replaced is taken for missing"
  },
  {
    name: "tell-the-first-failure",
    file: "src/layers/jobs/jobRetries.ts",
    find: "  failureThreshold: retry.attempts,",
    replace: "  failureThreshold: 1,",
    test: { file: "test/layers/jobFailures.test.ts", name: "failing jobs > flush tells" },
    invariant: "decision 26: a failure that passes stops who waits for room"
  },
  {
    name: "leave-what-is-covered",
    file: "src/domain/compaction/picker.ts",
    find: " ?? this.#covering()",
    replace: "",
    test: { file: picker, name: "pickCompaction > range tombstones among many puts" },
    invariant: "decision 20: what a range delete covers keeps its space"
  },
  {
    name: "crowd-beyond-the-stop",
    file: "src/domain/compaction/picker.ts",
    find: "Math.min(4 * levelZeroTables, this.#options.levelZeroTablesMax)",
    replace: "4 * levelZeroTables",
    test: { file: picker, name: "pickCompaction > level 0 > is shortened" },
    invariant: "decision 7: writers wait for a compaction that nobody starts"
  },
  {
    name: "forget-expiry-rows",
    file: "src/domain/batch/Batch.ts",
    find: "if (this.expiring) this.addExpiryRows()",
    replace: "",
    test: { file: reaper, name: "the reaper > commits a record" },
    invariant: "decision 11: nothing tells the reaper what expires"
  },
  {
    name: "wake-in-the-commit-turn",
    file: "src/layers/ExpiryReaper.ts",
    find: "turns.afterStep(() => woken.openUnsafe())",
    replace: "woken.openUnsafe()",
    test: { file: reaper, name: "the reaper > is woken by" },
    invariant: "decision 1: who waits runs in the middle of a commit turn"
  },
  {
    name: "expire-what-was-written-since",
    file: "src/layers/ExpiryReaper.ts",
    find: "if (transactions.newestOfKey(keyspace, hash, key, 0, key.length, seen) !== 0) left ??= reaping",
    replace: "if (seen < 0) left ??= reaping",
    test: { file: reaper, name: "the reaper > never expires" },
    invariant: "2: a value that was written while the reaper looked is expired with the old one"
  },
  {
    name: "elide-versions-that-expire",
    file: "src/domain/compaction/stripes.ts",
    find: "if (isPut && (expiresAt !== 0 || sequence === 0)) return Verdict.keep",
    replace: "if (isPut && sequence === 0) return Verdict.keep",
    test: { file: "test/domain/compaction/stripes.test.ts", name: "VersionRule > elides sequences only" },
    invariant: "decision 18: a value loses the sequence that its expiry is committed with"
  },
  {
    name: "use-overtaken-value",
    file: "src/layers/transactions/CommitMoment.ts",
    find: "found.sequence) === 0 ? found : undefined",
    replace: "found.sequence) >= 0 ? found : undefined",
    test: { file: "test/layers/transactions/CommitMoment.test.ts", name: "CommitMoment > a value that was read ahead" },
    invariant: "decision 6: an atomic operation is resolved over a value that was overtaken"
  },
  {
    name: "ignore-written-conflict-ranges",
    file: "src/domain/memtable/Memtable.ts",
    find: "if (this.#highestConflict > above) newest",
    replace: "if (this.#highestConflict < 0) newest",
    test: { file: transactions, name: "isolation > conflict ranges" },
    invariant: "8: a range that was claimed as written conflicts with nobody"
  },
  {
    name: "lock-an-old-snapshot",
    file: "src/layers/transactions/lockKeys.ts",
    find: "if (tx.isUntouched) tx.refresh()",
    replace: "",
    test: { file: locks, name: "tx.lock > excludes others" },
    invariant: "8: what is read under a lock is older than the lock, and conflicts"
  },
  {
    name: "keep-writes-of-failed-nested",
    file: "src/layers/transactions/makeTransactions.ts",
    find: 'if (Exit.isFailure(exit) && tx.state === "open") tx',
    replace: "if (exit === undefined) tx",
    test: { file: transactions, name: "savepoints and nesting > a nested transaction joins" },
    invariant: "2: half of what failed is committed with the outer transaction"
  },
  {
    name: "fold-again-what-was-folded",
    file: "src/runtime/projections/fold.ts",
    find: "if (change.sequence >= stored) yield* apply",
    replace: "yield* apply",
    test: { file: "test/runtime/projections.test.ts", name: "run > passes over what another one has folded" },
    invariant: "2: a change counts twice in a projection"
  },
  {
    name: "append-at-any-revision",
    file: "src/runtime/streams/EventStreams.ts",
    find: "return actual === expected",
    replace: "return true",
    test: { file: "test/runtime/eventStreams.test.ts", name: "expected revisions > hold or fail" },
    invariant: "8: an append overtakes the revision that it expects"
  },
  {
    name: "image-under-range-delete",
    file: "src/domain/batch/Batch.ts",
    find: "const isCovered = rangeCount > 0 && this.newestRange(keyspace, keyBytes, start, end) >= 0",
    replace: "const isCovered = false",
    test: { file: "test/layers/feed/beforeImages.test.ts" },
    invariant: "13: a before-image shows what the same transaction's range delete took away"
  },
  {
    name: "image-forgets-what-expired",
    file: "src/domain/batch/Batch.ts",
    find: "head.value(keyspace, hashes[i]!, keyBytes, start, end, true)",
    replace: "head.value(keyspace, hashes[i]!, keyBytes, start, end, kinds[i] === Kind.expire)",
    test: { file: "test/layers/feed/beforeImages.test.ts" },
    invariant: "13: a value that had expired goes from the feed without a trace"
  },
  {
    name: "images-without-bound",
    file: "src/domain/batch/Batch.ts",
    find: "if (image === undefined || isExpire) continue",
    replace: "continue",
    test: { file: "test/layers/beforeImages.test.ts" },
    invariant: "13: what a batch replaces counts for nothing, and takes all memory"
  },
  {
    name: "image-of-now-not-of-then",
    file: "src/layers/transactions/readAhead.ts",
    find: "version: tables.current(), sequence, timeMs: -Infinity }",
    replace: "version: tables.current(), sequence, timeMs: head.commitTimeMs }",
    test: { file: "test/layers/feed/beforeImages.test.ts" },
    invariant: "13: a value that is read ahead is judged by the time of reading"
  },
  {
    name: "no-before-images",
    file: "src/layers/TransactionManager.ts",
    find: "if (catalog.anyBeforeImages()) batch.findBeforeImages(head, catalog.beforeImages)",
    replace: "",
    test: { file: "test/layers/beforeImages.test.ts" },
    invariant: "13: before-images are not written"
  },
  {
    name: "default-images-for-all",
    file: "src/layers/Catalog.ts",
    find: "(settings.get(id)?.beforeImages ?? defaultBeforeImages)",
    replace: "(settings.get(id)?.beforeImages || defaultBeforeImages)",
    test: { file: "test/layers/beforeImages.test.ts" },
    invariant: "13: a keyspace that wants none has before-images"
  },
  {
    name: "range-delete-with-image",
    file: "src/domain/wal/LoggedTransaction.ts",
    find: "if (hasImage) throw unknownOperation(group, kindAndFlags)",
    replace: "",
    test: { file: "test/domain/wal/GroupBuilder.test.ts" },
    invariant: "13: an unknown form of the log is believed"
  },
  {
    name: "reader-looks-once",
    file: "src/layers/readOnly/FollowedLog.ts",
    find: "if (stat !== undefined && manifest === this.manifest) return",
    replace: 'if (this.manifest !== "") return',
    test: { file: "test/layers/readOnly/feed.test.ts" },
    invariant: "29: a reader does not see that the writer has begun another segment"
  },
  {
    name: "reader-believes-first-damage",
    file: "src/layers/readOnly/FollowedLog.ts",
    find: "if (seen !== believed) {",
    replace: "if (false) {",
    test: { file: "test/layers/readOnly/followedLog.test.ts" },
    invariant: "29: what the writer is just writing counts as damage"
  },
  {
    name: "reader-joins-any-segment",
    file: "src/layers/readOnly/FollowedLog.ts",
    find: "last.lastSum !== segment.firstPreviousSum",
    replace: "false",
    test: { file: "test/layers/readOnly/followedLog.test.ts" },
    invariant: "12: a group is missing between two segments, and nobody is told"
  },
  {
    name: "reader-lets-go-of-needed-log",
    file: "src/layers/readOnly/FollowedLog.ts",
    find: "for (const fileId of wanted) this.shared(fileId).isHeld = true",
    replace: "",
    test: { file: "test/layers/readOnly/feedRules.test.ts" },
    invariant: "16: a reader that is slow loses what it was promised"
  },
  {
    name: "reader-shows-unchecked-groups",
    file: "src/layers/readOnly/growingSegment.ts",
    find: "return verifyGroup(crc32, header.saltSum, path, offset, window.bytes, at, found) ? found : undefined",
    replace: "return found",
    test: { file: "test/layers/readOnly/followedLog.test.ts" },
    invariant: "19: a group is shown whose sum nobody looked at"
  },
  {
    name: "history-of-a-reader-runs-ahead",
    file: "src/layers/readOnly/makeReaderFeed.ts",
    find: "until: live ? Infinity : seen }",
    replace: "until: live ? Infinity : log.visibleSequence() }",
    test: { file: "test/layers/readOnly/feedRules.test.ts" },
    invariant: "6: a reader's feed is ahead of its reads"
  },
  {
    name: "range-deletes-are-no-versions",
    file: "src/domain/compaction/stripes.ts",
    find: "if (covers[this.#coverAt]! > sequence) this.#count++",
    replace: "this.#count++",
    test: { file: "test/domain/compaction/versions.test.ts" },
    invariant: "12: retention by count counts what is not there"
  },
  {
    name: "one-version-less",
    file: "src/domain/compaction/stripes.ts",
    find: "this.#rank(sequence) <= stripes.versions)",
    replace: "this.#rank(sequence) < stripes.versions)",
    test: { file: "test/layers/history/byCountRules.test.ts" },
    invariant: "12: retention by count keeps one version less"
  },
  {
    name: "holes-in-history-by-count",
    file: "src/domain/history/keptVersions.ts",
    find: "if (this.below[i]! > limit.count) isKept = false",
    replace: "",
    test: { file: "test/layers/history/byCount.test.ts" },
    invariant: "12: a history by count has a hole that nobody is told of"
  }
]
