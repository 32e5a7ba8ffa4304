import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type { FileHandle } from "../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../domain/failures.ts"
import { fileName } from "../domain/manifest/fileNames.ts"
import type { ManifestState } from "../domain/manifest/ManifestState.ts"
import { TableReader } from "../domain/table/TableReader.ts"
import { MalformedBytes } from "../domain/bytes/varint.ts"
import { decodeValuePointer, type ValuePointer } from "../domain/values/ValuePointer.ts"
import { readValue as decodeValue } from "../domain/values/readValue.ts"
import { retryDefaults } from "../domain/options/faultOptions.ts"
import { BlockCache } from "../services/BlockCache.ts"
import { Breakers } from "../services/Breakers.ts"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Manifest } from "../services/Manifest.ts"
import { MemoryBudget } from "../services/MemoryBudget.ts"
import { Recovery } from "../services/Recovery.ts"
import { SpaceKeeper } from "../services/SpaceKeeper.ts"
import { Tables, type TableSlot, type Version } from "../services/Tables.ts"
import { codecs } from "./codecs.ts"
import { crc32 } from "./crc32.ts"
import { makeReadRetries } from "./reading/readRetries.ts"
import { levelsOf } from "./tables/levelsOf.ts"
import { makePooledRead } from "./tables/pooledRead.ts"
import { probeReads } from "./tables/probeReads.ts"
import { ReadBreakers, type ReadFaults } from "./tables/ReadBreakers.ts"

interface PinnedVersion extends Version {
  pins: number
}

interface ValueSlot {
  readonly path: string
  handle: FileHandle | undefined
}

/** Above this an inline read is not served from the page cache any more. */
const fastReadMicrosMax = 50
/** One inline read in so many is timed; each moves the average by an eighth. */
const timedReads = 32
/** Some thirty pooled reads after the average has reached its top, reads are inline again. */
const pooledDecay = 0.98
const shortOfHandles: ReadonlySet<string> = new Set(["EMFILE", "ENFILE"])

/** What a reader beside a writer needs more: the files of a version in its hands before the writer may unlink them. */
export interface ReadOnlyTables {
  /** Opens every file of the current version. Throws `IoFailure`, ENOENT where one is gone. */
  readonly openFiles: () => void
  /** Opens the files of the state that are not open yet; `install` then finds them. Throws as above. */
  readonly openFilesOf: (state: ManifestState) => void
}

