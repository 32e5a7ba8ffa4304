import type { Mutant } from "../../scripts/mutants.ts"

const sweep = "test/fault/crash-sweep.test.ts"
const audit = "test/fault/trace-audit.test.ts"
const model = "test/model/model.test.ts"

/** What a crash may leave: the log, what is synced and in which order, what is named and unlinked when (invariants 1 and 3). */
export const durabilityMutants: ReadonlyArray<Mutant> = [
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
    find: "        yield* disk.syncDirectory(directory)\n        return next\n",
    replace: "        return next\n",
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
    find: "        yield* wal.ensureDurable(sequence)\n",
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
  }
]
