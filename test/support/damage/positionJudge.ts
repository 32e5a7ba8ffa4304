/** Judges single flipped bits of a large closed database by the code that meets each kind of block first. */
import { CursorState } from "../../../src/domain/EntryCursor.ts"
import { Damage } from "../../../src/domain/failures.ts"
import type { SyncDisk } from "../../../src/domain/disk/SyncDisk.ts"
import { defaultKeyspace } from "../../../src/domain/keys/kinds.ts"
import { encodeEdit } from "../../../src/domain/manifest/editCodec.ts"
import { parseFileName } from "../../../src/domain/manifest/fileNames.ts"
import { type ManifestState, snapshotOf } from "../../../src/domain/manifest/ManifestState.ts"
import type { StepMachine } from "../../../src/domain/steps.ts"
import { TableCursor } from "../../../src/domain/table/TableCursor.ts"
import { TableReader } from "../../../src/domain/table/TableReader.ts"
import { verifyTable } from "../../../src/domain/table/verifyTable.ts"
import { readValue } from "../../../src/domain/values/readValue.ts"
import { valueFooterBytes, valueHeaderBytes } from "../../../src/domain/values/valueFormat.ts"
import type { ValuePointer } from "../../../src/domain/values/ValuePointer.ts"
import { walkRecords } from "../../../src/domain/values/walkRecords.ts"
import { walkValueFile } from "../../../src/domain/values/walkValueFile.ts"
import { scanSegment } from "../../../src/domain/wal/scanSegment.ts"
import { bytesSource } from "../../../src/domain/wal/SegmentSource.ts"
import { codecs } from "../../../src/layers/codecs.ts"
import { crc32 } from "../../../src/layers/crc32.ts"
import { readCurrentManifest, readWhole } from "../../../src/layers/recovery/readState.ts"
import { openSegment, scanLog } from "../../../src/layers/recovery/scanLog.ts"
import type { UnsafeReads } from "../../../src/services/Database.ts"
import { directory } from "../openEngine.ts"
import type { Block } from "./blockMap.ts"
import { type Answer, demandPlace, hex } from "./facts.ts"
import { readExact, withFlip } from "./flipping.ts"

/** The damage that is thrown, if any. */
export const damageOf = (attempt: () => void): Damage | undefined => {
  try {
    attempt()
    return undefined
  } catch (cause) {
    if (cause instanceof Damage) return cause
    throw cause
  }
}

/** Runs a machine that reads one file. */
const runOver = <A>(disk: SyncDisk, path: string, machine: StepMachine<A>): A => {
  let step = machine.next()
  while (!step.done) step = machine.next(step.value.step === "read" ? readExact(disk, path, step.value.offset, step.value.length) : undefined)
  return step.value
}

/** The content of a segment by itself, to its seal. Throws `Damage`. */
export const scanAlone = (disk: SyncDisk, state: ManifestState, fileId: number): void => {
  const meta = state.segments.get(fileId)!
  const { handle, header, path } = openSegment(disk, directory, state, meta)
  try {
    const source = { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) }
    scanSegment(crc32, header, source, { expectedEpoch: meta.epoch, basePosition: meta.basePosition, sealed: meta.sealed })
  } finally {
    handle.close()
  }
}

/** The log as an open reads it. Throws `Damage`. */
export const scanNeeded = (disk: SyncDisk, state: ManifestState): void => {
  for (const { handle } of scanLog(disk, directory, state, () => undefined).segments) handle.close()
}

/** Every byte of a table or value file. Throws `Damage`. */
export const verifyFile = (disk: SyncDisk, state: ManifestState, path: string): void => {
  const fileId = fileIdOf(path)
  const table = state.tables.get(fileId)
  const opening = { crc32, codecs, fileId, path, fileBytes: disk.stat(path)!.sizeBytes, uuid: state.uuid }
  if (table === undefined) runOver(disk, path, walkValueFile(opening))
  else runOver(disk, path, verifyTable(crc32, runOver(disk, path, TableReader.opening({ ...opening, root: table.root }))))
}

