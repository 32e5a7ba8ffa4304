/**
 * Random point reads and a full scan of one table file that is reopened: 16 B keys, 100 B values, real files and checksums.
 *
 *     node bench/micro/table.bench.ts [entries = 100000] [cache MiB = 48] [block bytes = default] [tagged | untagged] [random | sequential keys]
 *
 * The block cache is the simplest that can stand for a real one: one slab of equal slots, CLOCK. Keys are made from their index by mixing, so that no memory of the
 * benchmark's own competes for the CPU's cache.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import { CursorState } from "../../src/domain/EntryCursor.ts"
import { keyHash } from "../../src/domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../src/domain/keys/keyspaceSeed.ts"
import { Kind, sequenceMax } from "../../src/domain/keys/kinds.ts"
import { Lookup, LookupResult } from "../../src/domain/table/leaf.ts"
import { defaultTableBlockBytes, TableBuilder } from "../../src/domain/table/TableBuilder.ts"
import { TableCursor } from "../../src/domain/table/TableCursor.ts"
import { TableReader } from "../../src/domain/table/TableReader.ts"
import type { BlockSource } from "../../src/domain/table/TableReader.ts"

const entryCount = Number(process.argv[2] ?? 100_000)
const cacheMiB = Number(process.argv[3] ?? 48)
const blockBytes = Number(process.argv[4] ?? defaultTableBlockBytes)
const hashIndex = process.argv[5] !== "untagged"
const isSequential = process.argv[6] === "sequential"
const keyspace = 1
const hashSeed = 77
const seed = keyspaceSeed(hashSeed, keyspace)

const mix = (x: number): number => {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}
/** Different indexes give different keys: `mix` is a bijection. */
const writeKey = (index: number, key: Uint8Array): void => {
  for (let word = 0; word < 4; word++) {
    const x = isSequential ? (word === 3 ? index : 0x6b657930 + word) : mix(index + word * 0x9e3779b9)
    const at = word * 4
    key[at] = x >>> 24
    key[at + 1] = x >>> 16
    key[at + 2] = x >>> 8
    key[at + 3] = x
  }
}

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "lightning-table-bench-"))
const file = path.join(directory, "1.table")
try {
  // Sorted by the first word, which tells all keys apart.
  const order = new Float64Array(entryCount)
  for (let i = 0; i < entryCount; i++) order[i] = (isSequential ? i : mix(i) >>> 0) * 2 ** 21 + (i % 2 ** 21)
  order.sort()
  const inverse = (rank: number): number => {
    const low = order[rank]! % 2 ** 21
    // Above 2^21 entries the index's upper bits are found by trying: the first word must match.
    const first = Math.floor(order[rank]! / 2 ** 21)
    for (let i = low; ; i += 2 ** 21) if ((isSequential ? i : mix(i) >>> 0) === first) return i
  }
  const value = new Uint8Array(100).map((_, i) => i * 7 + 3)
  const key = new Uint8Array(16)
  const fd = fs.openSync(file, "w+")
  let started = performance.now()
  const builder = new TableBuilder({ crc32, uuid: new Uint8Array(16), fileId: 1, level: 1, hashSeed, blockBytes, hashIndex })
  let buildMs = 0
  const writeOut = (buffers: ReadonlyArray<Uint8Array>): void => {
    for (const buffer of buffers) fs.writeSync(fd, buffer)
  }
  for (let rank = 0; rank < entryCount; rank++) {
    writeKey(inverse(rank), key)
    builder.add(keyspace, key, 0, 16, 0, Kind.put, 0, false, value, 0, 100)
    if (builder.pendingBytes > 1 << 20) {
      buildMs += performance.now() - started
      writeOut(builder.takeOutput())
      started = performance.now()
    }
  }
  const finished = builder.finish()
  buildMs += performance.now() - started
  writeOut(finished.buffers)
  const fileBytes = finished.meta!.fileBytes

  const readExact = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    if (fs.readSync(fd, bytes, 0, length, offset) !== length) throw new Error("short read")
    return bytes
  }
  const openStarted = performance.now()
  const reader = TableReader.open(crc32, new Map(), 1, file, fileBytes, finished.root, readExact)
  const openMs = performance.now() - openStarted

  const slots = Math.max(1, Math.floor((cacheMiB * 1024 * 1024) / blockBytes))
  const slab = new Uint8Array(slots * blockBytes)
  const slotOfLeaf = new Int32Array(reader.leafCount).fill(-1)
  const leafOfSlot = new Int32Array(slots).fill(-1)
  const referenced = new Uint8Array(slots)
  let hand = 0
  let misses = 0
  const cache = {
    bytes: slab,
    start: 0,
    fetch(_tableId: number, leaf: number): boolean {
      let slot = slotOfLeaf[leaf]!
      if (slot >= 0) {
        referenced[slot] = 1
        this.start = slot * blockBytes
        return true
      }
      misses++
      while (referenced[hand] === 1) {
        referenced[hand] = 0
        hand = hand + 1 === slots ? 0 : hand + 1
      }
      slot = hand
      hand = hand + 1 === slots ? 0 : hand + 1
      if (leafOfSlot[slot]! >= 0) slotOfLeaf[leafOfSlot[slot]!] = -1
      leafOfSlot[slot] = leaf
      slotOfLeaf[leaf] = slot
      const start = slot * blockBytes
      const length = reader.leafStoredLength(leaf)
      fs.readSync(fd, slab, start, length, reader.leafOffset(leaf))
      reader.verifyLeaf(leaf, slab.subarray(start, start + length))
      this.start = start
      return true
    }
  }
  const source: BlockSource = cache

  // Returned values belong to the caller: copied to slabs of 16 KiB.
  let out: Uint8Array = new Uint8Array(16384)
  let outAt = 0
  const copy = (bytes: Uint8Array, start: number, end: number): Uint8Array => {
    const length = end - start
    if (outAt + length > out.length) {
      out = new Uint8Array(16384)
      outAt = 0
    }
    const from = outAt
    let at = from
    for (let i = start; i < end; i++) out[at++] = bytes[i]!
    outAt = at
    return out.subarray(from, at)
  }

  const result = new LookupResult()
  const get = (): Uint8Array | undefined =>
    reader.get(keyspace, keyHash(seed, key, 0, 16), key, 0, 16, sequenceMax, source, result) === Lookup.found
      ? copy(result.bytes, result.valueStart, result.valueEnd)
      : undefined

  console.log(
    `build ${(entryCount / buildMs / 1000).toFixed(2)} M/s; file ${(fileBytes / entryCount).toFixed(2)} B/entry; leaves ${reader.leafCount}; open ${openMs.toFixed(1)} ms; ` +
      `in memory ${(reader.sizeBytes / entryCount).toFixed(2)} B/entry; cache ${cacheMiB} MiB, blocks ${blockBytes} B, ${hashIndex ? "tagged" : "untagged"}`
  )
  const rounds = 5
  const reads = Math.min(1_000_000, Math.max(100_000, entryCount))
  let state = 12345
  let best = 0
  let bestMisses = 0
  let bestCpu = 0
  for (let round = 0; round < rounds; round++) {
    misses = 0
    const from = performance.now()
    const cpuFrom = process.cpuUsage()
    let found = 0
    for (let i = 0; i < reads; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      writeKey(Math.floor(((state >>> 0) / 2 ** 32) * entryCount), key)
      if (get()?.length === 100) found++
    }
    const rate = reads / (performance.now() - from) / 1000
    if (found !== reads) throw new Error(`only ${found} of ${reads} keys found`)
    // On a busy machine the time of the CPU says more than that of the clock.
    const cpu = process.cpuUsage(cpuFrom)
    if (round > 0) bestCpu = Math.max(bestCpu, reads / (cpu.user + cpu.system))
    if (round > 0 && rate > best) {
      best = rate
      bestMisses = misses / reads
    }
  }
  console.log(`random reads: best of ${rounds - 1}: ${best.toFixed(3)} M/s (${bestCpu.toFixed(3)} M per CPU second), misses ${bestMisses.toFixed(3)}`)
  let absent = 0
  let from = performance.now()
  for (let i = 0; i < reads; i++) {
    writeKey(entryCount + i, key)
    if (get() === undefined) absent++
  }
  console.log(`absent keys: ${(reads / (performance.now() - from) / 1000).toFixed(3)} M/s, ${absent === reads ? "none found" : "WRONG"}`)

  for (const forward of [true, false, true]) {
    const cursor = new TableCursor(reader)
    from = performance.now()
    let count = 0
    let bytes = 0
    let chunk: Uint8Array = new Uint8Array(0)
    let chunkAt = 0
    if (forward) cursor.seekFirst()
    else cursor.seekLast()
    for (;;) {
      while (cursor.state === CursorState.needsBlock) {
        const need = cursor.need!
        if (need.offset < chunkAt || need.offset + need.storedLength > chunkAt + chunk.length) {
          if (forward) {
            const last = reader.lastLeafWithin(need.leaf, 65536)
            chunkAt = need.offset
            chunk = readExact(chunkAt, reader.leafOffset(last) + reader.leafStoredLength(last) - chunkAt)
          } else {
            chunkAt = Math.max(reader.leafOffset(0), need.offset + need.storedLength - 65536)
            chunk = readExact(chunkAt, need.offset + need.storedLength - chunkAt)
          }
        }
        cursor.supply(reader.verifyLeaf(need.leaf, chunk.subarray(need.offset - chunkAt, need.offset - chunkAt + need.storedLength)))
      }
      if (cursor.state === CursorState.atEnd) break
      const k = copy(cursor.keyBytes, cursor.keyStart, cursor.keyEnd)
      const v = copy(cursor.valueBytes, cursor.valueStart, cursor.valueEnd)
      bytes += k.length + v.length
      count++
      if (forward) cursor.next()
      else cursor.prev()
    }
    if (count !== entryCount || bytes !== 116 * entryCount) throw new Error(`scanned ${count} entries, ${bytes} bytes`)
    console.log(`scan ${forward ? "forward" : "backward"}: ${(count / (performance.now() - from) / 1000).toFixed(2)} M/s`)
  }
  fs.closeSync(fd)
} finally {
  fs.rmSync(directory, { recursive: true })
}
