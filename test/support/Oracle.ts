/**
 * What the database must hold after any prefix of its commit order: the transactions by sequence, and their fold.
 *
 * A state is compared by its digest, a sum over its entries that does not depend on their order and changes by one entry at a time, so that the digests of all prefixes
 * cost one pass; the entries themselves are only folded to explain a difference.
 */
import { crc32 } from "node:zlib"
import { compareBytes } from "../../src/domain/keys/compareBytes.ts"
import { decodeKeyspaceRow, nameInRowKey, nextIdKey } from "../../src/domain/keys/catalogRows.ts"
import { cursorRowsFrom } from "../../src/domain/keys/cursorRows.ts"
import { defaultKeyspace, firstNamedKeyspace, systemKeyspace } from "../../src/domain/keys/kinds.ts"

export type OracleOperation =
  /** `expiresAt` 0: never. */
  | { readonly type: "put"; readonly keyspace: number; readonly key: Uint8Array; readonly value: Uint8Array; readonly expiresAt?: number }
  | { readonly type: "delete"; readonly keyspace: number; readonly key: Uint8Array }
  /** An atomic operation: what it leaves of what there is. */
  | {
      readonly type: "update"
      readonly keyspace: number
      readonly key: Uint8Array
      readonly update: (before: Uint8Array | undefined, sequence: number) => Uint8Array
    }
  /** The engine's own: the version has reached its time. */
  | { readonly type: "expire"; readonly keyspace: number; readonly key: Uint8Array; readonly expiresAt: number; readonly version: number }
  | { readonly type: "deleteRange"; readonly keyspace: number; readonly gte: Uint8Array; readonly lt: Uint8Array }

export interface OracleEntry {
  readonly keyspace: number
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** 0: never. */
  readonly expiresAt?: number
}

/** Of the system keyspace the rows of keyspaces and of cursors; what else the engine keeps there nobody has written. */
export const isJudgedRow = (key: Uint8Array): boolean =>
  nameInRowKey(key) !== undefined || compareBytes(key, nextIdKey) === 0 || key[0] === cursorRowsFrom[0]

const keyspaceBytes = new Uint8Array(8)
const keyspaceView = new DataView(keyspaceBytes.buffer)

/** A number for one entry, from all of its bytes. */
export const entryDigest = (keyspace: number, key: Uint8Array, value: Uint8Array): number => {
  keyspaceView.setUint32(0, keyspace, true)
  keyspaceView.setUint32(4, key.length, true)
  return crc32(value, crc32(key, crc32(keyspaceBytes)))
}

/** A sum over entries: two lanes, of which the second is not linear in the first. */
export class StateDigest {
  count = 0
  #low = 0
  #high = 0

  add(digest: number): void {
    this.#change(digest, 1)
  }

  remove(digest: number): void {
    this.#change(digest, -1)
  }

  /** Equal for equal states. */
  toString(): string {
    return `${this.count}:${(this.#low >>> 0).toString(16)}:${(this.#high >>> 0).toString(16)}`
  }

  #change(digest: number, sign: 1 | -1): void {
    this.count += sign
    this.#low = (this.#low + sign * (digest | 0)) | 0
    this.#high = (this.#high + sign * Math.imul((digest ^ (digest >>> 15)) | 1, 0x2c1b3c6d)) | 0
  }
}

const idOf = (keyspace: number, key: Uint8Array): string => `${keyspace}/${Buffer.from(key).toString("latin1")}`

/** Entries of one fold. Rows of keyspaces that the catalog does not name do not count. */
class Fold {
  readonly entries = new Map<string, OracleEntry & { readonly digest: number; readonly version: number; readonly expiresAt: number }>()
  readonly digest = new StateDigest()
  readonly #live = new Set<number>([systemKeyspace, defaultKeyspace])

  apply(operations: ReadonlyArray<OracleOperation>, sequence: number): void {
    for (const operation of operations) {
      switch (operation.type) {
        case "put":
          this.#remove(idOf(operation.keyspace, operation.key))
          this.#put(operation, sequence, operation.expiresAt ?? 0)
          break
        case "update": {
          const id = idOf(operation.keyspace, operation.key)
          const before = this.entries.get(id)
          const value = operation.update(before?.value, sequence)
          this.#remove(id)
          this.#put({ keyspace: operation.keyspace, key: operation.key, value }, sequence, 0)
          break
        }
        case "expire": {
          const id = idOf(operation.keyspace, operation.key)
          const entry = this.entries.get(id)
          if (entry?.version !== operation.version || entry.expiresAt !== operation.expiresAt)
            throw new Error(
              `${sequence} expires version ${operation.version} of ${id} at ${operation.expiresAt}, but there is ${entry === undefined ? "none" : `version ${entry.version}, which expires at ${entry.expiresAt}`}`
            )
          this.#remove(id)
          break
        }
        case "delete":
          this.#remove(idOf(operation.keyspace, operation.key))
          break
        case "deleteRange":
          for (const [id, { key, keyspace }] of this.entries) {
            if (keyspace === operation.keyspace && compareBytes(key, operation.gte) >= 0 && compareBytes(key, operation.lt) < 0) this.#remove(id)
          }
      }
    }
  }

