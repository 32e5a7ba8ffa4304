import type { Mutant } from "../../scripts/mutants.ts"

const sweep = "test/fault/crash-sweep.test.ts"

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
    find: `        if (sync) yield* datasync
        publish(group, sync ? "sync" : "buffered")`,
    replace: `        publish(group, sync ? "sync" : "buffered")
        if (sync) yield* datasync`,
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
    find: "    rewriteGroups(cut.beyond, segment)\n    handle.datasync()\n",
    replace: "    rewriteGroups(cut.beyond, segment)\n",
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
    find: "if (nextSequence > lastSequence + 1) state.lostRanges",
    replace: "if (nextSequence < 0) state.lostRanges",
    test: { file: sweep, name: "crash sweep > second life:" },
    invariant: "1: a gap in the sequences that nothing explains"
  },
  {
    name: "replay-skips-unflushed",
    file: "src/layers/Wal.ts",
    find: "new GroupPositions(recovery.manifest.state.flushedThrough.position)",
    replace: "new GroupPositions(segment.position)",
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
      for (const id of wal.segmentsBelow(sequence)) yield* Effect.ignore(disk.remove(\`\${directory}/\${fileName("log", id)}\`))
`,
    test: { file: sweep, name: "crash sweep > structure:" },
    invariant: "3: a file is unlinked before the edit that drops it is durable"
  }
]
