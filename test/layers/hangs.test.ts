/** What hangs is named: a disk or a worker that does not come back, and the actor that waits for it. By a clock that the test moves. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { scanned } from "../contracts/database/fixture.ts"
import { WorkersControl } from "../support/gatedWorkers.ts"
import { HangingDisk } from "../support/hangingDisk.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"

const open = (
  disk: HangingDisk,
  options: Partial<LightningDb.Options> = {},
  workers: Layer.Layer<never, never, never> | WorkersControl = Layer.empty
) =>
  openLayer(
    LightningDb.layerCore({ ...smallOptions, ...options, path: "/db" }).pipe(
      Layer.provide(Layer.provideMerge(workers instanceof WorkersControl ? workers.layer : WorkersInProcess.layer, disk.layer))
    )
  )

/** Past the turns after which a step counts as one that lasts; what is ready in the engine runs on meanwhile. */
const settle = Effect.gen(function* () {
  for (let i = 0; i < 20; i++) {
    yield* Effect.yieldNow
    yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
  }
})

const pass = (seconds: number) =>
  Effect.gen(function* () {
    yield* settle
    for (let i = 0; i < seconds; i++) {
      yield* TestClock.adjust("1 second")
      yield* Effect.yieldNow
    }
    yield* settle
  })

/** A log segment that is not there yet. */
const newSegment = (disk: HangingDisk): RegExp => {
  const there = [...disk.simulated.files().keys()].filter((path) => path.endsWith(".log"))
  return new RegExp(`^(?!/(${there.join("|")})$).*\\.log$`)
}

const reasons = (db: DatabaseShape) => Effect.map(db.health, (health) => health.reasons.join("; "))

