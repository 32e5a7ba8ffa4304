import { keyHash } from "../../domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../domain/keys/keyspaceSeed.ts"
import { Kind } from "../../domain/keys/kinds.ts"
import { entryBytes, Memtable, memtableHeaderBytes } from "../../domain/memtable/Memtable.ts"
import { type TransactionVisitor, type VerifiedGroup, visitTransactions } from "../../domain/wal/LoggedTransaction.ts"
import { codecs } from "../codecs.ts"

/** An operation of one byte of key takes 5 in the log and at most 40 here. */
const growthMax = 9
const noBytes = new Uint8Array(0)

/** Folds logged transactions into memtables: those at or below the flushed sequence are in tables already and are passed over. */
export class Replay implements TransactionVisitor {
  transactions = 0
  /** Bytes of groups read. */
  bytes = 0
  lastSequence = 0
  lastCommitTimeMs = 0
  private readonly memtableBytes: number
  private readonly hashSeed: number
  private readonly flushedSequence: number
  /** Oldest first. */
  private readonly filled: Array<Memtable> = []
  private active: Memtable
  private sequence = 0
  private skipping = false
  private sizes: ReadonlyArray<number> | undefined = undefined
  private index = 0

  constructor(memtableBytes: number, hashSeed: number, flushedSequence: number) {
    this.memtableBytes = memtableBytes
    this.hashSeed = hashSeed
    this.flushedSequence = flushedSequence
    this.active = new Memtable(memtableBytes)
  }

  group(group: VerifiedGroup): void {
    this.bytes += group.header.lengthBytes
    // A flush covers whole memtables and records the last sequence in them: a transaction in two memtables would be lost by half. So memtables are cut between
    // transactions only, and where a group may not fit its transactions are measured first. No operation grows by more than this factor.
    this.sizes = undefined
    if (this.active.freeBytes < group.header.rawBytes * growthMax) {
      const sizes = new TransactionSizes()
      visitTransactions(group, sizes, codecs)
      this.sizes = sizes.bytes
    }
    this.index = 0
    visitTransactions(group, this, codecs)
  }

  /** Newest first; the first one has room. */
  memtables(): ReadonlyArray<Memtable> {
    return [this.active, ...this.filled.slice().reverse()]
  }

  begin(sequence: number, commitTimeMs: number): void {
    this.sequence = sequence
    this.skipping = sequence <= this.flushedSequence
    if (commitTimeMs > this.lastCommitTimeMs) this.lastCommitTimeMs = commitTimeMs
    this.lastSequence = sequence
    const size = this.sizes?.[this.index++] ?? 0
    if (this.skipping) return
    this.transactions++
    if (size > this.active.freeBytes) this.start(size)
  }

  put(keyspace: number, bytes: Uint8Array, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, expiresAt: number): void {
    if (this.skipping) return
    this.active.insert(
      keyspace,
      this.hash(keyspace, bytes, keyStart, keyEnd),
      bytes,
      keyStart,
      keyEnd,
      Kind.put,
      this.sequence,
      bytes,
      valueStart,
      valueEnd,
      expiresAt
    )
  }

  delete(keyspace: number, bytes: Uint8Array, keyStart: number, keyEnd: number): void {
    if (this.skipping) return
    this.active.insert(keyspace, this.hash(keyspace, bytes, keyStart, keyEnd), bytes, keyStart, keyEnd, Kind.delete, this.sequence, noBytes, 0, 0, 0)
  }

  rangeDelete(keyspace: number, bytes: Uint8Array, startStart: number, startEnd: number, endStart: number, endEnd: number): void {
    if (this.skipping) return
    this.active.addRangeTombstone(keyspace, bytes.subarray(startStart, startEnd), bytes.subarray(endStart, endEnd), this.sequence)
  }

  expire(keyspace: number, bytes: Uint8Array, keyStart: number, keyEnd: number, expiresAt: number, _version: number): void {
    if (this.skipping) return
    this.active.insert(
      keyspace,
      this.hash(keyspace, bytes, keyStart, keyEnd),
      bytes,
      keyStart,
      keyEnd,
      Kind.expire,
      this.sequence,
      noBytes,
      0,
      0,
      expiresAt
    )
  }

  end(): void {}

  private hash(keyspace: number, bytes: Uint8Array, start: number, end: number): number {
    return keyHash(keyspaceSeed(this.hashSeed, keyspace), bytes, start, end)
  }

  private start(bytes: number): void {
    // An empty one is replaced: flushed, it would take what is flushed back to nothing.
    if (!this.active.isEmpty) this.filled.push(this.active)
    this.active = new Memtable(Math.max(this.memtableBytes, bytes + memtableHeaderBytes))
  }
}

/** Measures the transactions of a group: what each takes in a memtable. */
class TransactionSizes implements TransactionVisitor {
  readonly bytes: Array<number> = []
  private current = 0

  begin(): void {
    this.current = 0
  }

  put(_keyspace: number, _bytes: Uint8Array, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, expiresAt: number): void {
    this.current += entryBytes(keyEnd - keyStart, valueEnd - valueStart, expiresAt !== 0)
  }

  delete(_keyspace: number, _bytes: Uint8Array, keyStart: number, keyEnd: number): void {
    this.current += entryBytes(keyEnd - keyStart, 0, false)
  }

  rangeDelete(_keyspace: number, _bytes: Uint8Array, startStart: number, startEnd: number, endStart: number, endEnd: number): void {
    this.current += entryBytes(startEnd - startStart, endEnd - endStart, false)
  }

  expire(_keyspace: number, _bytes: Uint8Array, keyStart: number, keyEnd: number): void {
    this.current += entryBytes(keyEnd - keyStart, 0, true)
  }

  end(): void {
    this.bytes.push(this.current)
  }
}
