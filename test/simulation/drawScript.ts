/** Draws scripts. The same seed draws the same script. */
import { drawInt, type Prng, seededPrng } from "../../src/layers/disk/Prng.ts"
import type { DiskOperationKind } from "../../src/layers/disk/SimulatedDisk.ts"
import { required } from "./Ledger.ts"
import type {
  CrashPoint,
  FaultShape,
  FileOf,
  SimulatedFault,
  SimulatedLife,
  SimulatedStep,
  SimulatedWrite,
  SimulationScript,
  Space
} from "./script.ts"

const pick = <A>(prng: Prng, all: ReadonlyArray<A>): A => all[drawInt(prng, all.length)]!

const pickWeighted = <A extends string>(prng: Prng, weights: Readonly<Record<A, number>>): A => {
  const all: Array<A> = []
  for (const name in weights) for (let i = 0; i < weights[name]; i++) all.push(name)
  return pick(prng, all)
}

const drawKey = (prng: Prng): string => `k${String(drawInt(prng, 24)).padStart(2, "0")}`

const drawRange = (prng: Prng): string => {
  const [from, to] = [drawKey(prng), drawKey(prng)].sort()
  return `${from}..${to}x`
}

const drawSpace = (prng: Prng): { readonly space?: Space } => (prng() < 0.75 ? {} : { space: pick(prng, ["a", "b"]) })

const drawBytes = (prng: Prng): number => (prng() < 0.1 ? 1000 + drawInt(prng, 3000) : drawInt(prng, 200))

/** Each key at most once in a batch; range deletes come first. */
const drawWrites = (prng: Prng): ReadonlyArray<SimulatedWrite> => {
  const space = drawSpace(prng)
  if (prng() < 0.14) return [{ fill: 6 + drawInt(prng, 14), bytes: pick(prng, [200, 900, 2500]), ...space }]
  const ranges: Array<SimulatedWrite> = []
  const single = new Map<string, SimulatedWrite>()
  const count = prng() < 0.5 ? 1 : 1 + drawInt(prng, 5)
  for (let i = 0; i < count; i++) {
    switch (pickWeighted(prng, { put: 12, delete: 4, range: 2, expiring: 2, add: 2, max: 1, append: 2, setOnce: 1 })) {
      case "put": {
        const key = drawKey(prng)
        single.set(key, { put: key, bytes: drawBytes(prng), ...space })
        break
      }
      case "delete": {
        const key = drawKey(prng)
        single.set(key, { delete: key, ...space })
        break
      }
      case "range": {
        const from = drawInt(prng, 24)
        const name = (n: number) => `k${String(n).padStart(2, "0")}`
        ranges.push(prng() < 0.2 ? { from: "f", to: "g", ...space } : { from: name(from), to: name(from + 1 + drawInt(prng, 6)), ...space })
        break
      }
      case "expiring": {
        const key = `t${drawInt(prng, 4)}`
        single.set(key, { put: key, bytes: drawInt(prng, 60), ttlMs: pick(prng, [1, 5, 50, 3_600_000]), ...space })
        break
      }
      case "add":
      case "max": {
        const key = `n${drawInt(prng, 3)}`
        single.set(key, prng() < 0.7 ? { add: key, by: drawInt(prng, 100) - 30, ...space } : { max: key, by: drawInt(prng, 400), ...space })
        break
      }
      case "append": {
        const key = `l${drawInt(prng, 2)}`
        single.set(key, { append: key, ...space })
        break
      }
      default: {
        const key = `o${drawInt(prng, 6)}`
        single.set(key, { setOnce: key, ...space })
      }
    }
  }
  const writes = [...ranges.slice(0, 1), ...single.values()]
  // A commit that may have no effect has no place of its own in the order.
  return writes.every((write) => "setOnce" in write || "max" in write) ? [...writes, { put: drawKey(prng), bytes: 9, ...space }] : writes
}