/** A table, as a read opens it. Throws `Damage`. */
export const openTableOf = (disk: SyncDisk, state: ManifestState, path: string): TableReader =>
  runOver(disk, path, TableReader.opening({ crc32, codecs, path, uuid: state.uuid, ...state.tables.get(fileIdOf(path))! }))

export const fileIdOf = (path: string): number => parseFileName(path.slice(directory.length + 1))!.id

const decoder = new TextDecoder()

/** What a leaf or a record holds of the default keyspace. */
interface Holds {
  readonly keys: Array<string>
  /** Of a leaf: the keys of the one before it in its table. */
  readonly before?: ReadonlyArray<string> | undefined
  readonly pointer?: ValuePointer
}

export class PositionJudge {
  readonly #disk: SyncDisk
  readonly #reads: UnsafeReads
  readonly #state: ManifestState
  readonly #holds = new Map<string, Holds>()
  readonly #whole: string
  /** Where a key stands among `keys`. */
  readonly #rank = new Map<string, number>()
  readonly keys: ReadonlyArray<string>
  #turn = 0

  /** `reads` caches nothing. */
  constructor(disk: SyncDisk, reads: UnsafeReads, state: ManifestState, blocks: ReadonlyArray<Block>) {
    this.#disk = disk
    this.#reads = reads
    this.#state = state
    this.#whole = hex(encodeEdit(snapshotOf(state)))
    for (const path of new Set(blocks.map((block) => block.path))) {
      if (path.endsWith(".table")) this.#lookAtTable(path)
      else if (path.endsWith(".values")) this.#lookAtValues(path)
    }
    this.keys = [...new Set([...this.#holds.values()].flatMap(({ keys }) => keys))].toSorted()
    this.keys.forEach((key, i) => this.#rank.set(key, i))
  }

  /** Whether the flipped bit was refused. Throws where an answer is wrong, an error names another place, or something else does not read. */
  judge(block: Block, offset: number, bit: number): boolean {
    const { section } = block
    this.#turn++
    const where = `bit ${bit} of byte ${offset} of ${block.path} (${section})`
    if (section === "table leaf" || section === "values record body") return this.#judgeRead(block, offset, bit, where)
    return withFlip(this.#disk, block.path, offset, bit, () => {
      let isSame = true
      const damage = damageOf(() => {
        if (section === "CURRENT" || section.startsWith("manifest")) isSame = this.#manifest() === this.#whole
        else if (section.startsWith("log")) this.#scanLog(block)
        else if (block.tableId === undefined || section === "table header" || section === "table footer")
          verifyFile(this.#disk, this.#state, block.path)
        else openTableOf(this.#disk, this.#state, block.path)
      })
      if (damage !== undefined) demandPlace(damage, block, offset, where)
      // An edit that is cut leaves the state before it.
      return damage !== undefined || !isSame
    })
  }

  #manifest(): string {
    return hex(encodeEdit(snapshotOf(readCurrentManifest(this.#disk, directory, "write")!.state)))
  }

  #scanLog({ path }: Block): void {
    const { sealed } = this.#state.segments.get(fileIdOf(path))!
    if (sealed!.lastSequence > this.#state.flushedThrough.sequence) scanNeeded(this.#disk, this.#state)
    else scanAlone(this.#disk, this.#state, fileIdOf(path))
  }

  /** A key of the block by itself and from it on in both directions; and another one that needs nothing of the block. */
  #judgeRead(block: Block, offset: number, bit: number, where: string): boolean {
    const holds = this.#holds.get(`${block.path} ${block.unitFrom}`)
    const of = holds?.keys ?? []
    const key = of[this.#turn % Math.max(of.length, 1)]
    let other = this.keys[(this.#turn * 7919) % this.keys.length]!
    if (key !== undefined && other >= of[0]! && other <= of.at(-1)!) other = this.keys.find((one) => one > of.at(-1)!) ?? this.keys[0]!
    // A range that ends within the leaf before, and is long enough for some to be read ahead.
    const upper = holds?.before?.at(-1)
    const from = upper === undefined ? 0 : (this.#rank.get(upper) ?? 0)
    const elsewhere = (): ReadonlyArray<Answer> => [
      this.#get(other),
      ...(upper === undefined ? [] : [this.#entries({ gte: this.keys[Math.max(0, from - 200)]!, lt: upper })])
    ]
    const here = (): ReadonlyArray<Answer> =>
      key === undefined ? [] : [this.#get(key), this.#entries({ gte: key, limit: 8 }), this.#entries({ lte: key, reverse: true, limit: 8 })]
    const ask = () => [...elsewhere(), ...here()]
    const elsewheres = upper === undefined ? 1 : 2
    const before = ask()
    const { after, damage } = withFlip(this.#disk, block.path, offset, bit, () => ({
      after: ask(),
      // What a newer version hides nobody reads; it is damaged all the same.
      damage: damageOf(() => {
        const table = block.tableId === undefined ? undefined : openTableOf(this.#disk, this.#state, block.path)
        const stored = readExact(this.#disk, block.path, block.from, block.to - block.from)
        if (table !== undefined) table.verifyLeaf(block.leaf!, stored)
        else readValue(crc32, codecs, block.path, holds!.pointer!, stored)
      })
    }))
    before.forEach((expected, i) => {
      if (expected.error !== undefined) throw new Error(`${where}: ${key} did not read before`, { cause: expected.error })
      const found = after[i]!
      found.items.forEach((item, j) => {
        if (item !== expected.items[j]) throw new Error(`${where}: a wrong answer to question ${i}, about ${i < elsewheres ? other : key}`)
      })
      if (found.error !== undefined) {
        if (i < elsewheres) throw new Error(`${where}: ${i === 0 ? other : `what lies before ${upper}`} does not read`, { cause: found.error })
        demandPlace(found.error, block, offset, where)
      } else if (found.items.length !== expected.items.length) throw new Error(`${where}: an answer that ends early`)
    })
    if (damage !== undefined) demandPlace(damage, block, offset, where)
    return damage !== undefined
  }

  #get(key: string): Answer {
    try {
      return { items: [hex(this.#reads.get(key))], error: undefined }
    } catch (error) {
      return { items: [], error }
    }
  }

  #entries(range: Parameters<UnsafeReads["entries"]>[0]): Answer {
    const items: Array<string> = []
    try {
      for (const [key, value] of this.#reads.entries(range)) items.push(`${hex(key)}=${hex(value)}`)
      return { items, error: undefined }
    } catch (error) {
      return { items, error }
    }
  }

  #lookAtTable(path: string): void {
    const table = openTableOf(this.#disk, this.#state, path)
    const cursor = new TableCursor(table)
    let holds: Holds = { keys: [] }
    for (cursor.seekFirst(); cursor.state !== CursorState.atEnd;) {
      if (cursor.state === CursorState.needsBlock) {
        const need = cursor.need!
        this.#holds.set(`${path} ${need.offset}`, (holds = { keys: [], before: holds.keys }))
        cursor.supply(table.verifyBlock(need, readExact(this.#disk, path, need.offset, need.storedLength)))
        continue
      }
      if (cursor.keyspace === defaultKeyspace) holds.keys.push(decoder.decode(cursor.keyBytes.subarray(cursor.keyStart, cursor.keyEnd)))
      cursor.next()
    }
  }

  #lookAtValues(path: string): void {
    const bytes = readWhole(this.#disk, path)
    for (const part of walkRecords(crc32, fileIdOf(path), bytesSource(path, bytes), valueHeaderBytes, bytes.length - valueFooterBytes))
      if (part.type === "record") this.#holds.set(`${path} ${part.offset}`, { keys: [decoder.decode(part.record.key)], pointer: part.pointer })
  }
}
