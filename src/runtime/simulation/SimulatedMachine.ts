/**
 * A machine with one disk, on which a database is opened, runs, and loses its power, again and again: each life in a world of its own (`SimulatedWorld`), over a `FaultyDisk`
 * over a `SimulatedDisk`. One seed decides all of it.
 */
import { createHash, type Hash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import type { OpenError } from "../../domain/errors.ts"
import type { Options } from "../../domain/options/Options.ts"
import * as DiskFaulty from "../../layers/disk/DiskFaulty.ts"
import * as DiskSimulated from "../../layers/disk/DiskSimulated.ts"
import type { CrashMode } from "../../layers/disk/crashImage.ts"
import { FaultyDisk } from "../../layers/disk/FaultyDisk.ts"
import { type Prng, seededPrng } from "../../layers/disk/Prng.ts"
import { type DiskOperation, SimulatedCrash, SimulatedDisk } from "../../layers/disk/SimulatedDisk.ts"
import { acquireOn } from "../../layers/lock/ObjectLock.ts"
import * as EntropyLayer from "../../layers/Entropy.ts"
import { RolloverBytes } from "../../layers/Manifest.ts"
import { SequenceBlock } from "../../layers/Recovery.ts"
import * as WorkersInProcess from "../../layers/WorkersInProcess.ts"
import { Database, type DatabaseShape } from "../../services/Database.ts"
import { Disk } from "../../services/Disk.ts"
import * as LightningDb from "../LightningDb.ts"
import { SimulatedWorld, type WorldEnd, type WorldRunOptions } from "./SimulatedWorld.ts"

/** Options of a simulated database: it lives in one directory of the simulated disk. */
export type SimulationOptions = Omit<Options, "path" | "readOnly">

/** A memtable holds some hundred entries, a segment a few memtables, a table some blocks: a few hundred writes pass through every part of the engine. */
export const smallOptions: SimulationOptions = {
  memtableBytes: 65_536,
  walSegmentBytes: 65_536,
  tableBytes: 65_536,
  levelBytesBase: 65_536,
  levelBytesFactor: 4,
  blockBytes: 512,
  cacheBytes: 1 << 20,
  valueThresholdBytes: 1024,
  level0CompactTrigger: 3,
  compactionWorkers: 0,
  reserveBytes: 65_536
}

/** What an application has no option for, small as well: the manifest is written anew, and sequences are reserved, every now and then. */
const rolloverBytes = 16_384
const sequencesAtOnce = 64

/** Of the simulated database. */
export const simulatedPath = "/db"

/**
 * What a crash leaves: of the power (`CrashMode`), or of the process alone, "killed": all it has written is there, and what it had not synced still waits for a sync, which a
 * later power cut may come before.
 */
export type RestartMode = CrashMode | "killed"

/** What every call of a killed process meets. No `IoFailure`: nobody is there to handle it. */
class Killed extends Error {}

/** Says of an operation that is about to happen whether the power goes with it. */
export type CrashWhen = (operation: DiskOperation, indexInLife: number) => boolean

export interface Life<A, E> {
  /** `over`: the power went. */
  readonly end: WorldEnd<A, E>
  /** Disk operations begun, reads included. */
  readonly operations: number
  /** The operation that was in flight when the power went, and its number in this life. */
  readonly crashedAt: (DiskOperation & { readonly indexInLife: number }) | undefined
}

export interface LifeOptions extends WorldRunOptions {
  readonly crashWhen?: CrashWhen | undefined
  /** Whether it is the process that goes, and not the power. Default false. */
  readonly kills?: boolean | undefined
  /** Sees each operation of the disk that is not refused by a fault above it, in order. */
  readonly onOperation?: ((operation: DiskOperation) => void) | undefined
}

export class SimulatedMachine {
  readonly seed: number
  /** Of the life that runs, or ran last. */
  world: SimulatedWorld
  disk: SimulatedDisk
  /** Over `disk`: where rules are added and cleared. */
  faults: FaultyDisk
  /** What the engine is given instead of the faulty disk: for one of your own over it. */
  engineOn: (disk: Disk["Service"]) => Disk["Service"] = (disk) => disk
  readonly #options: SimulationOptions
  readonly #crashes: Prng
  readonly #trace: Hash = createHash("sha1")
  #lives = 0
  #killed = false

  constructor(seed: number, options: SimulationOptions = smallOptions, disk: SimulatedDisk = new SimulatedDisk()) {
    this.seed = seed
    this.#options = options
    this.#crashes = seededPrng(seed ^ 0x3c6ef372)
    this.world = new SimulatedWorld(seed)
    this.disk = disk
    this.faults = new FaultyDisk(disk)
  }

  /** The life that ran last has ended before its time. */
  get isDown(): boolean {
    return this.#killed || this.disk.crashed
  }

  /** Opens the database of this machine until the scope closes. Errors of its own are not logged: they were made. */
  open(options: Partial<SimulationOptions> = {}, path: string = simulatedPath): Effect.Effect<DatabaseShape, OpenError, Scope.Scope> {
    const disk = Layer.sync(Disk, () => {
      // A lock goes with its process, as does the faulty disk: whoever was killed holds it no more.
      const { faults } = this
      const simulated = { ...DiskSimulated.make(this.disk), lock: (directory: string) => acquireOn(faults, directory) }
      return this.engineOn(DiskFaulty.make(simulated, faults))
    })
    const entropy = EntropyLayer.layerSeeded(this.seed * 101 + this.#lives)
    const engine = LightningDb.layerCore({ ...this.#options, ...options, path }, entropy).pipe(
      Layer.provide(Layer.provideMerge(WorkersInProcess.layer, disk))
    )
    return Layer.build(Layer.fresh(engine)).pipe(
      Effect.map((context) => Context.get(context, Database)),
      Effect.provideService(RolloverBytes, rolloverBytes),
      Effect.provideService(SequenceBlock, sequencesAtOnce),
      Effect.provideService(References.MinimumLogLevel, "None")
    )
  }

  /** Runs a program, which opens the database itself, in a new world, until it ends or the power goes. Everything it started ends with it. */
  live<A, E>(program: Effect.Effect<A, E>, options: LifeOptions = {}): Life<A, E> {
    const life = this.#begin(options)
    return life.ended(this.world.run(program, life.runOptions))
  }

  /** As `live`, for programs that await promises too. */
  async liveTurning<A, E>(program: Effect.Effect<A, E>, options: LifeOptions = {}): Promise<Life<A, E>> {
    const life = this.#begin(options)
    return life.ended(await this.world.runTurning(program, life.runOptions))
  }

  /**
   * Takes the power away, if it is not gone yet (or only the process: "killed"): the disk is from now on one that a restart may find. Faults are gone, too. `draw`: another of the
   * states it may be found in.
   */
  restart(mode: RestartMode = "random", draw = 0): void {
    const prng = draw === 0 ? this.#crashes : seededPrng(this.seed * 31 + draw)
    if (mode !== "killed") this.disk = this.disk.crash(prng, { mode })
    this.#killed = false
    this.faults = new FaultyDisk(this.disk)
    this.note(`restart ${mode} ${this.disk.hash()}`)
  }

  /** Adds to the trace what somebody was told. */
  note(text: string): void {
    this.#trace.update(text).update("\n")
  }

  /** Identifies the run so far: each operation of the disk in its order, what was noted, and the disk as it is. */
  traceHash(): string {
    return this.#trace.copy().update(this.disk.hash()).digest("hex")
  }

  #begin({ crashWhen = () => false, isOver = () => false, kills = false, onOperation, stepsMax }: LifeOptions) {
    this.world = new SimulatedWorld(this.seed * 1009 + this.#lives++, this.world.nowMs)
    const { disk } = this
    const first = disk.operations
    let crashedAt: Life<never, never>["crashedAt"]
    disk.onOperation = (operation) => {
      if (this.#killed) throw new Killed()
      const indexInLife = operation.index - first
      this.note(`${operation.kind} ${operation.path} ${operation.position} ${operation.bytes}`)
      onOperation?.(operation)
      if (!crashWhen(operation, indexInLife)) return
      crashedAt = { ...operation, indexInLife }
      if (!kills) throw new SimulatedCrash(operation.kind, operation.path)
      this.#killed = true
      throw new Killed()
    }
    return {
      runOptions: { stepsMax, isOver: () => this.isDown || isOver() },
      ended: <A, E>(end: WorldEnd<A, E>): Life<A, E> => {
        disk.onOperation = undefined
        return { end, operations: disk.operations - first, crashedAt }
      }
    }
  }
}
