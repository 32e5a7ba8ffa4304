/** A cleanly closed database of a few kilobytes per file that has all kinds of file: what every single bit of is flipped. */
import * as Effect from "effect/Effect"
import * as DiskSimulated from "../../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../../src/services/Database.ts"
import { directory, type EngineSettings, openOn } from "../openEngine.ts"
import { withSimulatedClock } from "../simulatedClock.ts"
import { valueOf } from "../workload.ts"

/** Blocks and values apart as small as they may be; nothing cached, so that each read meets the disk; nothing compacted unless it is asked for. */
export const smallSettings: EngineSettings = {
  blockBytes: 512,
  valueThresholdBytes: 64,
  cacheBytes: 0,
  level0CompactTrigger: 100,
  level0SlowTrigger: 100,
  level0StopTrigger: 100,
  retention: { history: "30 days", log: "unlimited" }
}

export const keyOf = (i: number): string => `k${String(i).padStart(3, "0")}`
/** Keys of each keyspace, and some that are not there. */
export const keysMax = 40
const orderKeys = 12

const buffered = { durability: "buffered" } as const

/** What is written: versions of keys in a lower level, range tombstones, deletes, expiry and separated values above it, and a log that is in no table yet. */
const firstSession = (db: DatabaseShape, salt: number) =>
  Effect.gen(function* () {
    yield* db.keyspace("orders")
    // Synced one by one: each group on the alignment.
    for (let i = 0; i < 3; i++) yield* db.put(keyOf(i), valueOf(salt + i, 8))
    const put = (i: number, seed: number, bytes: number, keyspace?: string) =>
      ({ type: "put", key: keyOf(i), value: valueOf(salt + seed, bytes), keyspace }) as const
    for (let from = 0; from < keysMax; from += 10)
      yield* db.write(
        Array.from({ length: 10 }, (_, j) => put(from + j, 3 * (from + j), (from + j) % 13 === 0 ? 90 : 24)),
        buffered
      )
    yield* db.write(
      Array.from({ length: orderKeys }, (_, i) => put(i, 100 + i, 16, "orders")),
      buffered
    )
    yield* db.flush
    yield* db.compact()
    yield* db.write(
      Array.from({ length: Math.ceil(keysMax / 3) }, (_, i) => put(3 * i, 200 + 3 * i, i % 2 === 0 ? 80 : 20)),
      buffered
    )
    yield* db.write([{ type: "deleteRange", gte: keyOf(20), lt: keyOf(24) }], buffered)
    yield* db.put("lease", "x", { ttl: 1e12, ...buffered })
    yield* db.delete(keyOf(5), buffered)
    yield* db.flush
  })

const secondSession = (db: DatabaseShape, salt: number) =>
  Effect.gen(function* () {
    // Groups right behind one another, and groups on the alignment.
    for (let i = 0; i < 20; i += 3) yield* db.put(keyOf(i), valueOf(salt + 300 + i, 20), buffered)
    yield* db.delete(keyOf(9))
    yield* db.write([{ type: "add", key: "counter", value: 7 }])
    yield* db.put("last", "1", buffered)
  })

/** Writes it, and closes it twice. Another `salt` gives another database, with files of the same names, and other values in them. */
export const makeSmallDatabase = async (salt = 0): Promise<SimulatedDisk> => {
  const disk = new SimulatedDisk()
  await addSession(disk, salt + 1, (db) => firstSession(db, salt))
  await addSession(disk, salt + 2, (db) => secondSession(db, salt))
  // As it is left where a segment was filled with zeros ahead, and not all of them were needed.
  const oldest = disk
    .list(directory)
    .filter((name) => name.endsWith(".log"))
    .toSorted()[0]!
  const handle = disk.open(`${directory}/${oldest}`, "write")
  handle.writev([new Uint8Array(4096)], handle.sizeBytes())
  handle.datasync()
  handle.close()
  return disk
}

/** Opens the database of the directory, or makes one, does that, and closes it. */
export const addSession = (
  disk: SimulatedDisk,
  entropySeed: number,
  session: (db: DatabaseShape) => Effect.Effect<unknown, unknown>,
  path = directory
): Promise<void> =>
  Effect.runPromise(
    withSimulatedClock(
      Effect.scoped(Effect.flatMap(openOn(DiskSimulated.layer(disk), path, { ...smallSettings, entropySeed }), (db) => Effect.asVoid(session(db))))
    )
  )
