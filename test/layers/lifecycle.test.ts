/** Opening, closing and being interrupted: in order, and without leaving anything behind. */
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseClosed } from "../../src/domain/errors.ts"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as DiskTracing from "../../src/layers/disk/DiskTracing.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import { DiskTracer } from "../../src/layers/disk/TracingDisk.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { Disk } from "../../src/services/Disk.ts"
import { scanned } from "../contracts/database/fixture.ts"
import { WorkersControl } from "../support/gatedWorkers.ts"
import { openOn, smallOptions } from "../support/openEngine.ts"
import { openLayer, quickRoot } from "../support/openLayer.ts"

const root = fs.mkdtempSync(path.join(quickRoot, "lightning-lifecycle-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))
let made = 0
const newPath = () => path.join(root, String(made++))
const onDirectory = (directory: string, options: Partial<LightningDb.Options> = {}) =>
  openLayer(LightningDb.layer({ ...smallOptions, ...options, path: directory }))

/** Paths of files of the directory this process holds open. */
const openFiles = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync("/proc/self/fd")
    .flatMap((fd) => {
      try {
        return [fs.readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        return []
      }
    })
    .filter((file) => file.startsWith(directory))
    .toSorted()

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
const fill = (db: DatabaseShape, count: number) =>
  db.write(
    Array.from({ length: count }, (_, i) => ({
      type: "put" as const,
      key: `k${String(i).padStart(4, "0")}`,
      value: i % 10 === 0 ? new Uint8Array(2000) : "v"
    })),
    { durability: "buffered" }
  )

describe("closing", () => {
  it.effect("drains, syncs, seals, closes, unlocks: in this order", () =>
    Effect.gen(function* () {
      const tracer = new DiskTracer()
      const order: Array<string> = []
      const watched = Layer.effect(
        Disk,
        Effect.map(Disk, (disk) => ({
          ...disk,
          lock: (directory: string) => {
            const lock = disk.lock(directory)
            return {
              ...lock,
              release: () => {
                order.push("unlock")
                lock.release()
              }
            }
          }
        }))
      )
      const disk = DiskTracing.layer(tracer).pipe(Layer.provide(watched), Layer.provide(Layer.fresh(DiskMemory.layer)))
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(
        openLayer(LightningDb.layerCore({ ...smallOptions, path: "/db" }).pipe(Layer.provide(Layer.provideMerge(new WorkersControl().layer, disk)))),
        scope
      )
      // Sequenced, and not yet written: the close must see them through.
      const pending = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        (i) => Effect.forkDetach(db.put(`k${i}`, "v", { durability: i % 2 === 0 ? "sync" : "buffered" }), { startImmediately: true })
      )
      const from = tracer.events.length
      yield* Scope.close(scope, Exit.void)
      expect((yield* Effect.forEach(pending, (fiber) => Fiber.join(fiber))).map(({ durability }) => durability)).toEqual(
        Array.from({ length: 20 }, () => "memory")
      )
      const steps = tracer.events
        .slice(from)
        .filter(({ kind }) => kind === "writev" || kind === "datasync")
        .map(({ kind, path: file }) => `${kind} ${file.endsWith(".log") ? "log" : file.endsWith(".manifest") ? "manifest" : file}`)
      expect(steps.indexOf("writev log")).toBeGreaterThanOrEqual(0)
      expect(steps.lastIndexOf("writev log")).toBeLessThan(steps.lastIndexOf("datasync log"))
      expect(steps.lastIndexOf("datasync log")).toBeLessThan(steps.lastIndexOf("writev manifest"))
      expect(steps.at(-1)).toBe("datasync manifest")
      expect(order).toEqual(["unlock"])
    })
  )

  it.effect("a buffered log is synced and sealed: the next open replays it and cuts nothing", () =>
    Effect.gen(function* () {
      const directory = newPath()
      yield* Effect.scoped(Effect.flatMap(onDirectory(directory), (db) => fill(db, 30)))
      expect(openFiles(directory)).toEqual([])
      const last = yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* onDirectory(directory)
          const stats = yield* db.stats
          expect(stats.recovery).toMatchObject({ replayedTransactions: 1, cutBytes: 0, laterGroupsCut: 0 })
          return (yield* db.put("next", "1")).sequence
        })
      )
      // No sequence is lost by a clean close.
      expect(last).toBe(2)
    })
  )

  it.effect("while the log goes on into its next segment: the one before is sealed, and closed", () =>
    Effect.gen(function* () {
      const directory = newPath()
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(onDirectory(directory, { memtableBytes: 1 << 20, durability: "sync" }), scope)
      yield* db.put("first", "1")
      for (let i = 0; i < 5; i++) yield* turn
      // More than a segment holds, in groups that are still to be written when the close begins.
      const pending: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 4; i++) {
        for (let j = 0; j < 40; j++) pending.push(yield* Effect.forkDetach(db.put(`k${i}-${j}`, new Uint8Array(1000)), { startImmediately: true }))
        yield* Effect.yieldNow
      }
      yield* Scope.close(scope, Exit.void)
      expect(openFiles(directory)).toEqual([])
      yield* Effect.forEach(pending, (fiber) => Fiber.join(fiber))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const again = yield* onDirectory(directory, { memtableBytes: 1 << 20 })
          expect(yield* scanned(again)).toHaveLength(161)
          expect((yield* again.stats).recovery).toMatchObject({ replayedTransactions: 161, cutBytes: 0, laterGroupsCut: 0 })
          expect((yield* again.put("next", "1")).sequence).toBe(162)
        })
      )
    })
  )

  it.effect("under load, with jobs running, scans and snapshots open: no handle stays, and nothing acknowledged is lost", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 6; round++) {
        const directory = newPath()
        const acknowledged = new Set<number>()
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* onDirectory(directory)
            let i = 0
            for (let writer = 0; writer < 4; writer++) {
              fibers.push(
                yield* Effect.forkDetach(
                  Effect.forever(
                    Effect.suspend(() => {
                      const number = i++
                      return Effect.tap(db.put(`k${number}`, new Uint8Array(300), { durability: number % 3 === 0 ? "sync" : "buffered" }), () =>
                        Effect.sync(() => acknowledged.add(number))
                      )
                    })
                  )
                )
              )
            }
            fibers.push(yield* Effect.forkDetach(Effect.forever(Stream.runDrain(db.scan()))))
            fibers.push(yield* Effect.forkDetach(Effect.scoped(Effect.andThen(db.snapshot, Effect.never))))
            fibers.push(yield* Effect.forkDetach(Effect.forever(db.compact())))
            fibers.push(yield* Effect.forkDetach(Effect.forever(db.verify)))
            fibers.push(yield* Effect.forkDetach(db.checkpoint(`${directory}-copy`)))
            for (let turns = 0; turns < round * 40 + 20; turns++) yield* turn
          })
        )
        expect(openFiles(directory)).toEqual([])
        const ended = yield* Effect.forEach(
          fibers.filter((_, index) => index !== 5),
          (fiber) => Fiber.await(fiber)
        )
        for (const exit of ended)
          if (Exit.isFailure(exit)) expect(exit.cause.reasons[0]).toMatchObject({ _tag: "Fail", error: { _tag: "DatabaseClosed" } })
        yield* Fiber.interrupt(fibers[5]!)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* onDirectory(directory)
            for (const number of acknowledged) expect(yield* db.has(`k${number}`)).toBe(true)
            yield* db.verify
          })
        )
        expect(openFiles(directory)).toEqual([])
      }
    })
  )
})

