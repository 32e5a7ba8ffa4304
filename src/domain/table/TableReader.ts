/**
 * An open table: everything but the leaves is in memory and verified. No I/O: whoever reads leaves brings them (`BlockSource`, `LeafNeed`). docs/format/table.md.
 */
import { MalformedBytes } from "../bytes/varint.ts"
import type { BlockNeed } from "../EntryCursor.ts"
import { Damage } from "../failures.ts"
import type { Codecs, Crc32 } from "../seams.ts"
import type { StepMachine } from "../steps.ts"
import { BloomFilter } from "./BloomFilter.ts"
import { FenceIndex } from "./FenceIndex.ts"
import { readFencePage } from "./FencePages.ts"
import { LeafSearch, leafTag, Lookup, searchLeaf } from "./leaf.ts"
import type { LookupResult } from "./leaf.ts"
import { FragmentedTombstones } from "./RangeTombstones.ts"
import { verifyStored } from "./storedBlock.ts"
import type { StoredBlock } from "./storedBlock.ts"
import { decodeRoot, decodeTableFooter, SectionKind, tableFooterBytes } from "./tableFormat.ts"
import type { BlockPointer, Section } from "./tableFormat.ts"
import { decodeTableProperties } from "./TableProperties.ts"
import type { TableProperties } from "./TableProperties.ts"

/** A leaf that is missing. */
export interface LeafNeed extends BlockNeed {
  readonly leaf: number
}

/**
 * Where point lookups find leaves. `fetch` answers whether it has the leaf; then its verified content lies in `bytes` from `start`, until the next `fetch`.
 *
 * The content may lie anywhere in a large array: a cache keeps all blocks in one slab, since an array object per block, which is never in the CPU's cache, costs
 * a lookup as much as the rest of it.
 */
export interface BlockSource {
  readonly bytes: Uint8Array
  readonly start: number
  readonly fetch: (tableId: number, leaf: number) => boolean
}

/** A `BlockSource` over a function that answers with whole blocks. */
export class BlockSourceOf implements BlockSource {
  bytes: Uint8Array = new Uint8Array(0)
  readonly start = 0
  readonly #getBlock: (tableId: number, leaf: number) => Uint8Array | undefined

  constructor(getBlock: (tableId: number, leaf: number) => Uint8Array | undefined) {
    this.#getBlock = getBlock
  }

  fetch(tableId: number, leaf: number): boolean {
    const block = this.#getBlock(tableId, leaf)
    if (block === undefined) return false
    this.bytes = block
    return true
  }
}

export interface TableOpening {
  readonly crc32: Crc32
  readonly codecs: Codecs
  readonly fileId: number
  /** For messages. */
  readonly path: string
  readonly fileBytes: number
  /** From the manifest. Undefined only in repair: the footer is believed then. */
  readonly root: BlockPointer | undefined
  /** Of the database; when given, another database's file is refused. */
  readonly uuid?: Uint8Array | undefined
}

export class TableReader {
  readonly fileId: number
  readonly path: string
  readonly fileBytes: number
  readonly properties: TableProperties
  readonly tombstones: FragmentedTombstones
  readonly leafCount: number
  /** The blocks above the leaves, for verification. */
  readonly sections: ReadonlyArray<Section>
  /** Undefined when the table was built without. */
  readonly filter: BloomFilter | undefined
  readonly fences: FenceIndex
  readonly #crc32: Crc32
  readonly #codecs: Codecs

  private constructor(
    opening: TableOpening,
    properties: TableProperties,
    tombstones: FragmentedTombstones,
    filter: BloomFilter | undefined,
    fences: FenceIndex,
    sections: ReadonlyArray<Section>
  ) {
    this.fileId = opening.fileId
    this.path = opening.path
    this.fileBytes = opening.fileBytes
    this.properties = properties
    this.tombstones = tombstones
    this.filter = filter
    this.fences = fences
    this.sections = sections
    this.leafCount = fences.leafCount
    this.#crc32 = opening.crc32
    this.#codecs = opening.codecs
  }

  /**
   * Opens a table with synchronous reads. `readExact` returns exactly `length` bytes or throws. Throws `Damage` naming the path and where the damaged block starts.
   */
  static open(
    crc32: Crc32,
    codecs: Codecs,
    fileId: number,
    path: string,
    fileBytes: number,
    root: BlockPointer | undefined,
    readExact: (offset: number, length: number) => Uint8Array,
    uuid?: Uint8Array
  ): TableReader {
    const steps = TableReader.opening({ crc32, codecs, fileId, path, fileBytes, root, uuid })
    let step = steps.next()
    while (!step.done) step = steps.next(step.value.step === "read" ? readExact(step.value.offset, step.value.length) : undefined)
    return step.value
  }

