/** Bugs that other engines really had around crashes and failing disks, each as a scenario of its own: what happened there must not happen here. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { CrashReplayer } from "../../src/layers/disk/CrashReplayer.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { scanned } from "../contracts/database/fixture.ts"
import { recoverDisk } from "../support/crashSweep.ts"
import { copyOf, readExact } from "../support/damage/flipping.ts"
import { logFiles } from "../support/logFiles.ts"
import { directory, type EngineSettings, openSimulated } from "../support/openEngine.ts"

const buffered = { durability: "buffered" } as const

/** Opens, does that, and leaves it open; answers with what a power cut or a kill would find, by its mode. */
const interrupted = (
  disk: SimulatedDisk,
  run: (db: DatabaseShape) => Effect.Effect<unknown, unknown>,
  settings?: EngineSettings,
  seeds = 6
): Effect.Effect<(mode: "all" | "worst" | "random", seed?: number) => SimulatedDisk, unknown> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const db = yield* Scope.provide(openSimulated(disk, settings), scope)
    yield* run(db)
    const found = new Map<string, SimulatedDisk>()
    for (let seed = 0; seed < seeds; seed++)
      for (const mode of ["all", "worst", "random"] as const)
        if (seed === 0 || mode === "random") found.set(`${mode} ${seed}`, disk.crashState(seededPrng(seed), { mode }))
    yield* Scope.close(scope, Exit.void)
    return (mode, seed = 0) => found.get(`${mode} ${seed}`)!
  })

const use = <A>(disk: SimulatedDisk, run: (db: DatabaseShape) => Effect.Effect<A, unknown, Scope.Scope>, settings?: EngineSettings) =>
  Effect.scoped(Effect.flatMap(openSimulated(disk, settings), run))

