import type { Mutant } from "../../scripts/mutants.ts"

const model = "test/model/model.test.ts"
const interruption = "test/isolation/interruption.test.ts"
const hermitage = "test/isolation/hermitage.test.ts"

/** Whole transactions, still snapshots, bytes of the caller, isolation, interruption (invariants 2 and 6 to 9). */
export const isolationMutants: ReadonlyArray<Mutant> = [
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
    find: "for (let lease = this.oldest; lease !== undefined; lease = lease.younger) all.add(lease.sequence)\n    return [...all]",
    replace: "return [...all]",
    test: { file: model, name: "model > the memory disk" },
    invariant: "6: compaction drops what a snapshot sees"
  },
  {
    name: "lose-younger-leases",
    file: "src/layers/SnapshotLeases.ts",
    find: "    else older.younger = younger\n",
    replace: "    else older.younger = undefined\n",
    test: { file: "test/layers/SnapshotLeases.test.ts", name: "SnapshotLeases > those that stay" },
    invariant: "6: a snapshot that ends takes the ones after it out of sight"
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
    find: "request.validate?.(head.commitTimeMs, monotonicMs)",
    replace: "undefined as { readonly _tag: string } | undefined",
    test: { file: hermitage, name: "hermitage, serializable > P4" },
    invariant: "8: nothing is validated"
  },
  {
    name: "skip-validation-history",
    file: "src/layers/TransactionManager.ts",
    find: "request.validate?.(head.commitTimeMs, monotonicMs)",
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
    find: "(tx) => Effect.sync(() => outcomes.rolledBack(tx))\n      ),",
    replace: "() => Effect.void\n      ),",
    test: { file: interruption, name: "interruption at every step > a handle that is rolled back" },
    invariant: "9: a handle that was left behind stays open, with its lease"
  },
  {
    name: "leak-transaction-of-interrupted-body",
    file: "src/layers/transactions/TransactionRun.ts",
    find: "return waiting === undefined ? letGo : Effect.andThen(Fiber.interrupt(waiting), letGo)",
    replace: "return waiting === undefined ? letGo : Effect.asVoid(Fiber.interrupt(waiting))",
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
