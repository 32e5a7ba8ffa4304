import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { arenaBytes, Memtable, memtableHeaderBytes } from "../domain/memtable/Memtable.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"

const make = Effect.gen(function* () {
  const options = yield* EngineOptions
  const recovery = yield* Recovery
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

  const retire = ({ buffer }: Memtable) => {
    if (buffer.byteLength === standardBytes && all.length + spares.length < options.writeBufferCount) spares.push(buffer)
  }

  const start = (bytes: number) => {
    const capacityBytes = Math.max(options.memtableBytes, bytes + memtableHeaderBytes)
    const memtable = capacityBytes <= standardBytes ? new Memtable(capacityBytes, spares.pop()) : new Memtable(capacityBytes)
    // As large a hash table as the last one came to need: growing it again step by step would place every key anew each time.
    memtable.reserve(0, all[0]!.keyCount)
    all = [memtable, ...all]
    for (const listener of listeners) listener()
  }

  return Memtables.of({
    all: () => all,
    active: () => all[0]!,
    makeRoom: (bytes, entries) => {
      const active = all[0]!
      if (active.reserve(bytes, entries)) return active
      if (active.isEmpty) {
        // Larger than a memtable: one of its own size takes the empty one's place.
        all = [new Memtable(bytes + memtableHeaderBytes), ...all.slice(1)]
      } else {
        if (all.length >= options.writeBufferCount) return undefined
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
            if (!all.includes(memtable)) retire(memtable)
          }
        }
      }
    },
    drop: (memtable) => {
      all = all.filter((m) => m !== memtable)
      if (!holds.has(memtable)) retire(memtable)
    },
    bytes: () => all.reduce((sum, m) => sum + m.memoryBytes, 0),
    entries: () => all.reduce((sum, m) => sum + m.entryCount, 0),
    onFreeze: (listener) => {
      listeners.push(listener)
    }
  })
})

export const layer: Layer.Layer<Memtables, never, EngineOptions | Recovery> = Layer.effect(Memtables, make)