describe("what hangs is named", () => {
  it.effect("the committer, in the datasync of its segment; it heals when that comes back", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* open(disk)
      yield* db.put("a", "1")
      yield* settle
      disk.hang("datasync", /\.log$/)
      const writer = yield* Effect.forkChild(db.put("b", "2", { durability: "sync" }))
      yield* pass(9)
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
      yield* pass(8)
      expect(yield* reasons(db)).toMatch(/^the committer hangs: datasync of \/db\/\d+\.log has not come back for 1\d s$/)
      expect((yield* db.health).state).toBe("degraded")
      expect(yield* db.getText("a")).toBe("1")
      disk.release()
      expect(yield* Fiber.join(writer)).toMatchObject({ durability: "sync" })
      yield* settle
      expect(yield* db.health).toEqual({ state: "healthy", reasons: [] })
    })
  )

  it.effect("the manifest, in an edit, and not the flusher that waits for it", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* open(disk)
      yield* db.put("a", "1")
      disk.hang("datasync", /\.manifest$/)
      const flush = yield* Effect.forkChild(db.flush)
      yield* pass(20)
      expect(yield* reasons(db)).toMatch(/^the manifest hangs: an edit of \/db\/\d+\.manifest has not come back for \d+ s$/)
      disk.release()
      yield* Fiber.join(flush)
      yield* settle
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("the flusher, in its job", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), {}, workers)
      yield* db.put("a", "1")
      workers.flushGate.closeUnsafe()
      const flush = yield* Effect.forkChild(db.flush)
      yield* pass(20)
      expect(yield* reasons(db)).toMatch(/^the flusher hangs: its job that begins with \/db\/\d+\.table has not come back for \d+ s$/)
      workers.flushGate.openUnsafe()
      yield* Fiber.join(flush)
      yield* settle
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("a compaction, in its job", () =>
    Effect.gen(function* () {
      const workers = new WorkersControl()
      const db = yield* open(new HangingDisk(), { level0CompactTrigger: 2 }, workers)
      workers.compactGate.closeUnsafe()
      for (let i = 0; i < 3; i++) yield* Effect.andThen(db.put("a", `${i}`), db.flush)
      yield* pass(20)
      expect(yield* reasons(db)).toMatch(
        /^the compaction hangs: its merge into level 1 that begins with \/db\/\d+\.table has not come back for \d+ s$/
      )
      workers.compactGate.openUnsafe()
      yield* settle
      yield* db.compact()
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("a checkpoint, in the sync of a file that it makes", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* open(disk)
      yield* Effect.andThen(db.put("a", "1"), db.flush)
      disk.hang("datasync", /^\/copy\//)
      const checkpoint = yield* Effect.forkChild(db.checkpoint("/copy"))
      yield* pass(20)
      expect(yield* reasons(db)).toMatch(/^the checkpoint hangs: datasync of \/copy\/.* has not come back for \d+ s$/)
      disk.release()
      expect(yield* Fiber.join(checkpoint)).toMatchObject({ path: "/copy" })
      yield* settle
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("the segment preparer, in the sync of a new segment", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* open(disk, { durability: "buffered" })
      yield* db.put("a", "1")
      // The next segment is there already; the one after it is made when that begins.
      yield* settle
      disk.hang("datasync", newSegment(disk))
      for (let i = 0; i < 3; i++) yield* db.put("b", new Uint8Array(40_000))
      yield* pass(20)
      expect(disk.hanging).toBe(1)
      expect(yield* reasons(db)).toMatch(/^the segment preparer hangs: /)
      // Nobody waits for it.
      yield* db.put("c", "2")
      disk.release()
      yield* settle
      expect((yield* db.health).state).toBe("healthy")
    })
  )

  it.effect("the expiry reaper, where nobody else hangs", () =>
    Effect.gen(function* () {
      const disk = new HangingDisk()
      const db = yield* open(disk, { cacheBytes: 0 })
      yield* db.put("a", "1", { ttl: 5000 })
      yield* db.put("b", "1")
      yield* settle
      disk.hang("datasync", /\.log$/)
      const writer = yield* Effect.forkChild(db.put("c", "1", { durability: "sync" }))
      // Its commit waits behind the group that hangs: the committer is to blame.
      yield* pass(40)
      expect(yield* reasons(db)).toMatch(/^the committer hangs/)
      expect(yield* reasons(db)).not.toContain("reaper")
      disk.release()
      yield* Fiber.join(writer)
      yield* settle
      expect((yield* db.health).state).toBe("healthy")
      expect(yield* scanned(db)).toEqual(["b=1", "c=1"])
    })
  )
})

describe("a sync that does not come back", () => {
  it.effect(
    "is waited for no longer than waitTimeout: its outcome is unknown, the database is read-only, and what it says later changes nothing",
    () =>
      Effect.gen(function* () {
        const disk = new HangingDisk()
        const db = yield* open(disk, { waitTimeout: "30 seconds" })
        yield* db.put("a", "1")
        yield* settle
        disk.hang("datasync", /\.log$/)
        const first = yield* Effect.forkChild(Effect.flip(db.put("b", "2", { durability: "sync" })), { startImmediately: true })
        yield* settle
        const behind = yield* Effect.forkChild(Effect.flip(db.put("c", "3")), { startImmediately: true })
        yield* pass(29)
        expect((yield* db.health).state).toBe("degraded")
        yield* pass(15)
        const unknown = yield* Fiber.join(first)
        expect(unknown).toMatchObject({ _tag: "CommitOutcomeUnknown" })
        expect(unknown.message).toMatch(/the committer hangs: datasync of \/db\/\d+\.log has not come back for 3\d s/)
        expect(yield* Fiber.join(behind)).toMatchObject({ _tag: "DatabasePoisoned" })
        expect((yield* db.health).state).toBe("readOnly")
        expect(yield* db.getText("a")).toBe("1")
        expect(yield* db.getText("b")).toBeUndefined()
        const before = (yield* db.stats).visibleSequence
        disk.release()
        yield* settle
        expect(yield* db.getText("b")).toBeUndefined()
        expect((yield* db.stats).visibleSequence).toBe(before)
        expect(yield* Effect.flip(db.put("d", "4"))).toMatchObject({ _tag: "DatabasePoisoned" })
        expect(yield* Effect.flip(db.flush)).toMatchObject({ _tag: "DatabasePoisoned" })
        expect((yield* db.health).state).toBe("readOnly")
      })
  )

  it.effect(
    "does not keep the database from closing",
    () =>
      Effect.gen(function* () {
        const disk = new HangingDisk()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* open(disk, { waitTimeout: "30 seconds" })
            yield* db.put("a", "1")
            yield* settle
            disk.hang("datasync", /\.log$/)
            const writer = yield* Effect.forkChild(Effect.flip(db.put("b", "2", { durability: "sync" })))
            yield* pass(45)
            expect(yield* Fiber.join(writer)).toMatchObject({ _tag: "CommitOutcomeUnknown" })
          })
        )
        expect(disk.hanging).toBe(1)
        disk.release()
        yield* settle
        const again = yield* open(disk)
        expect(yield* again.getText("a")).toBe("1")
      }),
    10_000
  )
})
