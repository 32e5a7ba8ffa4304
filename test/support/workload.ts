/**
 * Seeded workloads over few keys, so that operations collide: puts, deletes, range deletes and batches over several keyspaces, some to be synced and some buffered, with
 * flushes, compactions, keyspaces made and dropped, snapshots and reopening between them. A workload is plain data: it can be printed, cut and pasted.
 */
import { drawInt, type Prng, seededPrng } from "../../src/layers/disk/Prng.ts"

export type Durability = "sync" | "buffered"

/** `keyspace` undefined is the default one. A value is drawn again from its seed: a script of a workload stays short. */
export type WorkloadOperation =
  | { readonly type: "put"; readonly keyspace?: string | undefined; readonly key: string; readonly valueSeed: number; readonly valueBytes: number }
  | { readonly type: "delete"; readonly keyspace?: string | undefined; readonly key: string }
  | { readonly type: "deleteRange"; readonly keyspace?: string | undefined; readonly gte: string; readonly lt: string }

export interface WorkloadTransaction {
  readonly operations: ReadonlyArray<WorkloadOperation>
  readonly durability: Durability
}

export type WorkloadStep =
  /** All at the same time, each by a fiber of its own. */
  | { readonly step: "write"; readonly transactions: ReadonlyArray<WorkloadTransaction> }
  | { readonly step: "flush" }
  | { readonly step: "compact" }
  /** Begun, and not waited for: what follows happens meanwhile. */
  | { readonly step: "flushBehind" }
  | { readonly step: "compactBehind" }
  | { readonly step: "create"; readonly keyspace: string }
  | { readonly step: "drop"; readonly keyspace: string }
  /** Taken, and held over what follows. */
  | { readonly step: "snapshot" }
  | { readonly step: "release" }
  | { readonly step: "reopen" }

export interface WorkloadShape {
  readonly steps: number
  /** Distinct keys of a keyspace. */
  readonly keys: number
  /** Of the steps that are not writes: how often each kind is drawn. */
  readonly weights?: Partial<Record<Exclude<WorkloadStep["step"], "write">, number>>
  /** Transactions of a write step, at most. */
  readonly burst?: number
  readonly valueBytesMax?: number
  /** How often a value is drawn from the whole range of lengths; most others are short. */
  readonly largeChance?: number
  /** How often a transaction asks for a sync. */
  readonly syncChance?: number
  /** How often a step is not a write. */
  readonly structureChance?: number
}

const names: ReadonlyArray<string> = ["orders", "users", "events"]

/** The bytes of a value: the same for the same seed and length. What a codec can shrink and what it cannot alternate. */
export const valueOf = (valueSeed: number, valueBytes: number): Uint8Array => {
  const bytes = new Uint8Array(valueBytes)
  let state = (valueSeed ^ 0x9e3779b9) | 0
  const plain = valueSeed % 3 === 0
  for (let i = 0; i < valueBytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    bytes[i] = plain ? state >>> 24 : 0x61 + ((i + (state >>> 29)) % 8)
  }
  return bytes
}

const drawValueBytes = (prng: Prng, max: number, largeChance: number): number => {
  if (prng() < largeChance) return drawInt(prng, max + 1)
  const kind = prng()
  return kind < 0.05 ? 0 : drawInt(prng, Math.min(max, kind < 0.85 ? 48 : 400))
}

const weightsOfAll = { flush: 3, compact: 1, flushBehind: 4, compactBehind: 1, create: 3, drop: 2, snapshot: 2, release: 2, reopen: 1 } as const

/** Draws a workload. The same seed and shape give the same steps. */
export const drawWorkload = (seed: number, shape: WorkloadShape): ReadonlyArray<WorkloadStep> => {
  const prng = seededPrng(seed)
  const { burst = 6, keys, largeChance = 0.07, structureChance = 0.25, syncChance = 0.5, valueBytesMax = 3072 } = shape
  const weights = { ...weightsOfAll, ...shape.weights }
  const live = new Set<string>()
  const steps: Array<WorkloadStep> = []
  let valueSeed = seed * 1000
  const drawKey = () => `k${String(drawInt(prng, keys)).padStart(3, "0")}`
  const drawKeyspace = () => {
    const all = [...live]
    const index = drawInt(prng, all.length + 1)
    return index === 0 ? undefined : all[index - 1]
  }
  const drawOperation = (): WorkloadOperation => {
    const keyspace = drawKeyspace()
    const kind = prng()
    if (kind < 0.08) {
      const from = drawInt(prng, keys)
      return {
        type: "deleteRange",
        keyspace,
        gte: `k${String(from).padStart(3, "0")}`,
        lt: `k${String(from + 1 + drawInt(prng, 6)).padStart(3, "0")}`
      }
    }
    if (kind < 0.25) return { type: "delete", keyspace, key: drawKey() }
    return { type: "put", keyspace, key: drawKey(), valueSeed: ++valueSeed, valueBytes: drawValueBytes(prng, valueBytesMax, largeChance) }
  }
  const drawTransaction = (): WorkloadTransaction => ({
    operations: Array.from({ length: prng() < 0.6 ? 1 : 1 + drawInt(prng, 6) }, drawOperation),
    durability: prng() < syncChance ? "sync" : "buffered"
  })
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0)
  const drawStructure = (): WorkloadStep["step"] => {
    let left = drawInt(prng, total)
    for (const [step, weight] of Object.entries(weights)) {
      left -= weight
      if (left < 0) return step as WorkloadStep["step"]
    }
    return "write"
  }
  while (steps.length < shape.steps) {
    const step = prng() < structureChance ? drawStructure() : "write"
    switch (step) {
      case "write":
        steps.push({ step, transactions: Array.from({ length: 1 + drawInt(prng, burst) }, drawTransaction) })
        break
      case "create": {
        const free = names.filter((name) => !live.has(name))
        const keyspace = free[drawInt(prng, free.length)]
        if (keyspace === undefined) break
        live.add(keyspace)
        steps.push({ step, keyspace })
        break
      }
      case "drop": {
        const keyspace = [...live][drawInt(prng, live.size)]
        if (keyspace === undefined) break
        live.delete(keyspace)
        steps.push({ step, keyspace })
        break
      }
      default:
        steps.push({ step })
    }
  }
  return steps
}
