/** What the table tests share: entries as plain data, a table in memory, and a model to compare with. */
import { crc32 } from "node:zlib"
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { Damage } from "../../../src/domain/failures.ts"
import { compareInternal } from "../../../src/domain/keys/compareInternal.ts"
import { compareBytes } from "../../../src/domain/keys/compareBytes.ts"
import { keyHash } from "../../../src/domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../../src/domain/keys/keyspaceSeed.ts"
import { Kind } from "../../../src/domain/keys/kinds.ts"
import type { Codec, Codecs } from "../../../src/domain/seams.ts"
import { Lookup, LookupResult } from "../../../src/domain/table/leaf.ts"
import { fragment } from "../../../src/domain/table/RangeTombstones.ts"
import type { RangeTombstone } from "../../../src/domain/EntryCursor.ts"
import { TableBuilder } from "../../../src/domain/table/TableBuilder.ts"
import type { FinishedTable, TableBuilderOptions } from "../../../src/domain/table/TableBuilder.ts"
import type { StepMachine } from "../../../src/domain/steps.ts"
import { TableCursor } from "../../../src/domain/table/TableCursor.ts"
import { BlockSourceOf, TableReader } from "../../../src/domain/table/TableReader.ts"

export interface Entry {
  readonly keyspace: number
  readonly key: Uint8Array
  readonly sequence: number
  readonly kind: number
  readonly expiresAt: number
  readonly isPointer: boolean
  readonly value: Uint8Array
}

export const text = (s: string): Uint8Array => new TextEncoder().encode(s)
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
export const uuid = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i)
export const hashSeed = 0x1234_5678
export const path = "db/000007.table"

export const put = (keyspace: number, key: string | Uint8Array, sequence: number, value: string | Uint8Array, more: Partial<Entry> = {}): Entry => ({
  keyspace,
  key: typeof key === "string" ? text(key) : key,
  sequence,
  kind: Kind.put,
  expiresAt: 0,
  isPointer: false,
  value: typeof value === "string" ? text(value) : value,
  ...more
})

export const sorted = (entries: ReadonlyArray<Entry>): Array<Entry> =>
  entries.slice().sort((a, b) => compareInternal(a.keyspace, a.key, 0, a.key.length, a.sequence, b.keyspace, b.key, 0, b.key.length, b.sequence))

