/** What only long runs, slow disks and failing ones meet, made to happen soon. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import * as DiskTracing from "../../src/layers/disk/DiskTracing.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { DiskTracer } from "../../src/layers/disk/TracingDisk.ts"
import { readCurrentManifest } from "../../src/layers/recovery/readState.ts"
import { SequenceBlock } from "../../src/layers/Recovery.ts"
import * as WorkersInProcess from "../../src/layers/WorkersInProcess.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { Disk } from "../../src/services/Disk.ts"
import { scanned, text } from "../contracts/database/fixture.ts"
import { smallOptions } from "../support/openEngine.ts"
import { openLayer } from "../support/openLayer.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const open = (disk: Layer.Layer<Disk>, options: Partial<LightningDb.Options> = {}) =>
  openLayer(LightningDb.layerCore({ ...smallOptions, ...options, path: "/db" }).pipe(Layer.provide(Layer.provideMerge(WorkersInProcess.layer, disk))))

const faulty = () => {
  const held: { disk: FaultyDisk | undefined } = { disk: undefined }
  const layer = DiskFaulty.layerWith((disk) => {
    held.disk = disk
  }).pipe(Layer.provide(DiskSimulated.layer(new SimulatedDisk())))
  return { held, layer }
}

describe("sequences", () => {
  it.effect("are reserved ahead of need, however long it runs, and none is given out twice", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const block = 16
      const seen: Array<number> = []
      for (let life = 0; life < 3; life++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const db = yield* open(DiskSimulated.layer(disk))
            for (let i = 0; i < 40; i++) seen.push((yield* db.put(`k${i}`, `life ${life}`, { durability: "buffered" })).sequence)
            // More at once than a block holds: they wait for the next one.
            const burst = yield* Effect.forEach(
              Array.from({ length: 100 }, (_, i) => i),
              (i) =>
                Effect.tap(db.put(`b${i}`, `life ${life}`, { durability: i % 2 === 0 ? "sync" : "buffered" }), ({ sequence }) =>
                  Effect.sync(() => {
                    // Whatever is acknowledged is reserved in what a crash leaves of the manifest.
                    const left = readCurrentManifest(
                      disk.crashState(() => 0.5, { mode: "worst" }),
                      "/db",
                      "read"
                    )
                    expect(left!.state.sequencesThrough).toBeGreaterThanOrEqual(sequence)
                  })
                ),
              { concurrency: "unbounded" }
            )
            seen.push(...burst.map(({ sequence }) => sequence).sort((a, b) => a - b))
            yield* db.flush
          })
        ).pipe(Effect.provideService(SequenceBlock, block))
      }
      expect(seen).toEqual(seen.toSorted((a, b) => a - b))
      expect(new Set(seen).size).toBe(3 * 140)
      // After clean closes, without a gap.
      expect(seen.at(-1)).toBe(3 * 140)
      // After a crash the next life starts beyond everything that may have been given out.
      const db = yield* open(DiskSimulated.layer(disk)).pipe(Effect.provideService(SequenceBlock, block))
      let last = 0
      for (let i = 0; i < 50; i++) last = (yield* db.put(`c${i}`, "v", { durability: "sync" })).sequence
      const image = disk.crashState(() => 0.5, { mode: "all" })
      const after = yield* open(DiskSimulated.layer(image)).pipe(Effect.provideService(SequenceBlock, block))
      const next = (yield* after.put("next", "v")).sequence
      expect(next).toBeGreaterThan(last)
      expect(next).toBeLessThanOrEqual(last + 2 * block + 1)
      expect(yield* scanned(after, { prefix: "c" })).toHaveLength(50)
    })
  )
})

describe("a slow disk", () => {
  it("is read through the pool: the same answers, nothing blocks, and nothing stays pinned", () =>
    Effect.runPromise(
      withSimulatedClock(
        Effect.scoped(
          Effect.gen(function* () {
            // Each look at the simulated clock takes a tenth of a millisecond: no read is fast.
            const tracer = new DiskTracer()
            const db = yield* open(DiskTracing.layer(tracer).pipe(Layer.provide(DiskSimulated.layer(new SimulatedDisk()))), {
              cacheBytes: 0,
              maxTransactions: 1
            })
            const count = 400
            const key = (i: number) => `k${String(i).padStart(4, "0")}`
            const value = (i: number) => (i % 10 === 0 ? `large ${i} `.repeat(300) : `value ${i}`)
            yield* db.write(Array.from({ length: count }, (_, i) => ({ type: "put" as const, key: key(i), value: value(i) })))
            yield* Effect.andThen(db.flush, db.compact())
            for (let i = 0; i < count; i += 7) expect(yield* db.getText(key(i))).toBe(value(i))
            const expected = Array.from({ length: count }, (_, i) => `${key(i)}=${value(i)}`)
            // From here on no read is inline.
            const opened = tracer.events.length
            expect(yield* scanned(db)).toEqual(expected)
            expect(yield* scanned(db, { reverse: true })).toEqual(expected.toReversed())
            const snapshot = yield* db.snapshot
            for (let i = 0; i < count; i += 3) {
              expect(text(yield* db.get(key(i)))).toBe(value(i))
              expect(yield* db.getText(new TextEncoder().encode(key(i)))).toBe(value(i))
              expect(yield* snapshot.has(key(i))).toBe(true)
              expect(yield* db.has(`${key(i)}x`)).toBe(false)
            }
            expect((yield* db.getMany([key(5), "none", key(310), key(0)])).map(text)).toEqual([value(5), undefined, value(310), value(0)])
            expect(tracer.events.slice(opened).filter(({ kind }) => kind === "readAt").length).toBeGreaterThan(100)
            // Of one moment, though it takes many turns; and what it read from goes when it is done.
            const many = yield* Effect.forkChild(db.getMany(Array.from({ length: count }, (_, i) => key(i))), { startImmediately: true })
            yield* db.write([{ type: "deleteRange", gte: key(0), lt: key(count) }])
            yield* Effect.andThen(db.flush, db.compact())
            expect((yield* Fiber.join(many)).map(text)).toEqual(Array.from({ length: count }, (_, i) => value(i)))
            expect(yield* db.getText(key(3))).toBeUndefined()
            expect(yield* snapshot.getText(key(3))).toBe(value(3))
            for (let turns = 0; turns < 30; turns++) {
              const fiber = yield* Effect.forkChild(Effect.all([snapshot.getMany([key(1), key(200)]), Stream.runDrain(snapshot.scan())]), {
                startImmediately: true
              })
              for (let i = 0; i < turns; i++) yield* Effect.yieldNow
              yield* Fiber.interrupt(fiber)
            }
            expect((yield* db.stats).snapshots.open).toBe(1)
          })
        )
      )
    ))
})

describe("a failed commit", () => {
  it.effect("takes the catalog's head back: what was not created is not there, and what was not dropped is still read", () =>
    Effect.gen(function* () {
      for (const what of ["create", "drop"] as const) {
        const { held, layer } = faulty()
        const db = yield* open(layer)
        const orders = yield* db.keyspace("orders")
        yield* orders.put("k", "v")
        held.disk!.add({ match: { operation: "datasync", path: /\.log$/ }, fault: { code: "EIO" } })
        const failing: Effect.Effect<unknown, { readonly _tag: string }> = what === "create" ? db.keyspace("new") : db.dropKeyspace("orders")
        expect(yield* Effect.flip(failing)).toMatchObject({ _tag: "CommitOutcomeUnknown" })
        expect((yield* db.keyspaces).map(({ name }) => name)).toEqual(["orders"])
        expect(yield* orders.getText("k")).toBe("v")
        expect(yield* scanned(yield* db.keyspace("orders"))).toEqual(["k=v"])
        expect(yield* Effect.flip(db.put("k", "v"))).toMatchObject({ _tag: "DatabasePoisoned" })
        expect(yield* Effect.flip(db.keyspace("new"))).toMatchObject({ _tag: "DatabasePoisoned" })
        expect((yield* db.health).state).toBe("readOnly")
      }
    })
  )

  it.effect("is told to every fiber that waits, and to nobody twice", () =>
    Effect.gen(function* () {
      const { held, layer } = faulty()
      const db = yield* open(layer)
      yield* db.put("k", "before")
      held.disk!.add({ match: { operation: "datasync", path: /\.log$/ }, fault: { code: "EIO" } })
      const answers = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => i),
        (i) => Effect.result(db.put(`k${i}`, "v")),
        { concurrency: "unbounded" }
      )
      const tags = new Set(answers.map((answer) => (answer._tag === "Failure" ? answer.failure._tag : "success")))
      expect([...tags].every((tag) => tag === "CommitOutcomeUnknown" || tag === "DatabasePoisoned")).toBe(true)
      expect(yield* scanned(db)).toEqual(["k=before"])
      expect(yield* Effect.flip(db.flush)).toMatchObject({ _tag: "DatabasePoisoned" })
      expect(yield* Effect.flip(db.compact())).toMatchObject({ _tag: "DatabasePoisoned" })
    })
  )
})

describe("a checkpoint", () => {
  it.effect("copies where there are no links, and leaves nothing where it fails", () =>
    Effect.gen(function* () {
      const { held, layer } = faulty()
      const db = yield* open(layer)
      yield* db.write(Array.from({ length: 100 }, (_, i) => ({ type: "put" as const, key: `k${i}`, value: new Uint8Array(i * 30) })))
      held.disk!.add({ match: { operation: "link" }, fault: { code: "EXDEV" } })
      held.disk!.add({ match: { operation: "datasync", path: /copy.*\.manifest$/ }, nth: 1, fault: { code: "ENOSPC" } })
      expect(yield* Effect.flip(db.checkpoint("/copy"))).toMatchObject({ _tag: "DiskFull" })
      expect(held.disk!.stat("/copy")).toBeUndefined()
      expect(yield* db.health).toMatchObject({ state: "healthy" })
      const report = yield* db.checkpoint("/copy")
      expect(report.files).toBeGreaterThan(3)
      // A disk with the copy alone.
      const copy = yield* openLayer(
        LightningDb.layerCore({ ...smallOptions, path: "/copy" }).pipe(
          Layer.provide(Layer.provideMerge(WorkersInProcess.layer, Layer.succeed(Disk, DiskFaulty.make(yield* innerOf(held.disk!), held.disk!))))
        )
      )
      expect(yield* scanned(copy)).toHaveLength(100)
      yield* copy.verify
      yield* db.put("goes on", "1")
    })
  )
})

/** The service below a faulty disk of these tests. */
const innerOf = (disk: FaultyDisk) => Effect.succeed(DiskSimulated.make(disk.inner as SimulatedDisk))