  /** The same as a step machine that only reads: a block at a time, in file order but for the root. */
  static *opening(opening: TableOpening): StepMachine<TableReader> {
    const { path, fileId, fileBytes } = opening
    let root = opening.root
    if (root === undefined) {
      const offset = fileBytes - tableFooterBytes
      if (offset < 0) throw new Damage(path, 0, "Truncated", `a table of ${fileBytes} bytes`)
      const bytes = (yield { step: "read", kind: "table", fileId, offset, length: tableFooterBytes })!
      const footer = decodeTableFooter(opening.crc32, bytes, path, offset)
      if (footer.fileId !== fileId) throw new Damage(path, offset, "Unexpected", `this is table ${footer.fileId}, not ${fileId}`)
      root = footer.root
    }
    const rootBytes = yield* readBlock(opening, root)
    const sections = guard(path, root.offset, () => decodeRoot(rootBytes, path, root.offset))
    let leafCount = 0
    for (const section of sections) if (section.kind === SectionKind.fencePage) leafCount += section.leafCount
    // Every leaf takes a byte of file: no count makes us allocate more than the file could explain.
    if (leafCount > fileBytes) throw new Damage(path, root.offset, "Malformed", `${leafCount} leaves`)
    const fences = new FenceIndex(leafCount, fileBytes)
    let filter: BloomFilter | undefined
    let tombstones = FragmentedTombstones.empty
    let properties: TableProperties | undefined
    for (const section of sections) {
      const { kind, offset } = section
      if (kind < SectionKind.fencePage || kind > SectionKind.properties) continue
      const bytes = yield* readBlock(opening, section)
      if (kind === SectionKind.fencePage) {
        const isGood = guard(path, offset, () =>
          readFencePage(
            bytes,
            section.leafCount,
            (entry) =>
              entry.offset + entry.storedLength <= fileBytes &&
              fences.add(
                entry.keyspace,
                entry.fence,
                entry.fenceLength,
                entry.sequence,
                entry.offset,
                entry.storedLength,
                entry.rawLength,
                entry.codec,
                entry.sum
              )
          )
        )
        if (!isGood) throw new Damage(path, offset, "Malformed", "fence page")
      } else if (kind === SectionKind.filter) {
        filter = BloomFilter.decode(bytes)
        if (filter === undefined) throw new Damage(path, offset, "Malformed", "filter")
      } else if (kind === SectionKind.tombstones) {
        tombstones = FragmentedTombstones.decode(bytes, path, offset)
      } else {
        properties = guard(path, offset, () => decodeTableProperties(bytes))
        // The manifest named this file id: what answers to it under another one is a misplaced file.
        if (properties.fileId !== fileId) throw new Damage(path, offset, "Unexpected", `this is table ${properties.fileId}, not ${fileId}`)
        if (opening.uuid !== undefined && !sameBytes(opening.uuid, properties.uuid))
          throw new Damage(path, offset, "Unexpected", "a table of another database")
      }
    }
    if (properties === undefined) throw new Damage(path, root.offset, "Malformed", "no properties")
    fences.finish()
    return new TableReader(opening, properties, tombstones, filter, fences, sections)
  }

  /** Memory held by what is kept of the table. */
  get sizeBytes(): number {
    return this.fences.sizeBytes + (this.filter === undefined ? 0 : this.filter.sizeBytes) + this.tombstones.sizeBytes
  }

  /** The highest sequence ≤ `snapshot` of a range tombstone of this table over the key, or 0. */
  coveringTombstone(keyspace: number, key: Uint8Array, keyStart: number, keyEnd: number, snapshot: number): number {
    return this.tombstones.covering(keyspace, key, keyStart, keyEnd, snapshot)
  }

  /** False: no version of a key with this hash (`keyHash` with its keyspace's seed) is in the table. Says nothing about range tombstones. */
  mayContain(hash: number): boolean {
    return this.filter === undefined || this.filter.mayContain(hash)
  }

  /** The leaf where a lookup of the key at `snapshot` begins, or -1: certainly no point entry of it. */
  candidateLeaf(keyspace: number, hash: number, key: Uint8Array, keyStart: number, keyEnd: number, snapshot: number): number {
    if (this.filter !== undefined && !this.filter.mayContain(hash)) return -1
    return this.fences.find(keyspace, key, keyStart, keyEnd, snapshot)
  }