describe("in other engines, a crash or a failing disk", { timeout: 120_000 }, () => {
  it.live(
    "RocksDB #11149: later writes survived a power cut that lost earlier ones, as the system wrote pages in any order: a hole in the history",
    () =>
      Effect.gen(function* () {
        const text = "x".repeat(300)
        const writes = (db: DatabaseShape) =>
          Effect.forEach(
            Array.from({ length: 24 }, (_, i) => i),
            (i) => db.put(`k${String(i).padStart(2, "0")}`, text, buffered)
          )
        const crash = yield* interrupted(new SimulatedDisk(), writes, {}, 60)
        const lengths = new Set<number>()
        let cut = 0
        for (let seed = 0; seed < 60; seed++) {
          const found = crash("random", seed)
          const { cutBytes } = recoverDisk(copyOf(found), seed, 65_536).report
          const keys = yield* use(found, (db) => scanned(db))
          expect(keys).toEqual(keys.map((_, i) => `k${String(i).padStart(2, "0")}=${text}`))
          lengths.add(keys.length)
          // More than one write lay behind the end: some of it was there.
          if (cutBytes > 1000) cut++
        }
        expect(lengths.size).toBeGreaterThan(3)
        expect(cut).toBeGreaterThan(10)
      })
  )

  it.live("RocksDB PR 12918: records of an earlier use of a recycled log file were taken for new ones", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      yield* use(disk, (db) => Effect.forEach([1, 2, 3], (i) => db.put(`old${i}`, "1")))
      const [oldest] = logFiles(disk)
      const path = `${directory}/${oldest}`
      const groups = readExact(disk, path, 4096, disk.stat(path)!.sizeBytes - 4096)
      yield* use(disk, (db) => Effect.andThen(db.write([{ type: "deleteRange", prefix: "old" }]), db.flush))
      const crash = yield* interrupted(disk, (db) => Effect.andThen(db.put("new", "1", buffered), db.put("new", "2", buffered)), { entropySeed: 7 })
      const killed = crash("all")
      const current = logFiles(killed).at(-1)!
      const end = killed.stat(`${directory}/${current}`)!.sizeBytes
      // Right behind the end, and at every place where a group may begin after a sync.
      for (const at of [end, Math.ceil(end / 4096) * 4096, Math.ceil(end / 4096) * 4096 + 4096]) {
        const recycled = copyOf(killed)
        const handle = recycled.open(`${directory}/${current}`, "write")
        handle.writev([groups], at)
        handle.close()
        yield* use(recycled, (db) => Effect.map(scanned(db), (all) => expect(all).toEqual(["new=2"])))
      }
    })
  )

  it.live("RocksDB PR 12995 and #13169: after a write error of the log some column families had a batch and others had not", () =>
    Effect.gen(function* () {
      for (const afterBytes of [0, 40, 90, 200]) {
        const disk = new SimulatedDisk()
        let fail = false
        disk.onOperation = ({ kind, path }) => {
          if (!fail || kind !== "writev" || !path.endsWith(".log")) return "ok"
          fail = false
          return { fail: "EIO", afterBytes }
        }
        const crash = yield* interrupted(disk, (db) =>
          Effect.gen(function* () {
            const [a, b] = [yield* db.keyspace("a"), yield* db.keyspace("b")]
            yield* db.write([
              { type: "put", keyspace: "a", key: "k", value: "before" },
              { type: "put", keyspace: "b", key: "k", value: "before" }
            ])
            // One of them is in a table already, and the other is not.
            yield* db.flush
            yield* b.put("k", "before")
            fail = true
            const failed = yield* Effect.flip(
              db.write([
                { type: "put", keyspace: "a", key: "k", value: "after" },
                { type: "put", keyspace: "b", key: "k", value: "after" }
              ])
            )
            expect(failed._tag).toBe("CommitOutcomeUnknown")
            expect(yield* a.getText("k")).toBe("before")
            expect(yield* b.getText("k")).toBe("before")
            yield* Effect.ignore(db.flush)
          })
        )
        for (const found of [crash("all"), crash("worst"), ...[1, 2, 3, 4, 5].map((seed) => crash("random", seed))])
          yield* use(found, (db) =>
            Effect.gen(function* () {
              const values = [yield* (yield* db.keyspace("a")).getText("k"), yield* (yield* db.keyspace("b")).getText("k")]
              expect(values[0]).toBe(values[1])
              expect(["before", "after"]).toContain(values[0])
            })
          )
      }
    })
  )

  it.live(
    "RocksDB, and the engines of ALICE: a file was synced and its name was not, so that a power cut left no file; a rename came before what it named",
    () =>
      Effect.gen(function* () {
        const first = yield* interrupted(new SimulatedDisk(), (db) => Effect.andThen(db.put("a", "1"), Effect.andThen(db.flush, db.put("b", "1"))))
        const worst = first("worst")
        expect(yield* use(copyOf(worst), (db) => scanned(db))).toEqual(["a=1", "b=1"])
        // The next open replaces CURRENT: what it acknowledges is in the new files.
        const second = yield* interrupted(worst, (db) => db.put("c", "1"))
        expect(yield* use(second("worst"), (db) => scanned(db))).toEqual(["a=1", "b=1", "c=1"])
      })
  )

  it.live("redb: a power cut kept the header of a new file and not its length: it could never be opened again", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk({ record: true })
      yield* interrupted(disk, (db) => Effect.andThen(db.put("a", "1"), db.put("b", "1", buffered)))
      const trace = disk.trace!
      const replayer = new CrashReplayer(trace)
      let states = 0
      // At each operation of a first open: lengths without bytes, bytes without lengths, names without either.
      for (let at = 0; at <= trace.events.length; at++) {
        replayer.advanceTo(at)
        for (const mode of ["worst", "random", "random", "random", "all"] as const) {
          recoverDisk(replayer.crash(seededPrng(at * 5 + states), { mode }), at, 65_536)
          states++
        }
      }
      expect(states).toBeGreaterThan(100)
      // And by hand: the log cut and grown to any length behind its header.
      const crash = yield* interrupted(new SimulatedDisk(), (db) => Effect.forEach([1, 2, 3], (i) => db.put(`k${i}`, "v".repeat(20), buffered)))
      const killed = crash("all")
      const path = `${directory}/${logFiles(killed)[0]}`
      const size = killed.stat(path)!.sizeBytes
      for (let length = 4096; length < size + 40; length += 7) {
        const cut = copyOf(killed)
        const handle = cut.open(path, "write")
        handle.truncate(length)
        handle.close()
        const { visibleSequence } = recoverDisk(cut, 1, 65_536)
        expect(visibleSequence, String(length)).toBe(length >= size ? 3 : Math.min(2, visibleSequence))
      }
    })
  )

  it.live("fjall #308: a write that reached the disk in part did not poison the engine, and what came after it was written behind garbage", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      let fail = false
      disk.onOperation = ({ kind, path }) => {
        if (!fail || kind !== "writev" || !path.endsWith(".log")) return "ok"
        fail = false
        return { fail: "EIO", afterBytes: 50 }
      }
      const crash = yield* interrupted(disk, (db) =>
        Effect.gen(function* () {
          yield* db.put("a", "1")
          fail = true
          expect((yield* Effect.flip(db.put("b", "1")))._tag).toBe("CommitOutcomeUnknown")
          for (const options of [{}, buffered]) expect((yield* Effect.flip(db.put("c", "1", options)))._tag).toBe("DatabasePoisoned")
          expect(yield* db.getText("a")).toBe("1")
          expect((yield* db.health).state).toBe("readOnly")
        })
      )
      for (const found of [crash("all"), crash("worst"), crash("random", 3)])
        yield* use(found, (db) =>
          Effect.gen(function* () {
            expect(["a=1", "a=1 b=1"]).toContain((yield* scanned(db)).join(" "))
            yield* db.put("d", "1")
          })
        )
    })
  )

  it.live("fjall #241: what clear() had removed was there again after reopening", () =>
    Effect.gen(function* () {
      for (const settle of ["nothing", "flush", "compact"] as const) {
        for (const how of ["deleteRange", "drop"] as const) {
          const disk = new SimulatedDisk()
          const crash = yield* interrupted(disk, (db) =>
            Effect.gen(function* () {
              const items = yield* db.keyspace("items")
              for (let i = 0; i < 30; i++) yield* items.put(`k${i}`, "old")
              if (settle !== "nothing") yield* db.flush
              for (let i = 0; i < 5; i++) yield* items.put(`k${i}`, "newer")
              if (how === "drop") {
                yield* db.dropKeyspace("items")
                yield* db.keyspace("items")
              } else yield* items.write([{ type: "deleteRange", gte: "k", lt: "l" }])
              if (settle === "compact") yield* db.compact()
              yield* (yield* db.keyspace("items")).put("k3", "after")
            })
          )
          for (const found of [crash("all"), crash("worst"), disk])
            yield* use(found, (db) =>
              Effect.gen(function* () {
                expect(yield* scanned(yield* db.keyspace("items")), `${settle} ${how}`).toEqual(["k3=after"])
              })
            )
        }
      }
    })
  )

  it.live("fjall #230 and #112: inserts that were acknowledged while memtables rotated were lost", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const fibers = 16
      const each = 150
      const key = (fiber: number, i: number) => `f${fiber}/${i}`
      const crash = yield* interrupted(disk, (db) =>
        Effect.forEach(
          Array.from({ length: fibers }, (_, fiber) => fiber),
          (fiber) =>
            Effect.gen(function* () {
              for (let i = 0; i < each; i++) {
                yield* db.put(key(fiber, i), `${fiber}.${i}`.padEnd(200, "."), i % 3 === 0 ? {} : buffered)
                // Its own write, and one of some time ago.
                expect(yield* db.has(key(fiber, i))).toBe(true)
                expect(yield* db.has(key(fiber, i >> 1))).toBe(true)
              }
            }),
          { concurrency: "unbounded" }
        ).pipe(Effect.andThen(Effect.map(db.stats, ({ flushes }) => expect(flushes.count).toBeGreaterThan(3))))
      )
      for (const found of [crash("all"), disk])
        yield* use(found, (db) =>
          Effect.gen(function* () {
            for (let fiber = 0; fiber < fibers; fiber++)
              for (let i = 0; i < each; i++) expect(db.unsafe.getText(key(fiber, i)), key(fiber, i)).toBe(`${fiber}.${i}`.padEnd(200, "."))
          })
        )
    })
  )
})
