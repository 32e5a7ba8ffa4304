/**
 * A script of operations, run on the engine and on a sorted map side by side: every answer must be the same. A script is plain data, so that a shrunk one can be pasted into
 * `test/regression`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { compareBytes } from "../../src/domain/keys/compareBytes.ts"
import type { DatabaseShape, Reads, ScanRange, Snapshot, UnsafeReads, WriteOperation } from "../../src/services/Database.ts"
import type * as Layer from "effect/Layer"
import type { Disk } from "../../src/services/Disk.ts"
import { type EngineSettings, openOn } from "./openEngine.ts"
import { withSimulatedClock } from "./simulatedClock.ts"
import { valueOf } from "./workload.ts"

/** A key in hexadecimal: keys hold any bytes. */
export type HexKey = string
/** `space` 0 is the default keyspace. */
export type ModelWrite =
  | { readonly put: HexKey; readonly bytes: number; readonly space?: number }
  | { readonly delete: HexKey; readonly space?: number }
  | { readonly from: HexKey; readonly to: HexKey; readonly space?: number }

/** Bounds by name; each may be missing. */
export interface ModelRange {
  readonly gte?: HexKey
  readonly gt?: HexKey
  readonly lte?: HexKey
  readonly lt?: HexKey
  readonly prefix?: HexKey
  readonly reverse?: boolean
  readonly limit?: number
}

export type ModelOperation =
  | { readonly op: "write"; readonly writes: ReadonlyArray<ModelWrite>; readonly buffered?: boolean }
  | { readonly op: "get"; readonly key: HexKey; readonly space?: number; readonly snapshot?: number }
  | { readonly op: "getMany"; readonly keys: ReadonlyArray<HexKey>; readonly space?: number; readonly snapshot?: number }
  | { readonly op: "scan"; readonly range: ModelRange; readonly space?: number; readonly snapshot?: number }
  | { readonly op: "fill"; readonly from: number; readonly count: number; readonly bytes: number; readonly space?: number }
  | { readonly op: "create" | "drop"; readonly space: number }
  | { readonly op: "snapshot" | "release" | "flush" | "compact" | "reopen" | "verify" }
  /** Begun, and not waited for before the database is closed. */
  | { readonly op: "flushBehind" | "compactBehind" }
  /** To a directory of its own, which is opened and compared. */
  | { readonly op: "checkpoint" }
  | { readonly op: "compactRange"; readonly from: HexKey; readonly to: HexKey }

export type ModelScript = ReadonlyArray<ModelOperation>

const bytesOf = (hex: HexKey): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"))
const hexOf = (bytes: Uint8Array): HexKey => Buffer.from(bytes).toString("hex")
const spaceName = (space: number): string => `space${space}`

/** Values by key in hexadecimal (whose order is the order of the bytes), by keyspace. Never changed: a snapshot keeps it. */
type Contents = ReadonlyMap<number, ReadonlyMap<HexKey, Uint8Array>>

const inRange = (range: ModelRange, key: HexKey): boolean =>
  (range.gte === undefined || key >= range.gte) &&
  (range.gt === undefined || key > range.gt) &&
  (range.lt === undefined || key < range.lt) &&
  (range.lte === undefined || key <= range.lte) &&
  (range.prefix === undefined || key.startsWith(range.prefix))

const scanModel = (entries: ReadonlyMap<HexKey, Uint8Array>, range: ModelRange): ReadonlyArray<readonly [HexKey, Uint8Array]> => {
  const found = [...entries].filter(([key]) => inRange(range, key)).sort(([a], [b]) => (a < b ? -1 : 1))
  if (range.reverse === true) found.reverse()
  return range.limit === undefined ? found : found.slice(0, range.limit)
}

const rangeOf = (range: ModelRange): ScanRange => {
  const given: { -readonly [name in keyof ScanRange]: ScanRange[name] } = {}
  for (const bound of ["gte", "gt", "lte", "lt", "prefix"] as const) {
    const hex = range[bound]
    if (hex !== undefined) given[bound] = bytesOf(hex)
  }
  if (range.reverse !== undefined) given.reverse = range.reverse
  if (range.limit !== undefined) given.limit = range.limit
  return given
}

interface Held {
  readonly snapshot: Snapshot
  readonly contents: Contents
  readonly release: Effect.Effect<void>
}

class Mismatch extends Error {}

const expectSame = (what: string, found: Uint8Array | undefined, expected: Uint8Array | undefined): void => {
  const same = found === undefined || expected === undefined ? found === expected : compareBytes(found, expected) === 0
  if (!same)
    throw new Mismatch(
      `${what}: found ${found === undefined ? "nothing" : `${found.length} bytes`}, expected ${expected === undefined ? "nothing" : `${expected.length} bytes`}`
    )
}