/** A small generator with a seed (mulberry32), so that failures can be repeated. */
export const randomOf = (seed: number): ((below: number) => number) => {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Run lengths: {count u8, byte}. A codec that is easy to get wrong lengths out of. */
export const runLength: Codec = {
  id: 9,
  compress: (raw) => {
    const out: Array<number> = []
    for (let i = 0; i < raw.length;) {
      let n = 1
      while (n < 255 && raw[i + n] === raw[i]) n++
      out.push(n, raw[i]!)
      i += n
    }
    return Uint8Array.from(out)
  },
  decompress: (stored) => {
    const out: Array<number> = []
    for (let i = 0; i < stored.length; i += 2) for (let n = stored[i]!; n > 0; n--) out.push(stored[i + 1]!)
    return Uint8Array.from(out)
  }
}

export interface BuiltTable extends FinishedTable {
  readonly file: Uint8Array
}

export const defaults: TableBuilderOptions = { crc32, uuid, fileId: 7, level: 0, hashSeed }

export const build = (
  entries: ReadonlyArray<Entry>,
  options: Partial<TableBuilderOptions> = {},
  tombstones: ReadonlyArray<RangeTombstone> = []
): BuiltTable => {
  const builder = new TableBuilder({ ...defaults, ...options })
  const pieces: Array<Uint8Array> = []
  let position = 0
  entries.forEach((e, i) => {
    builder.add(e.keyspace, e.key, 0, e.key.length, e.sequence, e.kind, e.expiresAt, e.isPointer, e.value, 0, e.value.length)
    if (i % 100 === 99) {
      if (builder.outputPosition !== position) throw new Error("output position")
      for (const piece of builder.takeOutput()) {
        pieces.push(piece)
        position += piece.length
      }
    }
  })
  builder.addTombstones(fragment(tombstones))
  const finished = builder.finish()
  if (finished.position !== position) throw new Error("output position at the end")
  pieces.push(...finished.buffers)
  return { ...finished, file: new Uint8Array(Buffer.concat(pieces)) }
}

export const codecsOf = (...codecs: ReadonlyArray<Codec>): Codecs => new Map(codecs.map((codec) => [codec.id, codec]))

export const readerOf =
  (file: Uint8Array) =>
  (offset: number, length: number): Uint8Array => {
    if (offset + length > file.length) throw new Damage(path, offset, "Truncated")
    return file.slice(offset, offset + length)
  }

export const open = (table: BuiltTable, file = table.file, codecs: Codecs = codecsOf(runLength)): TableReader =>
  TableReader.open(crc32, codecs, 7, path, file.length, table.root, readerOf(file), uuid)

export const leafOf = (reader: TableReader, file: Uint8Array, leaf: number): Uint8Array => {
  const need = reader.leafNeed(leaf)
  return reader.verifyBlock(need, readerOf(file)(need.offset, need.storedLength))
}

export const hashOf = (reader: TableReader, keyspace: number, key: Uint8Array): number =>
  keyHash(keyspaceSeed(reader.properties.hashSeed, keyspace), key, 0, key.length)

const source = (reader: TableReader, file: Uint8Array): BlockSourceOf => new BlockSourceOf((_, leaf) => leafOf(reader, file, leaf))

export const get = (
  reader: TableReader,
  file: Uint8Array,
  keyspace: number,
  key: Uint8Array,
  snapshot: number
): Omit<Entry, "keyspace" | "key"> | undefined => {
  const result = new LookupResult()
  const outcome = reader.get(keyspace, hashOf(reader, keyspace, key), key, 0, key.length, snapshot, source(reader, file), result)
  if (outcome !== Lookup.found) return undefined
  return {
    sequence: result.sequence,
    kind: result.kind,
    expiresAt: result.expiresAt,
    isPointer: result.isPointer,
    value: result.bytes.slice(result.valueStart, result.valueEnd)
  }
}

/** Brings blocks until the move is complete; says whether the cursor stands on an entry. */
export const settle = (cursor: TableCursor, reader: TableReader, file: Uint8Array): boolean => {
  while (cursor.state === CursorState.needsBlock) cursor.supply(leafOf(reader, file, cursor.need!.leaf))
  return cursor.state === CursorState.atEntry
}

export const current = (cursor: TableCursor): Entry => ({
  keyspace: cursor.keyspace,
  key: cursor.keyBytes.slice(cursor.keyStart, cursor.keyEnd),
  sequence: cursor.sequence,
  kind: cursor.kind,
  expiresAt: cursor.expiresAt,
  isPointer: cursor.isPointer,
  value: cursor.valueBytes.slice(cursor.valueStart, cursor.valueEnd)
})

export const describeEntry = (e: Entry): string =>
  `${e.keyspace}/${hex(e.key)}@${e.sequence} ${e.kind}${e.isPointer ? "p" : ""}${e.expiresAt} ${hex(e.value)}`

export const modelGet = (entries: ReadonlyArray<Entry>, keyspace: number, key: Uint8Array, snapshot: number): Entry | undefined =>
  entries.find((e) => e.keyspace === keyspace && compareBytes(e.key, key) === 0 && e.sequence <= snapshot)

/** Runs a step machine over files in memory. */
export const run = <A>(machine: StepMachine<A>, file: Uint8Array): A => {
  let step = machine.next()
  while (!step.done) step = machine.next(step.value.step === "read" ? readerOf(file)(step.value.offset, step.value.length) : undefined)
  return step.value
}

/** The damage that `read` ends in, or undefined. Anything else that is thrown fails the test. */
export const damageOf = (read: () => unknown): Damage | undefined => {
  try {
    read()
    return undefined
  } catch (error) {
    if (error instanceof Damage) return error
    throw error
  }
}

/** Everything a table answers, as text. */
export const readAll = (reader: TableReader, file: Uint8Array): string => {
  const lines: Array<string> = []
  const cursor = new TableCursor(reader)
  cursor.seekFirst()
  while (settle(cursor, reader, file)) {
    const entry = current(cursor)
    const found = get(reader, file, entry.keyspace, entry.key, entry.sequence)
    lines.push(describeEntry(entry), found === undefined ? "not found" : describeEntry({ ...entry, ...found }))
    cursor.next()
  }
  for (const f of reader.tombstones.fragments()) lines.push(`${f.keyspace} ${hex(f.start)} ${hex(f.end)} ${f.sequences}`)
  lines.push(JSON.stringify(reader.properties))
  return lines.join("\n")
}
