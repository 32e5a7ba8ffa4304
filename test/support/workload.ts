/**
 * Seeded workloads over few keys, so that operations collide: puts, deletes, range deletes and batches over several keyspaces, some to be synced and some buffered, with
 * flushes, compactions, keyspaces made and dropped, snapshots and reopening between them. A workload is plain data: it can be printed, cut and pasted.
 */
import { drawInt, type Prng, seededPrng } from "../../src/layers/disk/Prng.ts"

export type Durability = "sync" | "buffered"

/** `keyspace` undefined is the default one. A value is drawn again from its seed: a script of a workload stays short. */
export type WorkloadOperation =
  | {
      readonly type: "put"
      readonly keyspace?: string | undefined
      readonly key: string
      readonly valueSeed: number
      readonly valueBytes: number
      /** Expires so long after it was asked for; absent: never. */
      readonly ttlMs?: number
    }
  /** Atomic operations, each kind on keys of its own: a number, bytes that grow, a value that stays, one that ends with its place in the commit order. */
  | { readonly type: "add" | "max"; readonly keyspace?: string | undefined; readonly key: string; readonly by: number }
  | {
      readonly type: "append" | "setOnce" | "versionstampedValue"
      readonly keyspace?: string | undefined
      readonly key: string
      readonly text: string
    }
  | { readonly type: "delete"; readonly keyspace?: string | undefined; readonly key: string }
  | { readonly type: "deleteRange"; readonly keyspace?: string | undefined; readonly gte: string; readonly lt: string }

export interface WorkloadTransaction {
  readonly operations: ReadonlyArray<WorkloadOperation>
  readonly durability: Durability
  /** By an interactive transaction, which reads these keys of the default keyspace before it writes; after a conflict it is done again. */
  readonly reads?: ReadonlyArray<string>
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
  /** Begun, and not waited for. Written down by hand: a path can be used once. */
  | { readonly step: "checkpoint"; readonly path: string }
  /** A durable cursor is made where there is none, and moved to the next commit. */
  | { readonly step: "cursor"; readonly name: string }

/** The steps that are drawn by their weights. */
type DrawnStep = Exclude<WorkloadStep["step"], "checkpoint" | "cursor">

export interface WorkloadShape {
  readonly steps: number
  /** Distinct keys of a keyspace. */
  readonly keys: number
  /** Of the steps that are not writes: how often each kind is drawn. */
  readonly weights?: Partial<Record<Exclude<DrawnStep, "write">, number>>
  /** Transactions of a write step, at most. */
  readonly burst?: number
  readonly valueBytesMax?: number
  /** How often a value is drawn from the whole range of lengths; most others are short. */
  readonly largeChance?: number
  /** How often a transaction asks for a sync. */
  readonly syncChance?: number
  /** How often an operation is an atomic one, and a put one that expires; how often a transaction is interactive, and a step moves a cursor. By default never. */
  readonly atomicChance?: number
  readonly expiringChance?: number
  readonly interactiveChance?: number
  readonly cursorChance?: number
  /** How often a step is not a write. */
  readonly structureChance?: number
}

/** Every kind of commit there is, each often enough to be in any longer workload. */
export const everyKind = { atomicChance: 0.15, expiringChance: 0.2, interactiveChance: 0.2, cursorChance: 0.04 } as const

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
  const { atomicChance = 0, cursorChance = 0, expiringChance = 0, interactiveChance = 0 } = shape
  /** A draw that is not made where nothing depends on it: workloads without these kinds stay as they are. */
  const drawChance = (chance: number): boolean => chance > 0 && prng() < chance
  const drawAtomic = (keyspace: string | undefined): WorkloadOperation => {
    const type = (["add", "max", "append", "setOnce", "versionstampedValue"] as const)[drawInt(prng, 5)]!
    const key = `${type}${drawInt(prng, 4)}`
    return type === "add" || type === "max"
      ? { type, keyspace, key, by: drawInt(prng, 1000) - 300 }
      : { type, keyspace, key, text: "x".repeat(1 + drawInt(prng, 12)) }
  }
  const drawOperation = (): WorkloadOperation => {
    const keyspace = drawKeyspace()
    if (drawChance(atomicChance)) return drawAtomic(keyspace)
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
    const put = {
      type: "put" as const,
      keyspace,
      key: drawKey(),
      valueSeed: ++valueSeed,
      valueBytes: drawValueBytes(prng, valueBytesMax, largeChance)
    }
    // Some are due within the run, some never are.
    return drawChance(expiringChance) ? { ...put, ttlMs: prng() < 0.8 ? 1 + drawInt(prng, 40) : 1e9 } : put
  }
  /** Where nothing but atomic operations is drawn that may leave things as they are, something is written all the same: a commit without effect has no sequence of its own. */
  const withEffect = (operations: ReadonlyArray<WorkloadOperation>): ReadonlyArray<WorkloadOperation> =>
    operations.every(({ type }) => type === "setOnce" || type === "max")
      ? [...operations, { type: "put", key: "effect", valueSeed: ++valueSeed, valueBytes: 5 }]
      : operations
  const drawTransaction = (): WorkloadTransaction => ({
    operations: withEffect(Array.from({ length: prng() < 0.6 ? 1 : 1 + drawInt(prng, 6) }, drawOperation)),
    durability: prng() < syncChance ? "sync" : "buffered",
    ...(drawChance(interactiveChance) ? { reads: Array.from({ length: 1 + drawInt(prng, 3) }, drawKey) } : {})
  })
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0)
  const drawStructure = (): DrawnStep => {
    let left = drawInt(prng, total)
    for (const [step, weight] of Object.entries(weights)) {
      left -= weight
      if (left < 0) return step as DrawnStep
    }
    return "write"
  }
  while (steps.length < shape.steps) {
    if (drawChance(cursorChance)) {
      steps.push({ step: "cursor", name: `cursor ${drawInt(prng, 2)}` })
      continue
    }
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