describe("opening", () => {
  it.effect("that fails, or is interrupted, leaves no handle and no lock", () =>
    Effect.gen(function* () {
      const directory = newPath()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* onDirectory(directory)
          yield* db.keyspace("orders")
          yield* fill(db, 50)
          yield* db.flush
        })
      )
      for (let turns = 0; turns < 12; turns++) {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(onDirectory(directory), Effect.never)), {
          startImmediately: turns % 2 === 0
        })
        for (let i = 0; i < turns; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        expect(openFiles(directory)).toEqual([])
      }
      // Damage in the catalog is met late, when log and manifest are open already.
      const catalog = fs
        .readdirSync(directory)
        .filter((name) => name.endsWith(".table"))
        .map((name) => path.join(directory, name))
        .toSorted()[0]!
      const good = fs.readFileSync(catalog)
      fs.writeFileSync(
        catalog,
        good.map((byte, i) => (i > 63 && i < good.length - 96 ? byte ^ 1 : byte))
      )
      expect(yield* Effect.flip(Effect.scoped(onDirectory(directory)))).toMatchObject({ _tag: "CorruptFile", file: catalog })
      expect(openFiles(directory)).toEqual([])
      fs.writeFileSync(catalog, good)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* onDirectory(directory)
          expect(yield* scanned(db)).toHaveLength(50)
          expect((yield* db.keyspaces).map(({ name }) => name)).toEqual(["orders"])
        })
      )
    })
  )
})

