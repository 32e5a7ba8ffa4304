import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { arenaBytes } from "../domain/memtable/Memtable.ts"
import { firmBytes, heldBytes, type HeldMemory, type MemoryPressure, planMemory } from "../domain/memory/planMemory.ts"
import { jobBytes, pendingBytesMax } from "./memory/estimates.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { MemoryBudget, type MemoryParts } from "../services/MemoryBudget.ts"
import { Turns } from "../services/Turns.ts"

const condition = "memory"

const nothing: HeldMemory = {
  memtables: 0,
  spareMemtables: 0,
  validation: 0,
  readMemtables: 0,
  pendingLog: 0,
  tableIndexes: 0,
  jobs: 0,
  snapshots: 0
}

const names: Readonly<Record<keyof HeldMemory, string>> = {
  memtables: "memtables",
  spareMemtables: "memory for the next memtables",
  validation: "memtables kept for open transactions",
  readMemtables: "memtables held by long reads",
  pendingLog: "log that is not written yet",
  tableIndexes: "indexes of open tables",
  jobs: "flushes and compactions",
  snapshots: "open snapshots and transactions"
}

const make = Effect.gen(function* () {
  const options = yield* EngineOptions
  const health = yield* HealthMonitor
  const turns = yield* Turns
  const { cacheBytes: cacheBytesMax, memoryBytes: budgetBytes } = options
  const nextMemtableBytes = arenaBytes(options.memtableBytes)
  /** For all that lasts; what is left is for what comes and goes: the log on its way, and jobs. */
  const firmBytesMax = budgetBytes - pendingBytesMax(budgetBytes) - (options.compactionWorkers + 1) * jobBytes(options.memtableBytes)

  let parts: MemoryParts | undefined
  let cacheBytes = cacheBytesMax
  let pressure: MemoryPressure = "none"
  let scheduled = false

  const held = (): HeldMemory => parts?.held() ?? nothing

  const describe = (): string => {
    const used = held()
    const largest = (Object.keys(names) as Array<keyof HeldMemory>)
      .filter((name) => used[name] > 0)
      .sort((a, b) => used[b] - used[a])
      .map((name) => `${names[name]} ${used[name]}`)
    return `memory: ${heldBytes(used)} of memoryBytes ${budgetBytes} are held without caches: ${largest.join(", ")}`
  }

  /** What was held when somebody was refused so many bytes; undefined: nobody waits for memory. */
  let refused: { readonly firm: number; readonly bytes: number } | undefined

  const tell = () => {
    if (pressure === "full") health.degrade(condition, `writers wait for ${describe()}`)
    else if (pressure === "writers") health.degrade(condition, `writers are slowed by want of ${describe()}`)
    else health.heal(condition)
  }

  /** Shrinks at once, and grows back as room comes back. */
  const settle = () => {
    scheduled = false
    if (parts === undefined) return
    const all = parts.held()
    // What comes and goes has its share already, however much of it there is at the moment.
    const lasting = { ...all, pendingLog: 0, jobs: 0, snapshots: 0 }
    const plan = planMemory(firmBytesMax - all.snapshots, cacheBytesMax, lasting, nextMemtableBytes)
    if (plan.cacheBytes !== cacheBytes) parts.resizeCaches((cacheBytes = plan.cacheBytes))
    if (plan.dropSpares) parts.dropSpareMemtables()
    if (plan.pressure !== "none") parts.trimTables(plan.tableIndexBytes)
    // The last that can be given up: without it some transactions are too old.
    const wanted = refused?.bytes ?? 0
    const { validation, ...others } = parts.held()
    const room = firmBytesMax - firmBytes({ ...others, validation: 0 }) - wanted
    if (validation > room) parts.trimValidation(Math.max(0, room))
    const firm = firmBytes(parts.held())
    // Only where something was freed there is a point in looking again.
    const isAwaited = parts.awaited()
    const freed = refused !== undefined && (firm < refused.firm || !isAwaited)
    if (freed) refused = undefined
    if (firm > firmBytesMax && isAwaited) refused ??= { firm, bytes: 0 }
    const before = pressure
    pressure = refused === undefined ? plan.pressure : "full"
    if (pressure !== before) tell()
    if (freed) parts.freed()
  }

  /** After the step: in its middle somebody may be reading from what would be moved. */
  const changed = () => {
    if (scheduled || parts === undefined || budgetBytes === Infinity) return
    scheduled = true
    turns.afterStep(settle)
  }

  return MemoryBudget.of({
    watch: (given) => {
      parts = given
      changed()
    },
    changed,
    admits: (bytes) => {
      if (budgetBytes === Infinity || parts === undefined) return true
      const used = parts.held()
      // What is kept for memtables is there for this one.
      const more = bytes <= nextMemtableBytes && used.spareMemtables >= bytes ? 0 : bytes
      const firm = firmBytes(used)
      if (firm + more <= firmBytesMax || !parts.awaited()) return true
      refused = { firm, bytes: more }
      changed()
      return false
    },
    level: () => (refused !== undefined ? "stop" : pressure === "writers" ? "slow" : "none"),
    describe,
    stats: () => {
      const used = held()
      const caches = parts?.caches() ?? { blockCache: 0, valueCache: 0 }
      return {
        budget: budgetBytes === Infinity ? undefined : budgetBytes,
        used: { ...used, ...caches, total: heldBytes(used) + caches.blockCache + caches.valueCache },
        cacheCapacity: cacheBytes,
        pressure
      }
    }
  })
})

export const layer: Layer.Layer<MemoryBudget, never, EngineOptions | HealthMonitor> = Layer.effect(MemoryBudget, make)