  #put({ key, keyspace, value }: OracleEntry, version: number, expiresAt: number): void {
    const entry = { keyspace, key, value }
    const digest = entryDigest(keyspace, key, value)
    this.entries.set(idOf(keyspace, key), { ...entry, digest, version, expiresAt })
    this.digest.add(digest)
    const named = entry.keyspace === systemKeyspace && nameInRowKey(entry.key) !== undefined ? decodeKeyspaceRow(entry.value)?.id : undefined
    if (named !== undefined && named >= firstNamedKeyspace) this.#live.add(named)
  }

  #remove(id: string): void {
    const entry = this.entries.get(id)
    if (entry === undefined) return
    this.entries.delete(id)
    this.digest.remove(entry.digest)
    if (entry.keyspace !== systemKeyspace || nameInRowKey(entry.key) === undefined) return
    // The keyspace is dropped: what it held is gone with its row.
    const dropped = decodeKeyspaceRow(entry.value)!.id
    for (const [other, { keyspace }] of this.entries) if (keyspace === dropped) this.#remove(other)
  }
}

export class Oracle {
  readonly #commits = new Map<number, ReadonlyArray<OracleOperation>>()
  #digests: ReadonlyMap<number, string> | undefined

  /** What was committed at `sequence`. */
  commit(sequence: number, operations: ReadonlyArray<OracleOperation>): void {
    if (this.#commits.has(sequence)) throw new Error(`sequence ${sequence} was given out twice`)
    this.#commits.set(sequence, operations)
    this.#digests = undefined
  }

  has(sequence: number): boolean {
    return this.#commits.has(sequence)
  }

  /** Sequences in commit order. */
  sequences(): ReadonlyArray<number> {
    return [...this.#commits.keys()].sort((a, b) => a - b)
  }

  get last(): number {
    let last = 0
    for (const sequence of this.#commits.keys()) if (sequence > last) last = sequence
    return last
  }

  /** The digest after everything up to `sequence`, which must be 0 or that of a transaction; undefined for any other number. */
  digestAt(sequence: number): string | undefined {
    if (this.#digests === undefined) {
      const digests = new Map<number, string>()
      const fold = new Fold()
      digests.set(0, fold.digest.toString())
      for (const at of this.sequences()) {
        fold.apply(this.#commits.get(at)!, at)
        digests.set(at, fold.digest.toString())
      }
      this.#digests = digests
    }
    return this.#digests.get(sequence)
  }

  /** The entries after everything up to `sequence`, in order. */
  stateAt(sequence: number): ReadonlyArray<OracleEntry> {
    const fold = new Fold()
    for (const at of this.sequences()) if (at <= sequence) fold.apply(this.#commits.get(at)!, at)
    return [...fold.entries.values()].sort((a, b) => a.keyspace - b.keyspace || compareBytes(a.key, b.key))
  }

  /** A copy that ends with `sequence`: the history of a database that was found so after a crash. */
  through(sequence: number): Oracle {
    const copy = new Oracle()
    for (const [at, operations] of this.#commits) if (at <= sequence) copy.commit(at, operations)
    return copy
  }
}

const shown = (entry: OracleEntry): string =>
  `${entry.keyspace}/${Buffer.from(entry.key).toString("latin1")} = ${entry.value.length} bytes ${crc32(entry.value).toString(16)}`

/** The first differences between two states in order, for a message. */
export const differences = (expected: ReadonlyArray<OracleEntry>, found: ReadonlyArray<OracleEntry>): string => {
  const lines: Array<string> = []
  const unmatched = new Map(expected.map((entry) => [idOf(entry.keyspace, entry.key), entry]))
  for (const entry of found) {
    const id = idOf(entry.keyspace, entry.key)
    const wanted = unmatched.get(id)
    unmatched.delete(id)
    if (wanted === undefined) lines.push(`+ ${shown(entry)}`)
    else if (compareBytes(wanted.value, entry.value) !== 0) lines.push(`~ ${shown(entry)}, expected ${shown(wanted)}`)
  }
  for (const entry of unmatched.values()) lines.push(`- ${shown(entry)}`)
  return lines.length === 0 ? "no difference" : `${lines.length} differences: ${lines.slice(0, 6).join("; ")}`
}