describe("interruption", () => {
  it.effect("of any operation at any point leaves no lease, pin, claim or handle", () =>
    Effect.gen(function* () {
      const directory = newPath()
      const db = yield* onDirectory(directory)
      const orders = yield* db.keyspace("orders")
      for (let i = 0; i < 3; i++) {
        yield* fill(db, 600)
        yield* orders.put(`k${i}`, "v")
        yield* db.flush
      }
      yield* db.compact()
      const operations: ReadonlyArray<readonly [string, (n: number) => Effect.Effect<unknown, unknown, Scope.Scope>]> = [
        ["put", (n) => db.put(`p${n}`, "v")],
        [
          "write",
          (n) =>
            db.write([
              { type: "put", key: `w${n}`, value: "v" },
              { type: "delete", key: `p${n}` },
              { type: "put", key: "k", value: "v", keyspace: "orders" }
            ])
        ],
        ["scan", () => Stream.runDrain(db.scan())],
        ["scan backward", () => Stream.runDrain(db.scan({ reverse: true }))],
        ["snapshot", () => Effect.flatMap(db.snapshot, (snapshot) => Stream.runDrain(snapshot.scan({ prefix: "k" })))],
        ["getMany", () => db.getMany(["k0001", "k0100", "k0555"])],
        ["flush", () => db.flush],
        ["compact", () => db.compact()],
        ["verify", () => db.verify],
        ["checkpoint", (n) => db.checkpoint(path.join(root, `checkpoint-${made++}-${n}`))],
        ["keyspace", (n) => db.keyspace(`n${n}`)]
      ]
      for (const [name, operation] of operations) {
        for (let n = 0; n < 24; n++) {
          const fiber = yield* Effect.forkChild(Effect.scoped(operation(n)), { startImmediately: n % 2 === 0 })
          for (let i = 0; i < n; i++) yield* n % 3 === 0 ? turn : Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          expect((yield* db.stats).snapshots.open, name).toBe(0)
          expect((yield* db.stats).stalls.waiting, name).toBe(0)
        }
      }
      // Claims given back: everything can be compacted into one level, and what was replaced is gone from the disk.
      yield* Effect.andThen(db.flush, db.compact())
      const stats = yield* db.stats
      expect(stats.compactions.running).toBe(0)
      expect(stats.levels.filter(({ tables }) => tables > 0)).toHaveLength(1)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      const tables = fs.readdirSync(directory).filter((file) => file.endsWith(".table"))
      expect(tables).toHaveLength(stats.levels.reduce((sum, level) => sum + level.tables, 0))
      const report = yield* db.verify
      expect(report.tables).toBe(tables.length)
      // Log, manifest, lock, and each table and value file once at most.
      const files = openFiles(directory)
      expect(files.filter((file) => file.includes("deleted"))).toEqual([])
      expect(new Set(files.filter((file) => /\.(table|values)$/.test(file))).size).toBe(files.filter((file) => /\.(table|values)$/.test(file)).length)
    })
  )
})

describe("a database in memory", () => {
  it.live("starts no timer and no thread", () =>
    Effect.gen(function* () {
      const resources = () =>
        process.getActiveResourcesInfo().filter((kind) => kind === "Timeout" || kind === "MessagePort" || kind === "Worker").length
      const before = resources()
      const db = yield* openLayer(LightningDb.layerMemory(smallOptions))
      for (let i = 0; i < 5; i++) yield* Effect.andThen(fill(db, 600), db.flush)
      yield* db.compact()
      expect(resources()).toBeLessThanOrEqual(before)
      // The leases of snapshots are watched by one, as long as there are any.
      yield* Effect.scoped(db.snapshot)
    })
  )
})

describe("a file that cannot be read", () => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length
  /** A database with one table, which cannot be read, is not looked for for a day, and is by one timer. */
  const unreadable = (readOnly: boolean) =>
    Effect.gen(function* () {
      let faulty: FaultyDisk | undefined
      const disk = DiskFaulty.layerWith((created) => {
        faulty = created
      }).pipe(Layer.provide(Layer.fresh(DiskMemory.layer)))
      const shared = Layer.succeedContext(yield* Layer.build(disk))
      const fillTables = (db: DatabaseShape) => Effect.forEach(["a", "b"], (key) => Effect.andThen(db.put(key, "1"), db.flush), { discard: true })
      if (readOnly) yield* Effect.scoped(Effect.flatMap(openOn(shared, "/db"), fillTables))
      const before = timers()
      const scope = yield* Scope.make()
      const settings = { breaker: { failureThreshold: 1, openFor: "1 day" } as const, cacheBytes: 0, valueCacheBytes: 0, readOnly }
      const db = yield* Scope.provide(openOn(shared, "/db", settings), scope)
      if (!readOnly) yield* fillTables(db)
      for (let i = 0; i < 10; i++) yield* turn
      const healthy = timers()
      faulty!.add({ match: { operation: "readAt", path: /\.table$/ }, fault: { code: "EIO" } })
      yield* Effect.flip(db.get("a"))
      for (let i = 0; i < 10; i++) yield* turn
      expect((yield* db.health).reasons.join()).toContain("is suspended")
      expect(timers()).toBe(healthy + 1)
      return { before, healthy, db, scope, heal: () => faulty!.clear() }
    })

  it.live("is looked for by one timer, which goes with the file", () =>
    Effect.gen(function* () {
      const { db, heal, healthy, scope } = yield* unreadable(false)
      heal()
      yield* db.compact()
      for (let i = 0; i < 10; i++) yield* turn
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      expect(timers()).toBe(healthy)
      yield* Scope.close(scope, Exit.void)
    })
  )

  for (const readOnly of [false, true]) {
    it.live(`is looked for no more once the database closes${readOnly ? ", which only reads" : ""}`, () =>
      Effect.gen(function* () {
        const { before, scope } = yield* unreadable(readOnly)
        yield* Scope.close(scope, Exit.void)
        expect(timers()).toBe(before)
      })
    )
  }
})

describe("a closed database", () => {
  it.effect("answers writers that still run", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openLayer(LightningDb.layerMemory(smallOptions)), scope)
      yield* Scope.close(scope, Exit.void)
      expect(yield* Effect.flip(db.put("k", "v"))).toBeInstanceOf(DatabaseClosed)
    })
  )
})