  /**
   * Searches the leaf `leaf`, whose content lies at `bytes[start, …)`. `needsBlock`: the versions go on, and the one at `snapshot` is in leaf `result.leaf`.
   */
  searchLeaf(
    leaf: number,
    bytes: Uint8Array,
    start: number,
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    snapshot: number,
    result: LookupResult
  ): Lookup {
    const outcome = searchLeaf(bytes, start, leafTag(hash), key, keyStart, keyEnd, snapshot, result)
    if (outcome !== LeafSearch.beyond) {
      result.leaf = leaf
      return outcome
    }
    if (!this.fences.continues(leaf + 1, key, keyStart, keyEnd)) return Lookup.absent
    result.leaf = leaf + 1
    return Lookup.needsBlock
  }

  /**
   * The newest version of the key at or below `snapshot`, described in `result`; deletes and expired entries are found like any other, range tombstones are not
   * looked at. `needsBlock`: the source has not got leaf `result.leaf`; bring it and ask again.
   */
  get(
    keyspace: number,
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    snapshot: number,
    source: BlockSource,
    result: LookupResult
  ): Lookup {
    if (this.filter !== undefined && !this.filter.mayContain(hash)) return Lookup.absent
    let leaf = this.fences.find(keyspace, key, keyStart, keyEnd, snapshot)
    if (leaf < 0) return Lookup.absent
    for (;;) {
      if (!source.fetch(this.fileId, leaf)) {
        result.leaf = leaf
        return Lookup.needsBlock
      }
      const outcome = this.searchLeaf(leaf, source.bytes, source.start, hash, key, keyStart, keyEnd, snapshot, result)
      if (outcome !== Lookup.needsBlock) return outcome
      leaf = result.leaf
    }
  }

  /** Where leaf `leaf` lies in the file. Leaves follow one another: a run of them can be read in one piece. */
  leafOffset(leaf: number): number {
    return this.fences.offset(leaf)
  }

  leafStoredLength(leaf: number): number {
    return this.fences.storedLength(leaf)
  }

  leafRawLength(leaf: number): number {
    return this.fences.rawLength(leaf)
  }

  leafNeed(leaf: number): LeafNeed {
    const fences = this.fences
    return {
      tableId: this.fileId,
      leaf,
      offset: fences.offset(leaf),
      storedLength: fences.storedLength(leaf),
      rawLength: fences.rawLength(leaf),
      codec: fences.codec(leaf),
      sum: fences.sum(leaf)
    }
  }

  /** The last leaf that a read of at most `bytesMax` bytes, from the beginning of `leaf`, holds whole; at least `leaf` itself. */
  lastLeafWithin(leaf: number, bytesMax: number): number {
    const end = this.fences.offset(leaf) + bytesMax
    let last = leaf
    while (last + 1 < this.leafCount && this.fences.offset(last + 1) + this.fences.storedLength(last + 1) <= end) last++
    return last
  }

  /** The content of a block from its stored bytes; the stored array itself where nothing is compressed. Throws `Damage`. */
  verifyBlock(need: StoredBlock, stored: Uint8Array): Uint8Array {
    return verifyStored(this.#crc32, this.#codecs, this.path, need, stored)
  }

  /** The same for a leaf by number, without an object for what is needed. */
  verifyLeaf(leaf: number, stored: Uint8Array): Uint8Array {
    const fences = this.fences
    if (fences.codec(leaf) === 0 && stored.length === fences.storedLength(leaf) && this.#crc32(stored) === fences.sum(leaf)) return stored
    return this.verifyBlock(this.leafNeed(leaf), stored)
  }
}

function* readBlock(opening: TableOpening, pointer: BlockPointer): StepMachine<Uint8Array> {
  const { path, fileId, fileBytes } = opening
  if (pointer.offset + pointer.storedLength > fileBytes)
    throw new Damage(path, pointer.offset, "Truncated", `${pointer.storedLength} bytes in a file of ${fileBytes}`)
  const stored = (yield { step: "read", kind: "table", fileId, offset: pointer.offset, length: pointer.storedLength })!
  return verifyStored(opening.crc32, opening.codecs, path, pointer, stored)
}

/** Decoders throw `MalformedBytes`; here it is known which file and block they read. */
const guard = <A>(path: string, offset: number, decode: () => A): A => {
  try {
    return decode()
  } catch (error) {
    if (error instanceof MalformedBytes) throw new Damage(path, offset, "Malformed", error.message)
    throw error
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false
  return a.length === b.length
}
