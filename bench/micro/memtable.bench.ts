/**
 * Memtable: inserts, point reads, sorting and walking. Run by `node bench/micro/memtable.bench.ts [entries]`; 1 M entries of (16 B, 100 B) over
 * memtables of 16 MiB unless told otherwise.
 */
import { CursorState } from "../../src/domain/EntryCursor.ts"
import { keyHash } from "../../src/domain/keys/keyHash.ts"
import { defaultKeyspace, Kind, sequenceMax } from "../../src/domain/keys/kinds.ts"
import { keyspaceSeed } from "../../src/domain/keys/keyspaceSeed.ts"
import { entryBytes, Memtable } from "../../src/domain/memtable/Memtable.ts"
import { MemtableReader } from "../../src/domain/memtable/MemtableReader.ts"

const count = Number(process.argv[2] ?? 1_000_000)
const memtableBytes = 16 << 20
const keyLength = 16
const seed = keyspaceSeed(42, defaultKeyspace)
const value = new Uint8Array(100).fill(7)
const perEntry = entryBytes(keyLength, value.length, false)

let random = 0x9e3779b9
const nextRandom = (): number => {
  random ^= random << 13
  random ^= random >>> 17
  random ^= random << 5
  return random >>> 0
}

const keyShapes: Record<string, (i: number, into: Uint8Array, at: number) => void> = {
  "random bytes": (_, into, at) => {
    for (let j = 0; j < keyLength; j++) into[at + j] = nextRandom()
  },
  "shuffled decimals": (_, into, at) => {
    let n = nextRandom() % count
    for (let j = keyLength - 1; j >= 0; j--) {
      into[at + j] = 48 + (n % 10)
      n = Math.floor(n / 10)
    }
  }
}

const report = (what: string, ms: number, operations: number): void => {
  console.log(
    `  ${what.padEnd(34)} ${((ms * 1000) / operations).toFixed(3).padStart(8)} µs each  ${(operations / ms / 1000).toFixed(2).padStart(7)} M/s  ${ms.toFixed(1).padStart(8)} ms`
  )
}

const validate = (what: string, found: number, expected: number): void => {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`)
}

for (const [shape, fill] of Object.entries(keyShapes)) {
  for (let round = 0; round < 3; round++) {
    console.log(`${shape}, round ${round + 1}`)
    const keys = new Uint8Array(count * keyLength)
    const one = new Uint8Array(keyLength)
    for (let i = 0; i < count; i++) fill(i, keys, i * keyLength)

    const memtables = [new Memtable(memtableBytes)]
    let start = performance.now()
    for (let i = 0; i < count; i++) {
      const at = i * keyLength
      const hash = keyHash(seed, keys, at, at + keyLength)
      let memtable = memtables[memtables.length - 1]!
      if (!memtable.reserve(perEntry)) memtables.push((memtable = new Memtable(memtableBytes)))
      memtable.insert(defaultKeyspace, hash, keys, at, at + keyLength, Kind.put, i + 1, value, 0, value.length, 0)
    }
    report("insert", performance.now() - start, count)

    const memtable = memtables[0]!
    const held = memtable.entryCount
    // As a caller does it: the key is in a small buffer of its own, its hash is computed for the operation. The order is random.
    let found = 0
    start = performance.now()
    for (let i = 0; i < held; i++) {
      const at = (nextRandom() % held) * keyLength
      for (let j = 0; j < keyLength; j++) one[j] = keys[at + j]!
      if (memtable.find(defaultKeyspace, keyHash(seed, one, 0, keyLength), one, 0, keyLength, sequenceMax) !== 0) found++
    }
    report("find, hit, random", performance.now() - start, held)
    validate("finds", found, held)
    start = performance.now()
    for (let i = 0; i < held; i++) {
      one[i % keyLength]! += 101
      if (memtable.find(defaultKeyspace, keyHash(seed, one, 0, keyLength), one, 0, keyLength, sequenceMax) !== 0) found++
    }
    report("find, miss", performance.now() - start, held)

    const reader = new MemtableReader(memtable.buffer)
    start = performance.now()
    const cursor = reader.cursor()
    report(`sort of a full memtable (${held})`, performance.now() - start, held)
    for (const [what, walk] of Object.entries({ "ordered walk": "next", "walk backward": "prev" } as const)) {
      start = performance.now()
      let sum = 0
      let walked = 0
      if (walk === "next") cursor.seekFirst()
      else cursor.seekLast()
      for (; cursor.state === CursorState.atEntry; cursor[walk]()) {
        walked++
        sum += cursor.keyEnd - cursor.keyStart + cursor.sequence + cursor.valueBytes[cursor.valueStart]!
      }
      report(what, performance.now() - start, held)
      validate("walk", walked, held)
      validate("sum", sum, (held * (held + 1)) / 2 + held * (keyLength + 7))
    }

    // Inserts and scans in turn: runs are merged on the way.
    const mixed = new Memtable(memtableBytes)
    const turns = Math.min(count, 100_000)
    let shown = 0
    start = performance.now()
    for (let i = 0; i < turns; i++) {
      const at = i * keyLength
      mixed.insert(defaultKeyspace, keyHash(seed, keys, at, at + keyLength), keys, at, at + keyLength, Kind.put, i + 1, value, 0, value.length, 0)
      if (i % 10 !== 9) continue
      const scan = mixed.cursor()
      scan.seek(defaultKeyspace, keys.subarray(at, at + keyLength), sequenceMax)
      for (let j = 0; j < 10 && scan.state === CursorState.atEntry; j++, scan.next()) shown++
    }
    report("10 inserts, then a scan of 10", performance.now() - start, turns / 10)
    validate("scans", Math.min(shown, 1), 1)
  }
}
