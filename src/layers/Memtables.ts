import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Memtable, memtableHeaderBytes } from "../domain/memtable/Memtable.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"

const make = Effect.gen(function*() {
  const options = yield* EngineOptions
  const recovery = yield* Recovery
  let all: ReadonlyArray<Memtable> = recovery.memtables
  const listeners: Array<() => void> = []

  const start = (bytes: number) => {
    all = [new Memtable(Math.max(options.memtableBytes, bytes + memtableHeaderBytes)), ...all]
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
    drop: (memtable) => {
      all = all.filter((m) => m !== memtable)
    },
    bytes: () => all.reduce((sum, m) => sum + m.memoryBytes, 0),
    entries: () => all.reduce((sum, m) => sum + m.entryCount, 0),
    onFreeze: (listener) => {
      listeners.push(listener)
    }
  })
})

export const layer: Layer.Layer<Memtables, never, EngineOptions | Recovery> = Layer.effect(Memtables, make)
