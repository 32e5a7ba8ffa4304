import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as path from "node:path"
import * as DiskMemory from "../../src/layers/disk/DiskMemory.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { Database } from "../../src/services/Database.ts"
import { scanned } from "../contracts/database/fixture.ts"
import { temporaryDirectory } from "../support/openLayer.ts"

class Orders extends LightningDb.tag("orders") {}
class Events extends LightningDb.tag("events") {}

describe("several databases in one program", () => {
  it.effect("each under its own tag, and none sees the others", () =>
    Effect.gen(function* () {
      const [db, orders, events] = [yield* Database, yield* Orders, yield* Events]
      yield* Effect.all([db.put("k", "main"), orders.put("k", "orders"), events.put("e", "events")])
      expect([yield* scanned(db), yield* scanned(orders), yield* scanned(events)]).toEqual([["k=main"], ["k=orders"], ["e=events"]])
      yield* orders.keyspace("only here")
      expect([yield* db.keyspaces, yield* events.keyspaces]).toEqual([[], []])
      // One that is put into the past of one database is none of the other's business.
      expect((yield* orders.stats).commits.transactions).toBe(2)
      expect((yield* db.stats).commits.transactions).toBe(1)
    }).pipe(Effect.provide(Layer.mergeAll(LightningDb.layerMemory(), Orders.layerMemory(), Events.layerMemory({ memtableBytes: 65_536 }))))
  )

  it.effect("two of them on directories, beside each other; a directory twice is refused", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const program = Effect.gen(function* () {
        yield* (yield* Orders).put("k", "1", { durability: "buffered" })
        yield* (yield* Events).put("k", "2", { durability: "buffered" })
      })
      yield* Effect.provide(program, Layer.mergeAll(Orders.layer({ path: path.join(root, "a") }), Events.layer({ path: path.join(root, "b") })))
      const again = Effect.gen(function* () {
        return [yield* (yield* Orders).getText("k"), yield* (yield* Events).getText("k")]
      })
      expect(
        yield* Effect.provide(again, Layer.mergeAll(Orders.layer({ path: path.join(root, "a") }), Events.layer({ path: path.join(root, "b") })))
      ).toEqual(["1", "2"])
      const twice = Effect.provide(again, Layer.mergeAll(Orders.layer({ path: path.join(root, "a") }), Events.layer({ path: path.join(root, "a") })))
      expect(yield* Effect.flip(twice)).toMatchObject({ _tag: "DatabaseLocked", pid: process.pid })
      // The refusal closed what was open already.
      expect(
        yield* Effect.provide(again, Layer.mergeAll(Orders.layer({ path: path.join(root, "a") }), Events.layer({ path: path.join(root, "b") })))
      ).toEqual(["1", "2"])
    })
  )

  it.effect("over a disk of one's own, and from any layer of a database", () =>
    Effect.gen(function* () {
      const platform = Layer.provideMerge(WorkersInProcess.layer, Layer.fresh(DiskMemory.layer))
      const both = Layer.mergeAll(Orders.layerCore({ path: "/a" }), Events.from(LightningDb.layerCore({ path: "/b" }))).pipe(Layer.provide(platform))
      yield* Effect.gen(function* () {
        yield* (yield* Orders).put("k", "1")
        expect(yield* (yield* Events).get("k")).toBeUndefined()
      }).pipe(Effect.provide(both))
    })
  )

  it.effect("a tag may stand for a mock", () =>
    Effect.gen(function* () {
      const orders = yield* Orders
      expect(yield* orders.getText("k")).toBe("mocked")
    }).pipe(
      Effect.provide(
        Layer.mock(Orders, {
          getText: () => Effect.succeed("mocked"),
          unsafe: { get: () => undefined, getText: () => "mocked", getMany: () => [], has: () => false, entries: () => [][Symbol.iterator]() }
        })
      )
    )
  )
})

describe("layerConfig", () => {
  const open = <E>(layer: Layer.Layer<Database, E>, env: Record<string, string>) =>
    Effect.scoped(Effect.map(Layer.build(layer), (context) => Context.get(context, Database)).pipe(Effect.flatMap((db) => db.stats))).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )

  it.effect("takes options, or each of them, from configuration", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const layer = LightningDb.layerConfig({
        path: Config.String("DB_PATH"),
        cacheBytes: Config.Int("DB_CACHE"),
        valueCacheBytes: Config.succeed(65_536),
        compactionWorkers: Config.succeed(0)
      })
      const stats = yield* open(layer, { DB_PATH: path.join(root, "db"), DB_CACHE: "1048576" })
      expect(stats.path).toBe(path.join(root, "db"))
      expect([stats.blockCache.capacityBytes, stats.valueCache.capacityBytes]).toEqual([1_048_576 - 65_536, 65_536])
      expect(
        (yield* open(
          Orders.layerConfig({ path: Config.String("P") }).pipe(Layer.provideMerge(Layer.empty), (tagged) =>
            Layer.effect(Database, Orders).pipe(Layer.provide(tagged))
          ),
          {
            P: path.join(root, "orders")
          }
        )).path
      ).toBe(path.join(root, "orders"))
    })
  )

  it.effect("takes the options that have parts by their parts, or whole", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const layer = LightningDb.layerConfig({
        path: Config.String("DB_PATH"),
        retry: { attempts: Config.Int("RETRIES"), firstDelay: Config.Duration("RETRY_DELAY"), jitter: Config.Finite("JITTER") },
        breaker: { failureThreshold: Config.Int("FAILURES"), openFor: Config.Duration("OPEN_FOR") },
        scrub: Config.succeed({ every: "1 day" as const, bytesPerSecond: 1 << 20 }),
        compactionWorkers: Config.succeed(0)
      })
      const env = { DB_PATH: path.join(root, "db"), RETRIES: "2", RETRY_DELAY: "5 millis", JITTER: "0.5", FAILURES: "4", OPEN_FOR: "2 seconds" }
      // It scrubs by itself.
      const begun = Effect.gen(function* () {
        const db = Context.get(yield* Layer.build(layer), Database)
        while ((yield* db.stats).scrub.lastStarted === undefined) yield* Effect.yieldNow
      })
      yield* Effect.scoped(begun).pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })))
      const wrong = yield* Effect.flip(open(layer, { ...env, RETRIES: "0", JITTER: "7", FAILURES: "100000", OPEN_FOR: "9 days" }))
      expect(wrong).toMatchObject({ _tag: "InvalidOptions" })
      for (const part of ["retry.attempts", "retry.jitter", "breaker.failureThreshold", "breaker.openFor"]) expect(wrong.message).toContain(part)
      expect(wrong.message).not.toContain("firstDelay")
      const scrub = LightningDb.layerConfig({ path: Config.String("DB_PATH"), scrub: { every: Config.Duration("EVERY") } })
      const often = yield* Effect.flip(open(scrub, { ...env, EVERY: "1 millis" }))
      expect(often).toMatchObject({ _tag: "InvalidOptions" })
      expect(often.message).toContain("scrub")
    })
  )

  it.effect("says what configuration lacks, and what is wrong with what it has", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(open(LightningDb.layerConfig({ path: Config.String("DB_PATH") }), {}))
      expect(missing._tag).toBe("ConfigError")
      expect(String(missing.message)).toContain("DB_PATH")
      const wrong = yield* Effect.flip(
        open(LightningDb.layerConfig({ path: Config.String("DB_PATH"), blockBytes: Config.Int("B") }), { DB_PATH: "/nowhere", B: "3" })
      )
      expect(wrong).toMatchObject({ _tag: "InvalidOptions" })
    })
  )
})
