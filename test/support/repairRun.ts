/** Databases with random damage, and what a salvage and a repair of them may and may not show. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { nameInRowKey } from "../../src/domain/keys/catalogRows.ts"
import { defaultKeyspace, systemKeyspace } from "../../src/domain/keys/kinds.ts"
import { holdsKey, type Loss } from "../../src/domain/repair/Loss.ts"
import type { RepairReport } from "../../src/domain/repair/RepairReport.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { drawInt, type Prng, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import * as EntropyLayer from "../../src/layers/Entropy.ts"
import type { RepairOptions } from "../../src/layers/repair/repairDirectory.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape, Operations } from "../../src/services/Database.ts"
import { directory, type EngineSettings, openOn } from "./openEngine.ts"
import type { Oracle, OracleEntry } from "./Oracle.ts"
import { recordRun } from "./recordedRun.ts"
import { withSimulatedClock } from "./simulatedClock.ts"
import { drawWorkload, type WorkloadShape } from "./workload.ts"

/** A copy of the disk that can be spoiled. */
export const copyOf = (disk: SimulatedDisk): SimulatedDisk => disk.crashState(seededPrng(1), { mode: "all" })

export const readBytes = (disk: SimulatedDisk, path: string): Uint8Array => {
  const handle = disk.open(path, "read")
  const bytes = new Uint8Array(handle.sizeBytes())
  handle.readAt(bytes, 0)
  handle.close()
  return bytes
}

export const replaceBytes = (disk: SimulatedDisk, path: string, bytes: Uint8Array): void => {
  const handle = disk.open(path, "write")
  handle.truncate(0)
  handle.writev([bytes], 0)
  handle.datasync()
  handle.close()
}

export interface RecordedDatabase {
  readonly disk: SimulatedDisk
  readonly oracle: Oracle
}

export const recordedDatabase = async (
  seed: number,
  shape: Partial<WorkloadShape> = {},
  settings: EngineSettings = {}
): Promise<RecordedDatabase> => {
  const disk = new SimulatedDisk({ record: true })
  const weights = { create: 2, drop: 1, snapshot: 0, release: 0, reopen: 1, flush: 6, compact: 1 }
  const steps = drawWorkload(seed, { steps: 60, keys: 60, structureChance: 0.25, largeChance: 0.2, weights, ...shape })
  const { oracle } = await Effect.runPromise(recordRun({ disk, steps, settings }))
  return { disk, oracle }
}

const filePattern = /^(?:CURRENT|\d+\.(?:log|manifest|table|values))$/

/** Spoils one thing in the directory, and says what. */
export const damageOnce = (disk: SimulatedDisk, prng: Prng): string => {
  const names = disk
    .list(directory)
    .filter((name) => filePattern.test(name))
    .sort()
  // Tables and value files are the most and the largest, as on a disk.
  const some = names.filter((name) => /table|values/.test(name))
  const name = drawInt(prng, 3) > 0 && some.length > 0 ? some[drawInt(prng, some.length)]! : names[drawInt(prng, names.length)]!
  const path = `${directory}/${name}`
  const bytes = readBytes(disk, path)
  switch (drawInt(prng, 6)) {
    case 0:
      disk.remove(path)
      return `${name} removed`
    case 1: {
      const length = drawInt(prng, bytes.length + 1)
      replaceBytes(disk, path, bytes.subarray(0, length))
      return `${name} cut to ${length} of ${bytes.length}`
    }
    case 2: {
      const other = `${directory}/${names[drawInt(prng, names.length)]!}`
      const others = readBytes(disk, other)
      replaceBytes(disk, path, others)
      replaceBytes(disk, other, bytes)
      return `${name} and ${other} exchanged`
    }
    case 3: {
      const at = drawInt(prng, bytes.length + 1)
      bytes.fill(0, at, at + 512)
      replaceBytes(disk, path, bytes)
      return `${name} zeros at ${at}`
    }
    default: {
      if (bytes.length === 0) return `${name} is empty`
      const at = drawInt(prng, bytes.length)
      bytes[at]! ^= 1 << drawInt(prng, 8)
      replaceBytes(disk, path, bytes)
      return `${name} flipped at ${at} of ${bytes.length}`
    }
  }
}

type Contents = ReadonlyMap<string, string>

const idOf = (keyspace: number, key: Uint8Array): string => `${keyspace}/${Buffer.from(key).toString("latin1")}`
const keyOf = (id: string): { readonly keyspace: number; readonly key: Uint8Array } => {
  const cut = id.indexOf("/")
  return { keyspace: Number(id.slice(0, cut)), key: new Uint8Array(Buffer.from(id.slice(cut + 1), "latin1")) }
}
const contentsOf = (entries: ReadonlyArray<OracleEntry>): Map<string, string> =>
  new Map(
    entries
      .filter(({ keyspace }) => keyspace !== systemKeyspace)
      .map(({ key, keyspace, value }) => [idOf(keyspace, key), Buffer.from(value).toString("base64")])
  )

/** What may be read of a key, whatever was lost. */
export const everWritten = (oracle: Oracle): ReadonlyMap<string, ReadonlySet<string>> => {
  const all = new Map<string, Set<string>>()
  for (let sequence = 1; sequence <= oracle.last; sequence++) {
    for (const [id, value] of contentsOf(oracle.stateAt(sequence))) {
      const known = all.get(id)
      if (known === undefined) all.set(id, new Set([value]))
      else known.add(value)
    }
  }
  return all
}

