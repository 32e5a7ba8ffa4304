/** What every layer of `Workers` promises; run by `test/layers/WorkersContract.test.ts` on each of them. */
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { type CompactionSpec, defaultOutputPolicy, type FlushSpec, type JobResult } from "../../src/domain/compaction/JobSpec.ts"
import type { SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../src/domain/failures.ts"
import { keyHash } from "../../src/domain/keys/keyHash.ts"
import { Kind } from "../../src/domain/keys/kinds.ts"
import { fileName } from "../../src/domain/manifest/fileNames.ts"
import type { TableMeta } from "../../src/domain/manifest/TableMeta.ts"
import { entryBytes, Memtable, memtableHeaderBytes } from "../../src/domain/memtable/Memtable.ts"
import { CodecId } from "../../src/domain/seams.ts"
import type { Workers } from "../../src/services/Workers.ts"

/** Workers to test, the disk they write to, and an existing empty directory on it. */
export interface WorkersFixture {
  readonly workers: Workers["Service"]
  readonly disk: SyncDisk
  readonly root: string
  readonly dispose: () => Promise<void>
}

const policy = { ...defaultOutputPolicy, uuid: new Uint8Array(16).fill(7), hashSeed: 42, codec: CodecId.lz4 }
const encoder = new TextEncoder()

/** A frozen memtable of `count` entries with values of `valueBytes`, from sequence `first`. */
export const filledMemtable = (count: number, valueBytes: number, first = 1): Memtable => {
  const memtable = new Memtable(memtableHeaderBytes + count * entryBytes(10, valueBytes, false))
  const value = new Uint8Array(valueBytes)
  for (let i = 0; i < count; i++) {
    const key = encoder.encode(`key-${String(i).padStart(6, "0")}`)
    value.fill(i & 0xff)
    for (let at = 0; at < valueBytes; at += 7) value[at] = (i * 31 + at) & 0xff
    memtable.insert(0, keyHash(policy.hashSeed, key, 0, key.length), key, 0, key.length, Kind.put, first + i, value, 0, valueBytes, 0)
  }
  return memtable
}

export const flushSpec = (
  memtables: ReadonlyArray<Memtable>,
  outputIds: ReadonlyArray<number>,
  overrides: Partial<typeof policy> = {}
): FlushSpec => ({
  memtables: memtables.map((memtable) => memtable.buffer),
  snapshots: [Math.max(...memtables.map((memtable) => memtable.highestSequence))],
  horizons: [],
  nowMs: 0,
  outputIds,
  policy: { ...policy, ...overrides }
})

export const compactionSpec = (tables: ReadonlyArray<TableMeta>, outputIds: ReadonlyArray<number>): CompactionSpec => ({
  inputs: [{ level: 0, tables }],
  targetLevel: 1,
  deeper: [],
  grandparents: [],
  rewriteValueFiles: [],
  lingering: [],
  snapshots: [Math.max(...tables.map((table) => table.largestSequence))],
  horizons: [],
  nowMs: 0,
  outputIds,
  policy
})

export const workersContract = (name: string, make: () => Promise<WorkersFixture>): void => {
  describe(`Workers contract: ${name}`, () => {
    let fixture: WorkersFixture
    let workers: Workers["Service"]
    const files = (): ReadonlyArray<string> => [...fixture.disk.list(fixture.root)].sort()
    const flushed = (ids: ReadonlyArray<number>, count = 2000, first = 1): Effect.Effect<JobResult, unknown> =>
      workers.flush(fixture.root, flushSpec([filledMemtable(count, 50, first)], ids))

    beforeEach(async () => {
      fixture = await make()
      workers = fixture.workers
    })
    afterEach(() => fixture.dispose())

    it.effect("flushes a memtable into a table, and large values into a value file", () =>
      Effect.gen(function* () {
        const small = yield* flushed([1, 2])
        expect(
          small.tables.map(({ entryCount, fileId, level, smallest, largest }) => ({
            entryCount,
            fileId,
            level,
            keys: [text(smallest.key), text(largest.key)]
          }))
        ).toEqual([{ entryCount: 2000, fileId: 1, level: 0, keys: ["key-000000", "key-001999"] }])
        expect(small.stats.entriesWritten).toBe(2000)
        expect(files()).toEqual([fileName("table", 1)])
        expect(fixture.disk.stat(`${fixture.root}/${fileName("table", 1)}`)?.sizeBytes).toBe(small.tables[0]!.fileBytes)

        const large = yield* workers.flush(fixture.root, flushSpec([filledMemtable(50, 4096)], [3, 4]))
        expect([...large.tables, ...large.valueFiles].map((file) => file.fileId).sort()).toEqual([3, 4])
        expect(large.valueFiles).toHaveLength(1)
        expect(files()).toHaveLength(3)
      })
    )

    it.effect("merges tables", () =>
      Effect.gen(function* () {
        const older = yield* flushed([1], 2000, 1)
        const newer = yield* flushed([2], 1000, 5000)
        const merged = yield* workers.compact(fixture.root, compactionSpec([...newer.tables, ...older.tables], [3, 4]))
        expect(merged.tables.map(({ entryCount, fileId, level }) => ({ entryCount, fileId, level }))).toEqual([
          { entryCount: 2000, fileId: 3, level: 1 }
        ])
        expect(merged.stats).toMatchObject({ entriesRead: 3000, entriesWritten: 2000 })
        expect(files()).toEqual([1, 2, 3].map((id) => fileName("table", id)))
      })
    )

    it.effect("returns bounds on memory of their own: neither a memtable nor a posted block stays alive through them", () =>
      Effect.gen(function* () {
        for (const { largest, smallest } of (yield* flushed([1])).tables) {
          for (const { key } of [smallest, largest])
            expect([key.buffer instanceof ArrayBuffer, key.buffer.byteLength <= 64 * 1024]).toEqual([true, true])
        }
      })
    )

    it.effect("runs many jobs at once, each with its own answer", () =>
      Effect.gen(function* () {
        const results = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (id) => flushed([id], id * 100), { concurrency: "unbounded" })
        expect(results.map((result) => [result.tables[0]!.fileId, result.tables[0]!.entryCount])).toEqual(
          [1, 2, 3, 4, 5, 6].map((id) => [id, id * 100])
        )
      })
    )

    it.effect("reports what the file system says, with its code, and leaves no output", () =>
      Effect.gen(function* () {
        const missing = yield* Effect.flip(workers.flush(`${fixture.root}/missing`, flushSpec([filledMemtable(10, 10)], [1])))
        expect(missing).toBeInstanceOf(IoFailure)
        expect(missing).toMatchObject({ code: "ENOENT", operation: "open", path: `${fixture.root}/missing/${fileName("table", 1)}` })

        const first = yield* flushed([1])
        const taken = yield* Effect.flip(workers.compact(fixture.root, compactionSpec(first.tables, [1])))
        expect(taken).toMatchObject({ _tag: "IoFailure", code: "EEXIST" })
        expect(files()).toEqual([fileName("table", 1)])
      })
    )

    it.effect("reports damage with file, place and reason, and leaves no output", () =>
      Effect.gen(function* () {
        const { tables } = yield* flushed([1])
        const handle = fixture.disk.open(`${fixture.root}/${fileName("table", 1)}`, "write")
        handle.writev([new Uint8Array(64).fill(0xee)], 200)
        handle.close()
        const damage = yield* Effect.flip(workers.compact(fixture.root, compactionSpec(tables, [2, 3])))
        expect(damage).toBeInstanceOf(Damage)
        expect(damage).toMatchObject({ reason: "ChecksumMismatch" })
        expect(files()).toEqual([fileName("table", 1)])
      })
    )

    it.effect("dies of a broken rule of ours", () =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(workers.flush(fixture.root, flushSpec([filledMemtable(10, 10)], [])))
        expect(Exit.hasDies(exit)).toBe(true)
        expect(files()).toEqual([])
        expect((yield* flushed([1])).tables).toHaveLength(1)
      })
    )

    it.effect("stops when interrupted; then no output is left, and the next job runs", () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(flushed([1, 2], 100_000))
        while (files().length === 0) yield* turn
        yield* Fiber.interrupt(fiber)
        // At once: interruption has waited for the job to end.
        expect(files()).toEqual([])
        expect((yield* flushed([3])).tables).toHaveLength(1)
      })
    )

    it.effect("forgets a job that is interrupted while it waits", () =>
      Effect.gen(function* () {
        const running = yield* Effect.forkChild(flushed([1], 50_000))
        const waiting = yield* Effect.forEach([2, 3, 4], (id) => Effect.forkChild(flushed([id], 50_000)))
        yield* turn
        yield* Effect.forEach(waiting, Fiber.interrupt)
        yield* Fiber.join(running)
        expect(files()).toEqual([fileName("table", 1)])
      })
    )
  })
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** A turn of the event loop, whatever clock the test runs under. */
const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})
