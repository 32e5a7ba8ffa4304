/** A database on a simulated disk with restore points, and what is done with them while it is closed. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import * as EntropyLayer from "../../src/layers/Entropy.ts"
import { restore, type RestoreOptions, rollBack, type RollBackOptions } from "../../src/layers/restorePoints/restorePoint.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { directory, type EngineSettings, openOn, openSimulated } from "./openEngine.ts"

export const points = `${directory}.checkpoints`

const platform = (disk: SimulatedDisk, seed: number) => Layer.merge(Layer.fresh(DiskSimulated.layer(disk)), EntropyLayer.layerSeeded(seed))

export const rollBackOn = (disk: SimulatedDisk, options: Omit<RollBackOptions, "path">, seed = 7) =>
  rollBack({ path: directory, ...options }).pipe(Effect.provide(platform(disk, seed), { local: true }))

export const restoreOn = (disk: SimulatedDisk, options: Omit<RestoreOptions, "path"> & { readonly path?: string }, seed = 8) =>
  restore({ path: directory, ...options }).pipe(Effect.provide(platform(disk, seed), { local: true }))

/** Opens the database, does this, and closes it. */
export const using = <A, E>(disk: SimulatedDisk, run: (db: DatabaseShape) => Effect.Effect<A, E>, settings: EngineSettings = {}) =>
  Effect.scoped(Effect.flatMap(openSimulated(disk, settings), run))

/** The same with the database at this path. */
export const usingAt = <A, E>(disk: SimulatedDisk, path: string, run: (db: DatabaseShape) => Effect.Effect<A, E>, settings: EngineSettings = {}) =>
  Effect.scoped(Effect.flatMap(openOn(DiskSimulated.layer(disk), path, settings), run))

/** Every entry of the default keyspace. */
export const entriesOf = (db: DatabaseShape): Effect.Effect<ReadonlyArray<string>> =>
  Effect.sync(() =>
    [...db.unsafe.entries()].map(([key, value]) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString("latin1").slice(0, 40)}`)
  )

export const flipByte = (disk: SimulatedDisk, path: string, offset: number): void => {
  const handle = disk.open(path, "write")
  const byte = new Uint8Array(1)
  handle.readAt(byte, offset)
  byte[0]! ^= 0x10
  handle.writev([byte], offset)
  handle.close()
}