const expectSameEntries = (
  what: string,
  found: ReadonlyArray<readonly [Uint8Array, Uint8Array]>,
  expected: ReadonlyArray<readonly [HexKey, Uint8Array]>
): void => {
  const keys = found.map(([key]) => hexOf(key))
  const wanted = expected.map(([key]) => key)
  if (keys.join() !== wanted.join()) throw new Mismatch(`${what}: found keys ${keys.join()}, expected ${wanted.join()}`)
  found.forEach(([key, value], i) => expectSame(`${what}, key ${hexOf(key)}`, value, expected[i]![1]))
}

/** Fails with the first difference. The disk outlives the engine: `reopen` closes and opens again on it. */
export const runModel = (script: ModelScript, disk: Layer.Layer<Disk>, settings: EngineSettings = {}): Effect.Effect<void, unknown> =>
  withSimulatedClock(
    Effect.gen(function* () {
      let contents: Contents = new Map([[0, new Map()]])
      let valueSeed = 0
      let at = 0
      const held: Array<Held> = []
      const behind: Array<Fiber.Fiber<void, unknown>> = []
      let copies = 0

      const applied = (writes: ReadonlyArray<readonly [ModelWrite, Uint8Array | undefined]>): Contents => {
        const next = new Map([...contents].map(([space, entries]) => [space, new Map(entries)] as const))
        for (const [write, value] of writes) {
          const entries = next.get(write.space ?? 0)!
          if ("put" in write) entries.set(write.put, value!)
          else if ("delete" in write) entries.delete(write.delete)
          else for (const key of [...entries.keys()]) if (key >= write.from && key < write.to) entries.delete(key)
        }
        return next
      }

      const exists = (space: number | undefined): boolean => contents.has(space ?? 0)

      const write = (db: DatabaseShape, writes: ReadonlyArray<ModelWrite>, buffered: boolean | undefined) =>
        Effect.gen(function* () {
          // What names a keyspace that is not there, or a range that is inverted, is refused by the engine and tested elsewhere.
          const legal = writes.filter((write) => exists(write.space) && !("from" in write && write.from > write.to))
          const valued = legal.map((write) => [write, "put" in write ? valueOf(++valueSeed, write.bytes) : undefined] as const)
          const operations = valued.map(([write, value]): WriteOperation => {
            const keyspace = write.space === undefined || write.space === 0 ? undefined : spaceName(write.space)
            if ("put" in write) return { type: "put", key: bytesOf(write.put), value: value!, keyspace }
            if ("delete" in write) return { type: "delete", key: bytesOf(write.delete), keyspace }
            return { type: "deleteRange", gte: bytesOf(write.from), lt: bytesOf(write.to), keyspace }
          })
          yield* db.write(operations, { durability: buffered === true ? "buffered" : "sync" })
          contents = applied(valued)
        })

      /** What to read, and what must be found: the present, or a snapshot (also of a keyspace that was dropped since). */
      const target = (db: DatabaseShape, space: number | undefined, which: number | undefined) =>
        Effect.gen(function* () {
          const snapshot = which === undefined || held.length === 0 ? undefined : held[which % held.length]!
          const expected = (snapshot?.contents ?? contents).get(space ?? 0)
          if (expected === undefined) return undefined
          if (space === undefined || space === 0) {
            const reads: Reads & { readonly unsafe: UnsafeReads } = snapshot === undefined ? db : snapshot.snapshot
            return { reads, unsafe: reads.unsafe, expected }
          }
          if (snapshot === undefined) {
            const keyspace = yield* db.keyspace(spaceName(space))
            return { reads: keyspace, unsafe: keyspace.unsafe, expected }
          }
          // Keyspaces are found by the names of today; one that was dropped, or made anew, is another one.
          if (contents.get(space) === undefined || !sameSpace(snapshot.contents, space)) return undefined
          return { reads: yield* snapshot.snapshot.keyspace(spaceName(space)), unsafe: undefined, expected }
        })

      const generation = new Map<number, number>()
      const generations = new Map<Contents, ReadonlyMap<number, number>>()
      const sameSpace = (then: Contents, space: number): boolean => generations.get(then)?.get(space) === generation.get(space)

      const take = (operation: ModelOperation, db: DatabaseShape): Effect.Effect<void, unknown> =>
        Effect.gen(function* () {
          const what = `operation ${at}, ${JSON.stringify(operation)}`
          switch (operation.op) {
            case "write":
              return yield* write(db, operation.writes, operation.buffered)
            case "fill":
              return yield* write(
                db,
                Array.from({ length: operation.count }, (_, i) => ({
                  put: hexOf(Buffer.from(`f${String((operation.from + i) % 100).padStart(2, "0")}`)),
                  bytes: operation.bytes,
                  space: operation.space ?? 0
                })),
                true
              )
            case "get": {
              const found = yield* target(db, operation.space, operation.snapshot)
              if (found === undefined) return
              const key = bytesOf(operation.key)
              const expected = found.expected.get(operation.key)
              expectSame(what, yield* found.reads.get(key), expected)
              if ((yield* found.reads.has(key)) !== (expected !== undefined)) throw new Mismatch(`${what}: has says otherwise`)
              if (found.unsafe !== undefined) expectSame(`${what}, unsafe`, found.unsafe.get(key), expected)
              return
            }
            case "getMany": {
              const found = yield* target(db, operation.space, operation.snapshot)
              if (found === undefined) return
              const values = yield* found.reads.getMany(operation.keys.map(bytesOf))
              operation.keys.forEach((key, i) => expectSame(`${what}, key ${i}`, values[i], found.expected.get(key)))
              found.unsafe
                ?.getMany(operation.keys.map(bytesOf))
                .forEach((value, i) => expectSame(`${what}, unsafe key ${i}`, value, found.expected.get(operation.keys[i]!)))
              return
            }
            case "scan": {
              const found = yield* target(db, operation.space, operation.snapshot)
              if (found === undefined || isContradictory(operation.range)) return
              const expected = scanModel(found.expected, operation.range)
              const entries = yield* Stream.runCollect(found.reads.scan(rangeOf(operation.range)))
              expectSameEntries(
                what,
                entries.map(({ key, value }) => [key, value]),
                expected
              )
              if (found.unsafe !== undefined) expectSameEntries(`${what}, unsafe`, [...found.unsafe.entries(rangeOf(operation.range))], expected)
              return
            }
            case "create": {
              yield* db.keyspace(spaceName(operation.space))
              if (exists(operation.space)) return
              generation.set(operation.space, (generation.get(operation.space) ?? 0) + 1)
              contents = new Map(contents).set(operation.space, new Map())
              return
            }
            case "drop": {
              if (!exists(operation.space) || operation.space === 0) return
              yield* db.dropKeyspace(spaceName(operation.space))
              const next = new Map(contents)
              next.delete(operation.space)
              contents = next
              return
            }
            case "snapshot": {
              const scope = yield* Scope.make()
              const snapshot = yield* Scope.provide(db.snapshot, scope)
              // A copy of its own: two snapshots of one moment may know different keyspaces by the same name later.
              const then = new Map(contents)
              generations.set(then, new Map(generation))
              held.push({ snapshot, contents: then, release: Scope.close(scope, Exit.void) })
              return
            }
            case "release": {
              const oldest = held.shift()
              if (oldest !== undefined) yield* oldest.release
              return
            }
            case "flush":
              return yield* db.flush
            case "compact":
              return yield* db.compact()
            case "compactRange":
              return operation.from <= operation.to ? yield* db.compact({ gte: bytesOf(operation.from), lt: bytesOf(operation.to) }) : undefined
            case "flushBehind":
            case "compactBehind":
              behind.push(yield* Effect.forkDetach(operation.op === "flushBehind" ? db.flush : db.compact(), { startImmediately: true }))
              return
            case "checkpoint": {
              const path = `/copy${++copies}`
              yield* db.checkpoint(path)
              yield* Effect.scoped(Effect.flatMap(openOn(disk, path, settings), (copy) => checkContents(copy, contents, what)))
              return
            }
            case "verify":
              return void (yield* db.verify)
            case "reopen":
              return
          }
        })

      /** Everything, in both directions. */
      const checkContents = (db: DatabaseShape, expectedOf: Contents, when: string) =>
        Effect.gen(function* () {
          for (const [space, expected] of expectedOf) {
            const reads: Reads = space === 0 ? db : yield* db.keyspace(spaceName(space))
            for (const reverse of [false, true]) {
              const entries = yield* Stream.runCollect(reads.scan({ reverse }))
              expectSameEntries(
                `${when}, keyspace ${space}, reverse ${reverse}`,
                entries.map(({ key, value }) => [key, value]),
                scanModel(expected, { reverse })
              )
            }
          }
        })

      const checkAll = (db: DatabaseShape, when: string) =>
        Effect.gen(function* () {
          yield* checkContents(db, contents, when)
          for (const { contents: then, snapshot } of held) {
            const entries = yield* Stream.runCollect(snapshot.scan())
            expectSameEntries(
              `${when}, snapshot ${snapshot.sequence}`,
              entries.map(({ key, value }) => [key, value]),
              scanModel(then.get(0)!, {})
            )
          }
        })

      while (at < script.length) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openOn(disk, "/db", settings)
            yield* checkAll(db, `after opening, before operation ${at}`)
            for (; at < script.length; at++) {
              const operation = script[at]!
              if (operation.op === "reopen") {
                at++
                break
              }
              yield* take(operation, db)
            }
            yield* checkAll(db, `before closing, after operation ${at}`)
            for (const fiber of behind.splice(0)) yield* Fiber.join(fiber)
            for (const { release } of held.splice(0)) yield* release
          })
        )
      }
    })
  )

/** Refused by the engine as a mistake: two bounds of one side, or a lower bound above the upper one. */
const isContradictory = (range: ModelRange): boolean => {
  if ((range.gte !== undefined && range.gt !== undefined) || (range.lte !== undefined && range.lt !== undefined)) return true
  const lower = range.gte ?? range.gt
  const upper = range.lt ?? range.lte
  return lower !== undefined && upper !== undefined && lower > upper
}