const drawStep = (prng: Prng, nested = false): SimulatedStep => {
  const sync = prng() < 0.45 ? { sync: true as const } : {}
  const kind = pickWeighted(prng, {
    write: 30,
    transaction: 14,
    through: 6,
    get: 6,
    scan: 4,
    hold: 3,
    release: 3,
    flush: 3,
    compact: 2,
    create: 3,
    drop: 1,
    checkpoint: 1,
    cursor: 2,
    verify: 1,
    follow: 2,
    history: 1,
    wait: 3,
    interrupt: nested ? 0 : 5
  })
  switch (kind) {
    case "write":
      return { do: kind, writes: drawWrites(prng), ...sync }
    case "transaction":
    case "through":
      return {
        do: "transaction",
        reads: Array.from({ length: 1 + drawInt(prng, 3) }, () => (prng() < 0.2 ? drawRange(prng) : drawKey(prng))),
        writes: drawWrites(prng),
        ...sync,
        ...(kind === "through" ? { through: true as const } : {}),
        ...(prng() < 0.15 ? { lock: drawKey(prng) } : {})
      }
    case "create":
    case "drop":
      return { do: kind, space: pick(prng, ["a", "b"]) }
    case "get":
      return { do: kind, key: drawKey(prng), ...drawSpace(prng) }
    case "wait":
      return { do: kind, ms: pick(prng, [1, 5, 60]) }
    case "interrupt":
      return { do: kind, step: drawStep(prng, true), after: drawInt(prng, 8) }
    default:
      return { do: kind }
  }
}

const operationsOf: Record<Exclude<FileOf, "other">, ReadonlyArray<DiskOperationKind>> = {
  log: ["open", "writev", "writev", "datasync", "readAt", "remove", "sizeBytes"],
  table: ["open", "writev", "datasync", "readAt", "remove", "link"],
  values: ["open", "writev", "datasync", "readAt", "remove"],
  manifest: ["open", "writev", "datasync", "readAt", "remove"],
  current: ["open", "writev", "datasync", "rename"],
  directory: ["syncDirectory", "list", "makeDirectory", "stat"]
}

const codesOf = (operation: DiskOperationKind): ReadonlyArray<string> => {
  switch (operation) {
    case "open":
      return ["EIO", "ENOSPC", "EDQUOT", "EACCES", "EMFILE"]
    case "writev":
    case "makeDirectory":
    case "link":
      return ["EIO", "ENOSPC", "EDQUOT"]
    case "rename":
      return ["EIO", "ENOSPC", "EACCES"]
    case "remove":
    case "stat":
      return ["EIO", "EACCES"]
    case "list":
      return ["EIO", "EACCES", "EMFILE"]
    default:
      return ["EIO"]
  }
}

const drawFault = (prng: Prng): SimulatedFault => {
  const file = pickWeighted(prng, { log: 6, table: 5, values: 4, manifest: 4, current: 1, directory: 2 })
  const operation = pick(prng, operationsOf[file])
  const during = prng() < 0.25 ? "open" : "life"
  // What recovery reads wrongly once it takes for the truth, as any engine must: of the log and the manifest only errors are drawn.
  const mayRead = operation === "readAt" && (file === "table" || file === "values")
  const code = pick(prng, codesOf(operation))
  const fault = ((): FaultShape => {
    if (mayRead && prng() < 0.7) {
      switch (drawInt(prng, 4)) {
        case 0:
          return { shortRead: drawInt(prng, 40) }
        case 1:
          return { misread: 1 + drawInt(prng, 600) }
        case 2:
          return { stale: true }
        default:
          return { flipBit: drawInt(prng, 1 << 20) }
      }
    }
    if ((operation === "writev" || operation === "datasync") && prng() < 0.2)
      return { delayMs: pick(prng, [1, 40, 3000]), ...(prng() < 0.3 ? { answer: "late" as const } : {}) }
    return operation === "writev" && prng() < 0.5 ? { code, afterBytes: 1 + drawInt(prng, 200) } : { code }
  })()
  return {
    during,
    operation,
    file,
    nth: 1 + drawInt(prng, operation === "writev" || operation === "datasync" ? 10 : 4),
    times: prng() < 0.6 ? 1 : 1 + drawInt(prng, 5),
    fault
  }
}

const drawCrash = (prng: Prng): CrashPoint => {
  if (prng() < 0.4) {
    const file = pickWeighted(prng, { log: 4, table: 3, values: 2, manifest: 4, current: 2, directory: 2 })
    const before = pick(
      prng,
      operationsOf[file].filter((operation) => operation !== "readAt" && operation !== "list" && operation !== "stat" && operation !== "sizeBytes")
    )
    return { before, file, nth: 1 + drawInt(prng, before === "writev" || before === "datasync" ? 12 : 3) }
  }
  // Small numbers are as likely as large ones: an opening takes some twenty operations.
  return Math.floor(Math.exp(prng() * Math.log(600)))
}