/** The plain part: also what a read-only database uses, which follows another process's manifest. */
export const makeTables = (input: {
  readonly disk: Disk["Service"]
  readonly directory: string
  readonly cache: BlockCache["Service"]
  readonly maxOpenTables: number
  readonly monotonicMs: () => number
  readonly initial: ManifestState
  /** What becomes of reads that fail; without, they fail. */
  readonly faults?: ReadFaults
  /** Runs, until the database closes, what probes the files that cannot be read, while there are any. Without, only reads of users do. */
  readonly probing?: (loop: Effect.Effect<void>) => void
  /** Called when a table was opened: its index is in memory now. */
  readonly opened?: () => void
  /** Whether this is the owner of the files: it removes those that no version names any more. A reader beside a writer does not, and never closes one that it may still need. */
  readonly removes: boolean
  /** Called when a file was removed: there may be room again. */
  readonly removed?: (() => void) | undefined
}): Tables["Service"] & ReadOnlyTables & { readonly close: () => void } => {
  const { cache, directory, disk, maxOpenTables, monotonicMs } = input
  const slots = new Map<number, TableSlot>()
  const valueSlots = new Map<number, ValueSlot>()
  /** By file id: how many live versions name the file. */
  const references = new Map<number, number>()
  let openTables: Array<TableSlot> = []
  /** Files opened for a version that is not installed yet. */
  const early = new Map<number, FileHandle>()
  let hand = 0
  let indexBytes = 0
  let averageMicros = 0
  let untilTimed = 1
  let scratch = new Uint8Array(65_536)
  let closed = false
  const retried = makeReadRetries(input.faults?.retry ?? retryDefaults)
  const reads = new ReadBreakers(input.faults)

  const pathOf = (kind: "table" | "values", id: number) => `${directory}/${fileName(kind, id)}`

  /** One slot for a file while a version names it: a trivial move changes its level, which the place in the version tells, and nothing of what is open. */
  const slotOf = (meta: TableSlot["meta"]): TableSlot => {
    let slot = slots.get(meta.fileId)
    if (slot === undefined) {
      slot = { meta, reader: undefined, handle: undefined, touched: false, busy: 0 }
      slots.set(meta.fileId, slot)
    }
    return slot
  }

  const versionOf = (state: ManifestState): PinnedVersion => {
    for (const id of [...state.tables.keys(), ...state.valueFiles.keys()]) references.set(id, (references.get(id) ?? 0) + 1)
    return { levels: levelsOf(state).map((level) => level.map(slotOf)), state, pins: 1 }
  }

  const forgetReader = (slot: TableSlot) => {
    if (slot.reader !== undefined) indexBytes -= slot.reader.sizeBytes
    slot.reader = undefined
  }

  const closeSlot = (slot: TableSlot) => {
    slot.handle?.close()
    slot.handle = undefined
    forgetReader(slot)
  }

  const removeFile = (path: string) => {
    if (!input.removes) return
    try {
      disk.sync.remove(path)
      input.removed?.()
    } catch (cause) {
      // An orphan: the next open removes it.
      if (!(cause instanceof IoFailure)) throw cause
    }
  }

  const unreference = (id: number) => {
    const left = references.get(id)! - 1
    if (left > 0) {
      references.set(id, left)
      return
    }
    references.delete(id)
    reads.forget(id)
    const slot = slots.get(id)
    if (slot !== undefined) {
      slots.delete(id)
      openTables = openTables.filter((open) => open !== slot)
      closeSlot(slot)
      cache.removeTable(id)
      removeFile(pathOf("table", id))
      return
    }
    valueSlots.get(id)?.handle?.close()
    valueSlots.delete(id)
    removeFile(pathOf("values", id))
  }

  const openFilesOf = (state: ManifestState) => {
    for (const meta of state.tables.values()) {
      const slot = slots.get(meta.fileId)
      if (slot?.handle === undefined && !early.has(meta.fileId)) early.set(meta.fileId, disk.sync.open(pathOf("table", meta.fileId), "read"))
    }
    for (const file of state.valueFiles.values()) {
      let slot = valueSlots.get(file.fileId)
      if (slot === undefined) {
        slot = { path: pathOf("values", file.fileId), handle: undefined }
        valueSlots.set(file.fileId, slot)
      }
      slot.handle ??= disk.sync.open(slot.path, "read")
    }
  }

  /** Gives the handles that were opened early to the slots of a version, and closes those it does not name. */
  const adoptEarly = () => {
    for (const [id, handle] of early) {
      const slot = slots.get(id)
      if (slot !== undefined && slot.handle === undefined) slot.handle = handle
      else handle.close()
    }
    early.clear()
    for (const [id, slot] of valueSlots) {
      if (references.has(id)) continue
      slot.handle?.close()
      valueSlots.delete(id)
    }
  }

  const unpin = (version: Version) => {
    const pinned = version as PinnedVersion
    if (--pinned.pins > 0) return
    for (const id of [...pinned.state.tables.keys(), ...pinned.state.valueFiles.keys()]) unreference(id)
  }

  let current = versionOf(input.initial)

  const readExact = (handle: FileHandle, offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    const count = handle.readAt(bytes, offset)
    if (count !== length) throw new Damage(handle.path, offset, "Truncated", `${count} of ${length} bytes`)
    return bytes
  }

  /** Second chance: closes the first open table that was not used since the hand passed, and that no pooled read holds. */
  const closeOne = () => {
    for (let i = 0; i < openTables.length * 2; i++) {
      hand = (hand + 1) % openTables.length
      const slot = openTables[hand]!
      if (slot.busy > 0) continue
      if (slot.touched) slot.touched = false
      else {
        // What a reader gives up is the index in memory: its file may have no name any more.
        if (input.removes) closeSlot(slot)
        else forgetReader(slot)
        openTables.splice(hand, 1)
        return
      }
    }
  }

  /** Where the process or the system has no handle left, one of our own is given up for it, at once. */
  const openFile = (path: string): FileHandle => {
    try {
      return disk.sync.open(path, "read")
    } catch (cause) {
      if (!(cause instanceof IoFailure) || !shortOfHandles.has(cause.code) || !input.removes || openTables.length === 0) throw cause
      closeOne()
      return disk.sync.open(path, "read")
    }
  }

  if (input.probing !== undefined) {
    const pathNow = (id: number) => (!closed && references.has(id) ? pathOf(slots.has(id) ? "table" : "values", id) : undefined)
    probeReads({ disk, reads, pathOf: pathNow, open: openFile }, input.probing)
  }

  const open = (slot: TableSlot): TableReader => {
    if (openTables.length >= maxOpenTables) closeOne()
    const path = pathOf("table", slot.meta.fileId)
    // A read that outlives the database must not open its files again, which may be another owner's by then.
    if (closed) throw new IoFailure("open", path, "EBADF")
    const { fileId } = slot.meta
    if (!reads.isIdle) reads.admit(fileId, path, 0)
    let handle: FileHandle | undefined = slot.handle
    try {
      handle ??= openFile(path)
      const opened = handle
      slot.reader = TableReader.open(
        crc32,
        codecs,
        slot.meta.fileId,
        path,
        slot.meta.fileBytes,
        slot.meta.root,
        (offset, length) => readExact(opened, offset, length),
        current.state.uuid
      )
    } catch (cause) {
      handle?.close()
      slot.handle = undefined
      throw reads.failed(fileId, 0, cause)
    }
    if (!reads.isIdle) reads.succeeded(fileId)
    slot.handle = handle
    openTables.push(slot)
    indexBytes += slot.reader.sizeBytes
    input.opened?.()
    return slot.reader
  }

  const reader = (slot: TableSlot): TableReader => {
    slot.touched = true
    return slot.reader ?? open(slot)
  }

  const found: { bytes: Uint8Array; start: number } = { bytes: scratch, start: 0 }

  /** Fills `into` from where the leaf begins. */
  const readStored = (slot: TableSlot, table: TableReader, leaf: number, into: Uint8Array) => {
    const offset = table.leafOffset(leaf)
    const timed = --untilTimed === 0
    const startedMs = timed ? monotonicMs() : 0
    const { fileId } = slot.meta
    if (!reads.isIdle) reads.admit(fileId, table.path, offset)
    let count: number
    try {
      count = slot.handle!.readAt(into, offset)
    } catch (cause) {
      throw reads.failed(fileId, offset, cause)
    }
    if (!reads.isIdle) reads.succeeded(fileId)
    if (timed) {
      untilTimed = timedReads
      // One read during which another process had the processor says nothing about the disk: no sample counts for more than twice the limit.
      averageMicros += (Math.min((monotonicMs() - startedMs) * 1000, 2 * fastReadMicrosMax) - averageMicros) / 8
    }
    if (count !== into.length) throw reads.failed(fileId, offset, new Damage(table.path, offset, "Truncated", `${count} of ${into.length} bytes`))
  }

  /** The leaf as it was written. Throws `Damage`. */
  const verified = (slot: TableSlot, table: TableReader, leaf: number, stored: Uint8Array): Uint8Array => {
    try {
      return table.verifyLeaf(leaf, stored)
    } catch (cause) {
      throw reads.failed(slot.meta.fileId, table.leafOffset(leaf), cause)
    }
  }

  const valueHandle = (pointer: ValuePointer): FileHandle => {
    let slot = valueSlots.get(pointer.fileId)
    if (slot === undefined) {
      slot = { path: pathOf("values", pointer.fileId), handle: undefined }
      valueSlots.set(pointer.fileId, slot)
    }
    if (closed) throw new IoFailure("open", slot.path, "EBADF")
    slot.handle ??= openFile(slot.path)
    return slot.handle
  }

  const pointerIn = (bytes: Uint8Array, start: number, end: number): ValuePointer => {
    try {
      return decodeValuePointer(bytes, start, end)
    } catch (cause) {
      if (cause instanceof MalformedBytes) throw new Damage(directory, 0, "Malformed", cause.message)
      throw cause
    }
  }

  const pooledRead = makePooledRead(disk, reads, () => {
    // While reads go through the pool nothing is timed: after some of them the disk gets another chance.
    averageMicros *= pooledDecay
  })

  return {
    current: () => current,
    pin: () => {
      current.pins++
      return current
    },
    unpin,
    install: (state) => {
      const previous = current
      // The new version first: files that both name must not lose their last reference in between.
      current = versionOf(state)
      if (early.size > 0) adoptEarly()
      unpin(previous)
      return current
    },
    openFilesOf,
    openFiles: () => {
      openFilesOf(current.state)
      adoptEarly()
    },
    reader,
    findLeaf: (slot, leaf, mayBlock) => {
      const tableId = slot.meta.fileId
      if (cache.find(tableId, leaf)) {
        found.bytes = cache.bytes
        found.start = cache.start
        return true
      }
      if (!mayBlock) return false
      const table = reader(slot)
      const length = table.leafStoredLength(leaf)
      // An uncompressed leaf is read to where it will stay.
      if (table.fences.codec(leaf) === 0 && cache.place(tableId, leaf, length)) {
        const { bytes, start } = cache
        try {
          const stored = bytes.subarray(start, start + length)
          readStored(slot, table, leaf, stored)
          verified(slot, table, leaf, stored)
        } catch (cause) {
          cache.remove(tableId, leaf)
          throw cause
        }
        found.bytes = bytes
        found.start = start
        return true
      }
      if (scratch.length < length) scratch = new Uint8Array(length)
      const stored = scratch.subarray(0, length)
      readStored(slot, table, leaf, stored)
      const block = verified(slot, table, leaf, stored)
      cache.put(tableId, leaf, block)
      found.bytes = block
      found.start = 0
      return true
    },
    found,
    copyLeaf: (tableId, leaf) => cache.copy(tableId, leaf),
    readLeaves: (slot, first, last, keep) => {
      const table = reader(slot)
      const offset = table.leafOffset(first)
      const stored = new Uint8Array(table.leafOffset(last) + table.leafStoredLength(last) - offset)
      readStored(slot, table, first, stored)
      const blocks: Array<Uint8Array> = []
      for (let leaf = first; leaf <= last; leaf++) {
        const at = table.leafOffset(leaf) - offset
        const block = verified(slot, table, leaf, stored.subarray(at, at + table.leafStoredLength(leaf)))
        if (keep) cache.put(slot.meta.fileId, leaf, block)
        blocks.push(block)
      }
      return blocks
    },
    readLeafPooled: (slot, leaf, keep) =>
      pooledRead(
        () => {
          const table = reader(slot)
          const offset = table.leafOffset(leaf)
          return { handle: slot.handle!, fileId: slot.meta.fileId, path: table.path, offset, length: table.leafStoredLength(leaf), slot, table }
        },
        ({ table }, stored) => {
          const block = table.verifyLeaf(leaf, stored)
          if (keep) cache.put(slot.meta.fileId, leaf, block)
          return block
        }
      ),
    readValue: (bytes, start, end) => {
      const pointer = pointerIn(bytes, start, end)
      const { fileId, offset } = pointer
      if (!reads.isIdle) reads.admit(fileId, pathOf("values", fileId), offset)
      try {
        const handle = valueHandle(pointer)
        const value = decodeValue(crc32, codecs, handle.path, pointer, readExact(handle, offset, pointer.storedLength))
        if (!reads.isIdle) reads.succeeded(fileId)
        return value
      } catch (cause) {
        throw reads.failed(fileId, offset, cause)
      }
    },
    readValuePooled: (bytes, start, end) => {
      const copy = bytes.slice(start, end)
      return pooledRead(
        () => {
          const pointer = pointerIn(copy, 0, copy.length)
          const handle = valueHandle(pointer)
          return { handle, fileId: pointer.fileId, path: handle.path, offset: pointer.offset, length: pointer.storedLength, slot: undefined, pointer }
        },
        ({ path, pointer }, stored) => decodeValue(crc32, codecs, path, pointer, stored)
      )
    },
    retried,
    readsAreFast: () => averageMicros < fastReadMicrosMax,
    openCount: () => openTables.length,
    indexBytes: () => indexBytes,
    trimIndexes: (bytes) => {
      // Who cannot be closed now, because it is in use, ends it: the next one that opens looks again.
      for (let before = -1; indexBytes > bytes && openTables.length > 0 && openTables.length !== before;) {
        before = openTables.length
        closeOne()
      }
    },
    lingering: () => [...references.keys()].filter((id) => !current.state.tables.has(id) && !current.state.valueFiles.has(id)),
    close: () => {
      closed = true
      for (const slot of slots.values()) closeSlot(slot)
      for (const handle of early.values()) handle.close()
      early.clear()
      openTables = []
      for (const slot of valueSlots.values()) slot.handle?.close()
      valueSlots.clear()
    }
  }
}

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const options = yield* EngineOptions
  const clock = yield* EngineClock
  const manifest = yield* Manifest
  const cache = yield* BlockCache
  const memory = yield* MemoryBudget
  const { directory } = yield* Recovery
  const health = yield* HealthMonitor
  const probes = yield* FiberSet.make<void, never>()
  health.onFailed(FiberSet.clear(probes))
  const tables = makeTables({
    disk,
    directory,
    cache,
    maxOpenTables: options.maxOpenTables,
    monotonicMs: clock.monotonicMs,
    initial: manifest.state(),
    faults: { breakers: yield* Breakers, health, retry: options.retry },
    probing: yield* FiberSet.runtime(probes)<never>(),
    opened: memory.changed,
    removes: true,
    removed: (yield* SpaceKeeper).changed
  })
  yield* Effect.addFinalizer(() => Effect.sync(tables.close))
  return Tables.of(tables)
})

export const layer: Layer.Layer<
  Tables,
  never,
  Breakers | HealthMonitor | Disk | EngineOptions | EngineClock | Manifest | MemoryBudget | BlockCache | Recovery | SpaceKeeper
> = Layer.effect(Tables, make)
