/**
 * A full 16 MiB memtable is sorted and written to a file by a worker, which reads it in place, while the main thread inserts into the next one
 * and its event loop is watched. Run by `node bench/micro/worker-flush.bench.ts`.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { isMainThread, parentPort, Worker } from "node:worker_threads"
import { CursorState } from "../../src/domain/EntryCursor.ts"
import { keyHash } from "../../src/domain/keys/keyHash.ts"
import { Kind } from "../../src/domain/keys/kinds.ts"
import { entryBytes, Memtable } from "../../src/domain/memtable/Memtable.ts"
import { MemtableReader } from "../../src/domain/memtable/MemtableReader.ts"

const memtableBytes = 16 << 20
const chunkBytes = 1 << 20
const keyLength = 16
const flushes = 20
/** Inserts of one turn of the event loop, as a group of callers would make them. */
const insertsPerTurn = 256

interface Flushed {
  readonly entries: number
  readonly sortMs: number
  readonly writeMs: number
}

const flush = (buffer: SharedArrayBuffer, path: string): Flushed => {
  let start = performance.now()
  const cursor = new MemtableReader(buffer).cursor()
  const sortMs = performance.now() - start
  start = performance.now()
  const file = openSync(path, "w")
  const chunk = new Uint8Array(chunkBytes)
  let at = 0
  let entries = 0
  for (cursor.seekFirst(); cursor.state === CursorState.atEntry; cursor.next()) {
    const length = cursor.valueEnd - cursor.keyStart
    if (at + length > chunkBytes) {
      writeSync(file, chunk, 0, at)
      at = 0
    }
    chunk.set(cursor.keyBytes.subarray(cursor.keyStart, cursor.valueEnd), at)
    at += length
    entries++
  }
  writeSync(file, chunk, 0, at)
  fdatasyncSync(file)
  closeSync(file)
  return { entries, sortMs, writeMs: performance.now() - start }
}

const main = async (): Promise<void> => {
  let random = 0x9e3779b9
  const key = new Uint8Array(keyLength)
  const value = new Uint8Array(100).fill(7)
  const perEntry = entryBytes(keyLength, value.length, false)
  let sequence = 0
  const insert = (memtable: Memtable): void => {
    for (let j = 0; j < keyLength; j++) {
      random ^= random << 13
      random ^= random >>> 17
      random ^= random << 5
      key[j] = random
    }
    memtable.insert(1, keyHash(1, key, 0, keyLength), key, 0, keyLength, Kind.put, ++sequence, value, 0, value.length, 0)
  }
  const filled = (): Memtable => {
    const memtable = new Memtable(memtableBytes)
    while (memtable.reserve(perEntry)) insert(memtable)
    return memtable
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  /** Inserts, a turn at a time, until `done` says so; prints the rate and how late the event loop was. */
  const watched = async (what: string, done: () => boolean): Promise<void> => {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    let memtable = new Memtable(memtableBytes)
    let inserted = 0
    delay.enable()
    const start = performance.now()
    while (!done()) {
      if (!memtable.reserve(perEntry * insertsPerTurn)) memtable = new Memtable(memtableBytes)
      for (let i = 0; i < insertsPerTurn; i++) insert(memtable)
      inserted += insertsPerTurn
      await turn()
    }
    const seconds = (performance.now() - start) / 1000
    delay.disable()
    const ms = (nanoseconds: number) => (nanoseconds / 1e6).toFixed(2)
    console.log(
      `${what.padEnd(16)} ${(inserted / seconds / 1e6).toFixed(2)} M inserts/s, ${seconds.toFixed(2)} s; event loop delay p50 ${ms(delay.percentile(50))}, ` +
        `p99 ${ms(delay.percentile(99))}, max ${ms(delay.max)} ms (1 ms of it is the timer's)`
    )
  }

  const directory = mkdtempSync(join(tmpdir(), "lightning-bench-"))
  const worker = new Worker(new URL(import.meta.url))
  const flushed: Array<Flushed> = []
  const memtable = filled()
  const post = () => worker.postMessage({ buffer: memtable.buffer, path: join(directory, "flushed") })
  worker.on("message", (done: Flushed) => {
    flushed.push(done)
    if (flushed.length < flushes) post()
  })
  // Both sides are compiled before anything is measured.
  post()
  await watched("warming up", () => flushed.length > 2)
  while (flushed.length < flushes) await turn()
  for (let round = 0; round < 3; round++) {
    const end = performance.now() + 2000
    await watched("without worker", () => performance.now() > end)
    flushed.length = 0
    post()
    await watched("while flushing", () => flushed.length >= flushes)
    if (flushed[0]!.entries !== memtable.entryCount) throw new Error("the worker saw other entries")
    const mean = (of: (f: Flushed) => number) => (flushed.reduce((sum, f) => sum + of(f), 0) / flushed.length).toFixed(1)
    console.log(
      `                 each flush: ${memtable.entryCount} entries, sort ${mean((f) => f.sortMs)} ms, write and sync ${mean((f) => f.writeMs)} ms`
    )
  }
  await worker.terminate()
  rmSync(directory, { recursive: true })
}

if (isMainThread) await main()
else
  parentPort!.on("message", ({ buffer, path }: { readonly buffer: SharedArrayBuffer; readonly path: string }) =>
    parentPort!.postMessage(flush(buffer, path))
  )