const drawLife = (prng: Prng, shape: { readonly crashes: boolean; readonly steps: number }): SimulatedLife => {
  const fibers = Array.from({ length: 2 + drawInt(prng, 5) }, (_, fiber): ReadonlyArray<SimulatedStep> => [
    ...(fiber === 0 && prng() < 0.5 ? [{ do: "create" as const, space: pick(prng, ["a", "b"] as const) }] : []),
    ...Array.from({ length: 1 + drawInt(prng, shape.steps) }, () => drawStep(prng))
  ])
  const faults = prng() < 0.45 ? Array.from({ length: 1 + drawInt(prng, 3) }, () => drawFault(prng)) : []
  return {
    fibers,
    ...(faults.length > 0 ? { faults } : {}),
    ...(shape.crashes ? { crash: drawCrash(prng) } : {}),
    mode: pickWeighted(prng, { random: 6, worst: 2, all: 1, killed: 3 })
  }
}

/** What passes through every part of the engine, whatever else is done: tables are made, read, and merged. */
const through = (prng: Prng): ReadonlyArray<SimulatedStep> => {
  const fill: SimulatedStep = {
    do: "write",
    writes: [{ fill: 12 + drawInt(prng, 8), bytes: 2500 }],
    ...(prng() < 0.5 ? { sync: true as const } : {})
  }
  return [fill, { do: "flush" }, { do: "scan" }, { do: "checkpoint" }, fill, { do: "flush" }, { do: "compact" }, { do: "scan" }, { do: "verify" }]
}

const shapeOf = (prng: Prng, kind: string): FaultShape => {
  switch (kind) {
    case "short read":
      return { shortRead: drawInt(prng, 40) }
    case "bit flip":
      return { flipBit: drawInt(prng, 1 << 20) }
    case "misdirected read":
      return { misread: 1 + drawInt(prng, 600) }
    case "stale read":
      return { stale: true }
    case "delay":
      return { delayMs: pick(prng, [1, 40, 3000]) }
    default:
      return { code: kind }
  }
}

/** A life that is made for one cell of the ledger: a fault there, or a crash. */
const aimedAt = (prng: Prng, life: SimulatedLife, goal: Goal): SimulatedLife => {
  const fibers = [...life.fibers.slice(0, 2), through(prng)]
  if (goal.area === "closing") return { ...life, fibers, faults: [], crash: { closing: drawInt(prng, 6) } }
  const [file, operation, ...kind] = goal.cell.split(" ") as [FileOf, DiskOperationKind, ...Array<string>]
  if (goal.area === "crash points")
    return {
      ...life,
      fibers,
      faults: [],
      mode: "random",
      crash: { before: operation, file, nth: 1 + drawInt(prng, file === "values" || file === "current" ? 1 : 3) }
    }
  const { crash: _, ...uncut } = life
  return {
    ...uncut,
    fibers,
    faults: [{ during: "life", operation, file, nth: 1 + drawInt(prng, 3), times: 1 + drawInt(prng, 2), fault: shapeOf(prng, kind.join(" ")) }]
  }
}

export interface Goal {
  readonly area: "faults" | "crash points" | "closing"
  readonly cell: string
}

/** One for each cell of the ledger that few draws would meet. */
export const goals: ReadonlyArray<Goal> = [
  ...required["faults"]!.map((cell) => ({ area: "faults" as const, cell })),
  ...required["crash points"]!.map((cell) => ({ area: "crash points" as const, cell })),
  { area: "closing", cell: "" }
]

export interface DrawOptions {
  /** How many lives end with a crash, one after the other. Default 3. */
  readonly crashes?: number | undefined
  /** Of a fiber, at most. Default 14. */
  readonly steps?: number | undefined
  readonly goal?: Goal | undefined
}

export const drawScript = (seed: number, options: DrawOptions = {}): SimulationScript => {
  const { crashes = 3, goal, steps = 14 } = options
  const prng = seededPrng(seed ^ 0x5bd1e995)
  const aimed = drawInt(prng, Math.max(1, crashes))
  return {
    seed,
    ...(prng() < 0.3 ? { keeps: "cursor" as const } : {}),
    ...(prng() < 0.2 ? { beforeImages: true as const } : {}),
    lives: Array.from({ length: crashes + 1 }, (_, life) => {
      const drawn = drawLife(prng, { crashes: life < crashes, steps })
      return goal !== undefined && life === aimed ? aimedAt(prng, drawn, goal) : drawn
    })
  }
}
