/**
 * `lightning-db/testing`: what the engine is tested with, for the tests of applications. Disks that crash, fail by rules, or write down what was
 * asked of them, under `LightningDb.layerCore`; the same seed gives the same run.
 *
 * Where only a database is needed, `LightningDb.layerMemory()` is enough; where not even that, `Layer.mock(Database, { unsafe, … })`.
 */

/** A disk in memory, which can be kept while databases on it come and go. */
export * as DiskMemory from "../../layers/disk/DiskMemory.ts"
export { MemoryDisk } from "../../layers/disk/MemoryDisk.ts"

/** A disk that can crash: after it, any part of what was not synced may be missing or torn. */
export * as DiskSimulated from "../../layers/disk/DiskSimulated.ts"
export { SimulatedCrash, SimulatedDisk } from "../../layers/disk/SimulatedDisk.ts"
export type {
  DiskOperation,
  DiskOperationKind,
  DiskTrace,
  OnOperation,
  OperationVerdict,
  SimulatedDiskOptions
} from "../../layers/disk/SimulatedDisk.ts"
export type { CrashMode, CrashOptions } from "../../layers/disk/crashImage.ts"
/** Thousands of crashes of one recorded run, without repeating it. */
export { CrashReplayer, crashStateAt } from "../../layers/disk/CrashReplayer.ts"

/** Programs of yours through crashes and faults, with time, chance and scheduling from one seed. */
export * as Simulation from "../simulation/Simulation.ts"

/** Any disk, failing by rules. */
export * as DiskFaulty from "../../layers/disk/DiskFaulty.ts"
export { FaultyDisk } from "../../layers/disk/FaultyDisk.ts"
export type { BitPlace, Delay, Fault, FaultCall, FaultOperation, FaultRule, Misdirection, Strike } from "../../layers/disk/FaultRule.ts"

/** Any disk, with a record of what was asked of it, and the question whether a write was durable at a moment. */
export * as DiskTracing from "../../layers/disk/DiskTracing.ts"
export { DiskTracer, isDurableAt, notDurableAt } from "../../layers/disk/TracingDisk.ts"
export type { TraceEvent } from "../../layers/disk/TracingDisk.ts"

/** Flush and compaction on the main thread, in slices: the workers of a simulated, faulty or traced disk. */
export * as WorkersInProcess from "../../layers/WorkersInProcess.ts"

/** Numbers and random bytes that can be drawn again. */
export { drawInt, seededPrng } from "../../layers/disk/Prng.ts"
export type { Prng } from "../../layers/disk/Prng.ts"
export { Entropy } from "../../services/Entropy.ts"
export { layerSeeded as layerEntropySeeded } from "../../layers/Entropy.ts"
