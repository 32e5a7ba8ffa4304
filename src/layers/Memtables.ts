import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { arenaBytes, Memtable, memtableHeaderBytes } from "../domain/memtable/Memtable.ts"
import { OpenSequences } from "../domain/transaction/OpenSequences.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { MemoryBudget } from "../services/MemoryBudget.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"

const make = Effect.gen(function* () {
  const options = yield* EngineOptions
  const recovery = yield* Recovery
  const memory = yield* MemoryBudget
  let all: ReadonlyArray<Memtable> = recovery.memtables
  const listeners: Array<() => void> = []

  const standardBytes = arenaBytes(options.memtableBytes)
  /** How many reads hold a memtable. */
  const holds = new Map<Memtable, number>()
  /**
   * Memory of dropped memtables. The platform does not count shared memory when it decides whether to collect garbage: left to it, a fast load would hold a gigabyte of
   * buffers that nobody needs. And memory that was used before is faster than fresh one, of which each page must be zeroed first.
   */
  const spares: Array<SharedArrayBuffer> = []

  /** In tables already, kept for validation; the oldest first. */
  const kept: Array<Memtable> = []
  /** Whoever reads at an earlier sequence can no longer be validated. What was written before this open is in no memtable for sure. */
  let floor = recovery.visibleSequence
  const validated = new OpenSequences()

  /** Counted anew each time: what is built over a memtable grows with the questions asked. */
  const keptBytes = () => kept.reduce((sum, memtable) => sum + memtable.memoryBytes, 0)

  const retire = (memtable: Memtable) => {
    if (holds.has(memtable) || all.includes(memtable) || kept.includes(memtable)) return
    const { buffer } = memtable
    if (buffer.byteLength === standardBytes && all.length + spares.length < options.writeBufferCount) spares.push(buffer)
  }

  /** Gives up the oldest ones that no open transaction needs, and those that do not fit. */
  const trimKept = (bytesMax = options.validationBytes) => {
    const oldest = validated.oldest
    while (kept.length > 0 && (kept[0]!.validationSequence <= oldest || keptBytes() > bytesMax)) {
      const given = kept.shift()!
      floor = Math.max(floor, given.validationSequence)
      retire(given)
    }
  }

  const start = (bytes: number) => {
    const capacityBytes = Math.max(options.memtableBytes, bytes + memtableHeaderBytes)
    const memtable = capacityBytes <= standardBytes ? new Memtable(capacityBytes, spares.pop()) : new Memtable(capacityBytes)
    // As large a hash table as the last one came to need: growing it again step by step would place every key anew each time.
    memtable.reserve(0, all[0]!.keyCount)
    all = [memtable, ...all]
    memory.changed()
    for (const listener of listeners) listener()
  }

  return Memtables.of({
    all: () => all,
    active: () => all[0]!,
    makeRoom: (bytes, entries) => {
      const active = all[0]!
      if (active.reserve(bytes, entries)) return active
      if (active.isEmpty) {
        if (!memory.admits(bytes)) return undefined
        // Larger than a memtable: one of its own size takes the empty one's place; it may still hold ranges that count as written.
        if (active.validationSequence > 0) kept.push(active)
        all = [new Memtable(bytes + memtableHeaderBytes), ...all.slice(1)]
      } else {
        if (all.length >= options.writeBufferCount || !memory.admits(Math.max(standardBytes, bytes))) return undefined
        start(bytes)
      }
      all[0]!.reserve(bytes, entries)
      return all[0]
    },
    freeze: () => {
      if (!all[0]!.isEmpty) start(0)
    },
    oldestFrozen: () => (all.length > 1 ? all[all.length - 1] : undefined),
    frozenCount: () => all.length - 1,
    hold: () => {
      let held: ReadonlyArray<Memtable> = all
      for (const memtable of held) holds.set(memtable, (holds.get(memtable) ?? 0) + 1)
      return () => {
        const ended = held
        held = []
        for (const memtable of ended) {
          const left = holds.get(memtable)! - 1
          if (left > 0) holds.set(memtable, left)
          else {
            holds.delete(memtable)
            retire(memtable)
            if (!all.includes(memtable)) memory.changed()
          }
        }
      }
    },
    drop: (memtable) => {
      all = all.filter((m) => m !== memtable)
      kept.push(memtable)
      trimKept()
      memory.changed()
    },
    bytes: () => all.reduce((sum, m) => sum + m.memoryBytes, 0),
    entries: () => all.reduce((sum, m) => sum + m.entryCount, 0),
    spareBytes: () => spares.length * standardBytes,
    dropSpares: () => {
      spares.length = Math.min(spares.length, 1)
    },
    onFreeze: (listener) => {
      listeners.push(listener)
    },
    beginValidation: (sequence) => validated.add(sequence),
    endValidation: (sequence) => {
      validated.remove(sequence)
      if (kept.length === 0) return
      trimKept()
      memory.changed()
    },
    newestOfKey: (keyspace, hash, key, start, end, above) => {
      if (above < floor) return -1
      // The newest first: what one holds is newer than all that the following ones do.
      for (let i = 0; i < all.length; i++) {
        const sequence = all[i]!.newestSequenceOf(keyspace, hash, key, start, end, above)
        if (sequence > 0) return sequence
      }
      for (let i = kept.length - 1; i >= 0; i--) {
        const sequence = kept[i]!.newestSequenceOf(keyspace, hash, key, start, end, above)
        if (sequence > 0) return sequence
      }
      return 0
    },
    newestInRange: (keyspace, start, end, above) => {
      if (above < floor) return -1
      for (let i = 0; i < all.length; i++) {
        const sequence = all[i]!.maxSequenceInRange(keyspace, start, end, above)
        if (sequence > 0) return sequence
      }
      for (let i = kept.length - 1; i >= 0; i--) {
        const sequence = kept[i]!.maxSequenceInRange(keyspace, start, end, above)
        if (sequence > 0) return sequence
      }
      return 0
    },
    validationBytes: keptBytes,
    trimValidation: trimKept,
    heldBytes: () => {
      let sum = 0
      for (const memtable of holds.keys()) if (!all.includes(memtable) && !kept.includes(memtable)) sum += memtable.memoryBytes
      return sum
    }
  })
})

export const layer: Layer.Layer<Memtables, never, EngineOptions | MemoryBudget | Recovery> = Layer.effect(Memtables, make)