const namesOf = (oracle: Oracle): ReadonlyMap<string, number> =>
  new Map(
    oracle.stateAt(oracle.last).flatMap(({ key, keyspace, value }) => {
      const name = keyspace === systemKeyspace ? nameInRowKey(key) : undefined
      return name === undefined ? [] : [[new TextDecoder().decode(name), new DataView(value.buffer, value.byteOffset).getUint32(0)] as const]
    })
  )

/** Every keyspace that can be opened by a name the oracle knows, or that says its id in its name. */
const keyspacesOf = (db: DatabaseShape, oracle: Oracle) =>
  Effect.gen(function* () {
    const found: Array<{ readonly id: number; readonly of: Operations }> = [{ id: defaultKeyspace, of: db }]
    const known = namesOf(oracle)
    for (const { name } of yield* db.keyspaces) {
      const recovered = /^recovered-(\d+)$/.exec(name)
      const id = known.get(name) ?? (recovered === null ? undefined : Number(recovered[1]))
      if (id !== undefined && !found.some((one) => one.id === id)) found.push({ id, of: yield* db.keyspace(name) })
    }
    return found
  })

/** What scans show, forward; backward they must show the same. */
export const scanAll = (db: DatabaseShape, oracle: Oracle) =>
  Effect.gen(function* () {
    const contents = new Map<string, string>()
    for (const { id, of } of yield* keyspacesOf(db, oracle)) {
      const forward = yield* Stream.runCollect(of.scan())
      const backward = yield* Stream.runCollect(of.scan({ reverse: true }))
      if (forward.length !== backward.length) throw new Error(`a scan of ${id} shows ${forward.length} forward and ${backward.length} backward`)
      for (const { key, value } of forward) contents.set(idOf(id, key), Buffer.from(value).toString("base64"))
    }
    return contents
  })

const isDoubted = (losses: ReadonlyArray<Loss>, id: string): boolean => {
  const place = keyOf(id)
  return losses.some(({ effect, range }) => effect !== "none" && range !== undefined && holdsKey(range, place))
}

/** What the report promises of what is read. Throws where it does not hold. */
export const judgeContents = (
  found: Contents,
  report: { readonly losses: ReadonlyArray<Loss> },
  oracle: Oracle,
  ever: ReadonlyMap<string, ReadonlySet<string>>
): { readonly exact: number; readonly doubted: number } => {
  const { losses } = report
  for (const [id, value] of found) if (ever.get(id)?.has(value) !== true) throw new Error(`${id} shows a value that was never written`)
  const anywhere = losses.filter(({ effect, range }) => effect !== "none" && range === undefined)
  // Nothing tells which tables a lost manifest named.
  if (anywhere.some(({ kind }) => kind !== "log")) return { exact: 0, doubted: found.size }
  const through = anywhere.reduce((least, { sequences }) => Math.min(least, sequences!.first - 1), oracle.last)
  const expected = contentsOf(oracle.stateAt(through))
  let exact = 0
  let doubted = 0
  for (const id of new Set([...expected.keys(), ...found.keys()])) {
    if (isDoubted(losses, id)) {
      doubted++
      continue
    }
    if (found.get(id) !== expected.get(id))
      throw new Error(`${id} is in no reported loss, and is ${found.has(id) ? "not as it was written last" : "missing"} (through ${through})`)
    exact++
  }
  return { exact, doubted }
}

/** Point reads: the right answer, or an error. */
export const judgePoints = (db: DatabaseShape, oracle: Oracle, ever: ReadonlyMap<string, unknown>) =>
  Effect.gen(function* () {
    const losses = db.salvage?.losses ?? []
    if (losses.some(({ effect, range }) => effect !== "none" && range === undefined)) return 0
    const expected = contentsOf(oracle.stateAt(oracle.last))
    const spaces = new Map((yield* keyspacesOf(db, oracle)).map(({ id, of }) => [id, of]))
    let refused = 0
    for (const id of ever.keys()) {
      const { key, keyspace } = keyOf(id)
      const space = spaces.get(keyspace)
      if (space === undefined) continue
      const got = yield* Effect.exit(space.get(key))
      if (Exit.isFailure(got)) {
        const error = Cause.squash(got.cause)
        if (!(error instanceof Error) || !("_tag" in error) || error._tag !== "CorruptFile") throw error
        if (!isDoubted(losses, id)) throw new Error(`get of ${id} fails, and nothing was lost there`)
        refused++
      } else if ((got.value === undefined ? undefined : Buffer.from(got.value).toString("base64")) !== expected.get(id)) {
        throw new Error(`get of ${id} gives a wrong answer`)
      }
    }
    return refused
  })

export const openSalvaged = (disk: SimulatedDisk, settings: EngineSettings = {}): Effect.Effect<DatabaseShape, unknown, Scope.Scope> =>
  openOn(DiskSimulated.layer(disk), directory, { salvage: true, ...settings })

export const openAt = (disk: SimulatedDisk, path: string) => openOn(DiskSimulated.layer(disk), path, { entropySeed: 5 })

export const repairOn = (
  disk: SimulatedDisk,
  options: Omit<RepairOptions, "path"> & { readonly path?: string }
): Effect.Effect<RepairReport, unknown> =>
  LightningDb.repairCore({ path: directory, ...options }, EntropyLayer.layerSeeded(9)).pipe(
    Effect.provide(Layer.fresh(DiskSimulated.layer(disk))),
    Effect.provideService(References.MinimumLogLevel, "None")
  )

/** Runs by a clock of its own, in a scope of its own. */
export const run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): Promise<A> => Effect.runPromise(withSimulatedClock(Effect.scoped(effect)))
