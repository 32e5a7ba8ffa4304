/** The engine as tests open it: on a simulated disk, with everything as small as it may be, so that a few hundred transactions pass through every part. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import type { OpenError } from "../../src/domain/errors.ts"
import type { Options } from "../../src/domain/options/Options.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { RolloverBytes } from "../../src/layers/Manifest.ts"
import { SequenceBlock } from "../../src/layers/Recovery.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as EntropyLayer from "../../src/layers/Entropy.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { Database, type DatabaseShape } from "../../src/services/Database.ts"
import type { Disk } from "../../src/services/Disk.ts"

/** Of the simulated database. */
export const directory = "/db"

export interface EngineSettings extends Omit<Partial<Options>, "path"> {
  readonly manifestRolloverBytes?: number
  readonly entropySeed?: number
  /** Sequences reserved at a time: small, the reservation runs out under load. */
  readonly sequenceBlock?: number
}

/** A memtable holds some hundred entries, a segment a few memtables, a table some blocks. */
export const smallOptions: Omit<Options, "path"> = {
  memtableBytes: 65_536,
  walSegmentBytes: 65_536,
  reserveBytes: 0,
  tableBytes: 65_536,
  levelBytesBase: 65_536,
  levelBytesFactor: 4,
  blockBytes: 512,
  cacheBytes: 1 << 20,
  valueThresholdBytes: 1024,
  level0CompactTrigger: 3,
  compactionWorkers: 0
}

/** The engine over any `Disk`, until the scope closes. */
export const openOn = (
  disk: Layer.Layer<Disk>,
  path: string,
  settings: EngineSettings = {}
): Effect.Effect<DatabaseShape, OpenError, Scope.Scope> => {
  const { entropySeed = 1, manifestRolloverBytes = 65_536, sequenceBlock = 2 ** 28, ...options } = settings
  const platform = Layer.provideMerge(WorkersInProcess.layer, disk)
  const engine = LightningDb.layerCore({ ...smallOptions, ...options, path }, EntropyLayer.layerSeeded(entropySeed)).pipe(Layer.provide(platform))
  return Layer.build(Layer.fresh(engine)).pipe(
    Effect.map((context) => Context.get(context, Database)),
    Effect.provideService(RolloverBytes, manifestRolloverBytes),
    Effect.provideService(SequenceBlock, sequenceBlock),
    // What fails in these tests was made to fail.
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}

export const openSimulated = (disk: SimulatedDisk, settings: EngineSettings = {}): Effect.Effect<DatabaseShape, OpenError, Scope.Scope> =>
  openOn(DiskSimulated.layer(disk), directory, settings)
