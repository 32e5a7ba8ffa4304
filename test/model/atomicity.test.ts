/** Invariants 2 and 6 under load: what belongs together is seen together, by every snapshot and every batch of reads, while flushes and compactions go on. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "vitest"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { openOn } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"
import { valueOf } from "../support/workload.ts"

const accounts = 24

describe("atomicity", () => {
  it("transactions over two keyspaces are seen whole or not at all, and a snapshot never changes", () =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openOn(DiskSimulated.layer(new SimulatedDisk()), "/db", { cacheBytes: 65_536, valueCacheBytes: 0 })
            const mirror = yield* db.keyspace("mirror")
            const key = (account: number) => `a${String(account).padStart(2, "0")}`
            let writes = 0
            let checks = 0
            const writer = (own: number) =>
              Effect.gen(function* () {
                for (let i = 0; i < 90; i++) {
                  const account = (own * 7 + i * 5) % accounts
                  const value = valueOf(own * 1000 + i, i % 5 === 0 ? 1500 : 60)
                  yield* db.write(
                    [
                      { type: "put", key: key(account), value },
                      { type: "put", key: key(account), value, keyspace: "mirror" },
                      { type: "deleteRange", gte: `x${own}`, lt: `x${own}~`, keyspace: "mirror" },
                      { type: "deleteRange", gte: `x${own}`, lt: `x${own}~` },
                      { type: "put", key: `x${own}/${i}`, value: "" },
                      { type: "put", key: `x${own}/${i}`, value: "", keyspace: "mirror" }
                    ],
                    { durability: i % 3 === 0 ? "sync" : "buffered" }
                  )
                  writes++
                }
              })
            const contents = (entries: ReadonlyArray<{ readonly key: Uint8Array; readonly value: Uint8Array }>) =>
              entries.map((entry) => `${Buffer.from(entry.key).toString()}=${Buffer.from(entry.value).toString("base64")}`)
            const reader = Effect.gen(function* () {
              for (let i = 0; i < 25; i++) {
                yield* Effect.scoped(
                  Effect.gen(function* () {
                    const snapshot = yield* db.snapshot
                    const other = yield* snapshot.keyspace("mirror")
                    const here = contents(yield* Stream.runCollect(snapshot.scan()))
                    yield* Effect.yieldNow
                    const there = contents(yield* Stream.runCollect(other.scan({ reverse: true }))).reverse()
                    expect(there).toEqual(here)
                    for (let turns = 0; turns < 5; turns++) yield* Effect.yieldNow
                    expect(contents(yield* Stream.runCollect(snapshot.scan()))).toEqual(here)
                    checks++
                  })
                )
                // One batch of synchronous reads is one moment, too.
                const keys = Array.from({ length: accounts }, (_, account) => key(account))
                const [mine, its] = [db.unsafe.getMany(keys), mirror.unsafe.getMany(keys)]
                expect(its).toEqual(mine)
              }
            })
            const maintenance = Effect.gen(function* () {
              for (let i = 0; i < 12; i++) {
                yield* db.flush
                if (i % 3 === 2) yield* db.compact()
              }
            })
            const fibers = yield* Effect.forEach(
              [...Array.from({ length: 8 }, (_, own) => writer(own)), reader, reader, reader, maintenance],
              (run) => Effect.forkScoped(run)
            )
            for (const fiber of fibers) yield* Fiber.join(fiber)
            const { compactions, flushes } = yield* db.stats
            expect(writes).toBe(8 * 90)
            expect(checks).toBe(75)
            expect(flushes.count).toBeGreaterThan(5)
            expect(compactions.count).toBeGreaterThan(1)
          })
        )
      )
    ))
})
