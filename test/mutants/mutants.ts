import type { Mutant } from "../../scripts/mutants.ts"

const sweep = "test/fault/crash-sweep.test.ts"
const audit = "test/fault/trace-audit.test.ts"
const failing = "test/fault/failing-disk.test.ts"
const damage = "test/fault/damage.test.ts"
const model = "test/model/model.test.ts"
const interruption = "test/isolation/interruption.test.ts"
const hermitage = "test/isolation/hermitage.test.ts"

/**
 * Known ways to break the engine. Each replaces one exact piece of a source file (it must occur exactly once, so a mutant that the code has outgrown fails
 * loudly), and names the test that must then go red. The invariant numbers are those of ARCHITECTURE.md. `npm run mutants` runs them all,
 * `npm run mutants -- sync` those whose name contains "sync".
 */
export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "skip-sync",
    file: "src/layers/Wal.ts",
    find: "return Effect.tap(disk.datasync(segment.handle), () => Effect.sync(() => synced(position, sequence)))",
    replace: "return Effect.sync(() => synced(position, sequence))",
    test: { file: sweep, name: "crash sweep > log:" },
    invariant: "1: a commit is acknowledged as synced and never was"
  },
  {
    name: "acknowledge-early",
    file: "src/layers/Wal.ts",
    find: "if (sync) yield* datasync",
    replace: `if (sync) {
          publish(group, "sync")
          yield* datasync
          return
        }`,
    test: { file: sweep, name: "crash sweep > log:" },
    invariant: "1: the answer comes before the sync has ended"
  },
  {
    name: "rotate-unsynced",
    file: "src/layers/Wal.ts",
    find: "if (unsyncedGroups > 0 || segment.position > durablePosition) yield* datasync",
    replace: "yield* Effect.void",
    test: { file: sweep, name: "crash sweep > rotation:" },
    invariant: "1: a segment begins before the one before it is durable: a hole"
  },
  {
    name: "skip-directory-sync-segment",
    file: "src/layers/wal/prepareSegment.ts",
    find: "      yield* disk.syncDirectory(directory)\n",
    replace: "",
    test: { file: sweep, name: "crash sweep > rotation:" },
    invariant: "3: the manifest names a segment whose name is not durable"
  },
  {
    name: "skip-sync-segment-header",
    file: "src/layers/wal/prepareSegment.ts",
    find: "      yield* disk.datasync(handle)\n",
    replace: "",
    test: { file: sweep, name: "crash sweep > rotation:" },
    invariant: "3: the manifest names a segment whose header is not durable"
  },
  {
    name: "skip-directory-sync-open",
    file: "src/layers/recovery/recover.ts",
    find: "    disk.syncDirectory(directory)\n    // A writer that the lock",
    replace: "    // A writer that the lock",
    test: { file: sweep, name: "crash sweep > log:" },
    invariant: "3: CURRENT names a manifest whose name is not durable"
  },
  {
    name: "skip-directory-sync-rename",
    file: "src/layers/recovery/recover.ts",
    find: "    disk.syncDirectory(directory)\n    const currentInode",
    replace: "    const currentInode",
    test: { file: sweep, name: "crash sweep > log:" },
    invariant: "1: commits go into an epoch whose CURRENT is not durable"
  },
  {
    name: "skip-sync-rewritten-groups",
    file: "src/layers/recovery/recover.ts",
    find: "    rewriteGroups(cut.beyond, segment, positions)\n    handle.datasync()\n",
    replace: "    rewriteGroups(cut.beyond, segment, positions)\n",
    test: { file: sweep, name: "crash sweep > log:" },
    invariant: "1: what an open has shown is lost by the next crash"
  },
  {
    name: "seal-at-end-instead-of-floor",
    file: "src/layers/recovery/recover.ts",
    find: "const proven = meta.sealed !== undefined ? scan.groups.length : scan.groups.endingThrough(log.floor)",
    replace: "const proven = scan.groups.length",
    test: { file: sweep, name: "crash sweep > second life:" },
    invariant: "1: what could be read is taken for durable"
  },
  {
    name: "reuse-sequences",
    file: "src/layers/recovery/recover.ts",
    find: "clean ? lastSequence + 1 : old.sequencesThrough + 1",
    replace: "lastSequence + 1",
    test: { file: sweep, name: "crash sweep > log:" },
    invariant: "1: a sequence that was given out comes back as another transaction"
  },
  {
    name: "forget-lost-range",
    file: "src/layers/recovery/recover.ts",
    find: "if (nextSequence > lastSequence + 1)",
    replace: "if (nextSequence < 0)",
    test: { file: sweep, name: "crash sweep > second life:" },
    invariant: "1: a gap in the sequences that nothing explains"
  },
  {
    name: "replay-skips-unflushed",
    file: "src/layers/recovery/recover.ts",
    find: "positions.push(group.firstSequence + group.count - 1, group.position + group.lengthBytes)",
    replace: "positions.push(group.firstSequence + group.count - 1, log.endPosition)",
    test: { file: sweep, name: "crash sweep > replay:" },
    invariant: "1: a flush of one memtable is taken for a flush of all"
  },
  {
    name: "skip-sync-manifest",
    file: "src/layers/Manifest.ts",
    find: "      yield* disk.datasync(handle)\n      if (!stillOurs())",
    replace: "      if (!stillOurs())",
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: files are replaced by an edit that is not durable"
  },
  {
    name: "skip-directory-sync-rollover",
    file: "src/layers/Manifest.ts",
    find: "    yield* disk.syncDirectory(directory)\n    if (!stillOurs())",
    replace: "    if (!stillOurs())",
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: CURRENT names a manifest whose name is not durable"
  },
  {
    name: "skip-sync-table",
    file: "src/layers/jobs/JobFiles.ts",
    find: "        handle.datasync()\n",
    replace: "",
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: a table is named before it is durable"
  },
  {
    name: "skip-directory-sync-table",
    file: "src/layers/jobs/JobFiles.ts",
    find: "if (this.created.length > 0) this.disk.syncDirectory(this.directory)",
    replace: "",
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: a table is named before its name is durable"
  },
  {
    name: "flush-before-durable",
    file: "src/layers/Flusher.ts",
    find: "      yield* wal.ensureDurable(sequence)\n",
    replace: "",
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: a table holds what the log does not durably hold"
  },
  {
    name: "unlink-segment-before-edit",
    file: "src/layers/Flusher.ts",
    find: "      let dropped: ReadonlyArray<number> = []\n",
    replace: `      let dropped: ReadonlyArray<number> = []
      for (const id of wal.log.droppable(sequence, clock.nowMs())) yield* Effect.ignore(disk.remove(\`\${directory}/\${fileName("log", id)}\`))
`,
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: a file is unlinked before the edit that drops it is durable"
  },
  {
    name: "apply-edit-before-durable",
    file: "src/layers/Manifest.ts",
    find: "const next = applyEdit(state, timed)",
    replace: `const next = applyEdit(state, timed)
      applied?.(next)`,
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: replaced tables are unlinked before the edit that drops them is durable"
  },
  {
    name: "audit-skip-sync",
    file: "src/layers/Wal.ts",
    find: "return Effect.tap(disk.datasync(segment.handle), () => Effect.sync(() => synced(position, sequence)))",
    replace: "return Effect.sync(() => synced(position, sequence))",
    test: { file: audit, name: "trace audit > answers on a simulated disk" },
    invariant: "1: seen at the file handle, an acknowledgement has no datasync"
  },
  {
    name: "audit-acknowledge-early",
    file: "src/layers/Wal.ts",
    find: "if (sync) yield* datasync",
    replace: `if (sync) {
          publish(group, "sync")
          yield* datasync
          return
        }`,
    test: { file: audit, name: "trace audit > answers on the real disk" },
    invariant: "1: seen at the file handle, the answer comes before the datasync ended"
  },
  {
    name: "audit-skip-directory-sync-table",
    file: "src/layers/jobs/JobFiles.ts",
    find: "if (this.created.length > 0) this.disk.syncDirectory(this.directory)",
    replace: "",
    test: { file: audit, name: "trace audit > names on the real disk" },
    invariant: "3: seen at the file handle, a table is named before its name is durable"
  },
  {
    name: "audit-unlink-early",
    file: "src/layers/Flusher.ts",
    find: "      let dropped: ReadonlyArray<number> = []\n",
    replace: `      let dropped: ReadonlyArray<number> = []
      for (const id of wal.log.droppable(sequence, clock.nowMs())) yield* Effect.ignore(disk.remove(\`\${directory}/\${fileName("log", id)}\`))
`,
    test: { file: audit, name: "trace audit > names on a simulated disk" },
    invariant: "3: seen at the file handle, a segment is unlinked before the edit that drops it is durable"
  },
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
    find: "if (Exit.isFailure(exit)) poison(group, Cause.squash(exit.cause))\n    }\n  })\n",
    replace: `if (Exit.isFailure(exit) && group !== undefined) for (const reply of group.replies) reply(Effect.fail(new CommitOutcomeUnknown({ detail: "" })))
    }
  })
`,
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
    name: "drop-tombstone-early",
    file: "src/domain/compaction/stripes.ts",
    find: "    if (!this.#facts.isAtBottom(this.#keyspace, this.#bytes, this.#start, this.#end)) return Verdict.keep\n",
    replace: "",
    test: { file: model, name: "model > the memory disk" },
    invariant: "1: a delete is forgotten above what it deletes, and an old value returns"
  },
  {
    name: "drop-range-tombstone-early",
    file: "src/domain/compaction/TombstoneCarry.ts",
    find: "if (kept[kept.length - 1]! <= stripes.lowest && isAtBottom(fragment.keyspace, fragment.start, fragment.end)) kept.pop()",
    replace: "if (kept[kept.length - 1]! <= stripes.lowest) kept.pop()",
    test: { file: model, name: "model > the memory disk" },
    invariant: "1: a range delete is forgotten above what it deletes"
  },
  {
    name: "wrong-stripe",
    file: "src/domain/compaction/stripes.ts",
    find: "while (i > 0 && ends[i - 1]! >= sequence) i--",
    replace: "while (i > 0 && ends[i - 1]! > sequence) i--",
    test: { file: model, name: "model > the memory disk" },
    invariant: "6: a version is kept for the wrong snapshot"
  },
  {
    name: "forget-snapshots",
    file: "src/layers/SnapshotLeases.ts",
    find: "for (const lease of this.leases) all.add(lease.sequence)\n    return [...all]",
    replace: "return [...all]",
    test: { file: model, name: "model > the memory disk" },
    invariant: "6: compaction drops what a snapshot sees"
  },
  {
    name: "lend-empty-memtable",
    file: "src/layers/recovery/Replay.ts",
    find: "if (!this.active.isEmpty) this.filled.push(this.active)",
    replace: "this.filled.push(this.active)",
    test: { file: "test/regression/scripts.test.ts" },
    invariant: "3: a flush of nothing takes the flushed sequence back"
  },
  {
    name: "leave-segments-of-crashed-opens",
    file: "src/layers/recovery/recover.ts",
    find: "for (const path of rewrittenBefore) disk.remove(path)",
    replace: "leftovers = [...leftovers, ...rewrittenBefore]",
    test: { file: sweep, name: "crash sweep > opens:" },
    invariant: "1: a healthy database is refused, because a crashed open left a segment of its epoch"
  },
  {
    name: "cut-tables-without-entries",
    file: "src/domain/compaction/OutputTables.ts",
    find: "if (bound !== undefined) this.#keyspace = bound.keyspace",
    replace: "",
    test: { file: "test/regression/scripts.test.ts" },
    invariant: "3: a flush of deleted keys asks for a table per key, and fails"
  },
  {
    name: "seen-by-half",
    file: "src/layers/TransactionManager.ts",
    find: "leases.open(wal.visibleSequence(), onEnd, brief)",
    replace: "leases.open(wal.nextSequence(), onEnd, brief)",
    test: { file: "test/model/atomicity.test.ts" },
    invariant: "6: a snapshot sees what is not visible yet, and changes"
  },
  {
    name: "forget-where-the-log-begins",
    file: "src/layers/recovery/scanLog.ts",
    find: "previous?.nextSequence ?? Math.min(first, flushed.sequence + 1)",
    replace: "previous?.nextSequence ?? first",
    test: { file: damage, name: "damage > gaps: a log" },
    invariant: "5: transactions between the tables and the log are passed over in silence"
  },
  {
    name: "view-of-cached-value",
    file: "src/layers/reading/makeReads.ts",
    find: "if (hit !== undefined) return slab.copy(hit, 0, hit.length)",
    replace: "if (hit !== undefined) return hit",
    test: { file: "test/layers/DatabaseContract.test.ts", name: "bytes returned belong to the caller" },
    invariant: "7: what the caller does to the bytes of a get changes the value cache"
  },
  {
    name: "view-of-memtable",
    file: "src/layers/reading/RangeReader.ts",
    find: "return slab.copy(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)",
    replace: "return cursor.valueBytes.subarray(cursor.valueStart, cursor.valueEnd)",
    test: { file: "test/isolation/ownership.test.ts" },
    invariant: "7: entries of a scan are views of memtables"
  },
  {
    name: "view-of-found-block",
    file: "src/layers/reading/makeReads.ts",
    find: ": slab.copy(point.bytes, point.start, point.end)",
    replace: ": point.bytes.subarray(point.start, point.end)",
    test: { file: "test/layers/DatabaseContract.test.ts", name: "bytes returned belong to the caller" },
    invariant: "7: a get returns a view of a cached block or a memtable"
  },
  {
    name: "leak-lease-of-interrupted-scan",
    file: "src/layers/reading/makeReads.ts",
    find: "Effect.addFinalizer(() => Effect.sync(lease.release)),",
    replace: 'Effect.addFinalizer((exit) => (exit._tag === "Success" ? Effect.sync(lease.release) : Effect.void)),',
    test: { file: interruption, name: "interruption at every step > scans and snapshots" },
    invariant: "9: an interrupted scan pins its snapshot for ever"
  },
  {
    name: "skip-validation",
    file: "src/layers/TransactionManager.ts",
    find: "request.validate?.(head.commitTimeMs)",
    replace: "undefined as { readonly _tag: string } | undefined",
    test: { file: hermitage, name: "hermitage, serializable > P4" },
    invariant: "8: nothing is validated"
  },
  {
    name: "skip-validation-history",
    file: "src/layers/TransactionManager.ts",
    find: "request.validate?.(head.commitTimeMs)",
    replace: "undefined as { readonly _tag: string } | undefined",
    test: { file: "test/isolation/concurrent.test.ts", name: "concurrent histories > serializable, in memory" },
    invariant: "8: nothing is validated, and the history tells"
  },
  {
    name: "validate-points-only",
    file: "src/layers/transactions/OpenTransaction.ts",
    find: "if (isEmptyRange(range)) continue",
    replace: "if (range.keyspace >= 0) continue",
    test: { file: hermitage, name: "hermitage, serializable > G2, phantoms" },
    invariant: "8: ranges that were read are not validated"
  },
  {
    name: "validate-points-only-history",
    file: "src/layers/transactions/OpenTransaction.ts",
    find: "if (isEmptyRange(range)) continue",
    replace: "if (range.keyspace >= 0) continue",
    test: { file: "test/isolation/concurrent.test.ts", name: "concurrent histories > serializable, on a simulated disk" },
    invariant: "8: ranges that were read are not validated, and the history tells"
  },
  {
    name: "forget-absences",
    file: "src/layers/transactions/TransactionReading.ts",
    find: `    if (state === PointState.missing) return undefined
`,
    replace: `    if (state === PointState.missing) {
      this.tx.reads?.points.pop()
      return undefined
    }
`,
    test: { file: hermitage, name: "hermitage, serializable > G2-item, write skew over absences" },
    invariant: "8: a key that was not there does not count as read"
  },
  {
    name: "read-range-ends-at-last-entry",
    file: "src/domain/transaction/ReadSet.ts",
    find: `    this.range.start = this.lower
    this.range.end = this.upper
`,
    replace: `    void this.lower
`,
    test: { file: hermitage, name: "hermitage, serializable > G2, phantoms into an empty range" },
    invariant: "8: a range without entries does not count as read"
  },
  {
    name: "skip-first-committer-wins",
    file: "src/layers/transactions/OpenTransaction.ts",
    find: `if (this.settings.isolation === "snapshot") {`,
    replace: "if (this.settings.durability === undefined) {",
    test: { file: hermitage, name: "hermitage, snapshot > P4" },
    invariant: "8: an update is lost at the snapshot level"
  },
  {
    name: "stale-snapshot",
    file: "src/layers/TransactionManager.ts",
    find: "openLease: (owner) => leases.openLease(wal.visibleSequence(), owner)",
    replace: "openLease: (owner) => leases.openLease(Math.max(0, wal.visibleSequence() - 1), owner)",
    test: { file: hermitage, name: "hermitage, snapshot > an acknowledged write" },
    invariant: "8: a transaction begins before what was acknowledged already"
  },
  {
    name: "stale-snapshot-history",
    file: "src/layers/TransactionManager.ts",
    find: "openLease: (owner) => leases.openLease(wal.visibleSequence(), owner)",
    replace: "openLease: (owner) => leases.openLease(Math.max(0, wal.visibleSequence() - 1), owner)",
    test: { file: "test/isolation/concurrent.test.ts", name: "concurrent histories > snapshot, in memory" },
    invariant: "8: a transaction begins before what was acknowledged already, and the history tells"
  },
  {
    name: "lose-a-write",
    file: "src/layers/transactions/OpenTransaction.ts",
    find: `      const { key, keyspace, kind, operation, value } = writes[i]!
`,
    replace: `      if (i === 2) continue
      const { key, keyspace, kind, operation, value } = writes[i]!
`,
    test: { file: "test/isolation/bank.test.ts", name: "bank > 10,000 open transfers at once, serializable: without" },
    invariant: "2: one of a transaction's writes is lost on the way into its batch"
  },
  {
    name: "lose-a-write-ring",
    file: "src/layers/transactions/OpenTransaction.ts",
    find: `      const { key, keyspace, kind, operation, value } = writes[i]!
`,
    replace: `      if (i === 2) continue
      const { key, keyspace, kind, operation, value } = writes[i]!
`,
    test: { file: "test/isolation/ring.test.ts", name: "ring > stays one circle, through transactions and crashes .serializable" },
    invariant: "2: one of a transaction's writes is lost, and the ring falls apart"
  },
  {
    name: "skip-expiry-check",
    file: "src/layers/transactions/OpenTransaction.ts",
    find: "if (expiring !== undefined && commitTimeMs >= expiring.expiresAt)",
    replace: "if (expiring !== undefined && commitTimeMs < 0)",
    test: { file: "test/isolation/window.test.ts", name: "what expires under a transaction" },
    invariant: "8: what expired under a transaction still counts as there"
  },
  {
    name: "forget-flushed-memtables",
    file: "src/layers/Memtables.ts",
    find: `      kept.push(memtable)
      trimKept()
`,
    replace: `      retire(memtable)
      trimKept()
`,
    test: { file: hermitage, name: "hermitage, serializable > P4, lost update .flushed" },
    invariant: "8: what was flushed since a transaction began is not asked"
  },
  {
    name: "ignore-window-floor",
    file: "src/layers/Memtables.ts",
    find: "floor = Math.max(floor, given.validationSequence)",
    replace: "floor = Math.max(floor, 0)",
    test: { file: "test/isolation/window.test.ts", name: "the window of validation" },
    invariant: "8: what can no longer be validated is let through"
  },
  {
    name: "trim-needed-memtables",
    file: "src/layers/Memtables.ts",
    find: "kept[0]!.validationSequence <= oldest",
    replace: "kept[0]!.validationSequence >= oldest",
    test: { file: "test/isolation/window.test.ts", name: "the window of validation > within it" },
    invariant: "8: memtables that open transactions need are given up early"
  },
  {
    name: "leak-transaction-of-closed-scope",
    file: "src/layers/transactions/makeTransactions.ts",
    find: "(tx) => Effect.sync(() => rollback(tx))",
    replace: "() => Effect.void",
    test: { file: interruption, name: "interruption at every step > a handle that is rolled back" },
    invariant: "9: a handle that was left behind stays open, with its lease"
  },
  {
    name: "leak-transaction-of-interrupted-body",
    file: "src/layers/transactions/makeTransactions.ts",
    find: `              tx.finish("rolledBack")\n`,
    replace: `              if (exit === timeOver || !Cause.hasInterrupts(exit.cause)) tx.finish("rolledBack")\n`,
    test: { file: interruption, name: "interruption at every step > a transaction with locks" },
    invariant: "9: a transaction whose body is interrupted keeps its lease"
  },
  {
    name: "leak-locks",
    file: "src/layers/transactions/OpenTransaction.ts",
    find: "this.reads = this.writes = this.savepoints = undefined\n    if (this.locked) this.shared.locks.releaseAll(this)\n",
    replace: "this.reads = this.writes = this.savepoints = undefined\n",
    test: { file: interruption, name: "interruption at every step > a transaction that waits" },
    invariant: "9: the locks of a transaction outlive it"
  }
]
