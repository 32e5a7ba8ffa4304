/** `verify` reads the manifest and the log as well: what is damaged there is found with file and offset, and what may be there is not taken for damage. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { drawInt, seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { directory, openSimulated } from "../support/openEngine.ts"

const put = (db: DatabaseShape, i: number, durability: "sync" | "buffered" = "sync") =>
  db.put(`k${i % 50}`, crypto.getRandomValues(new Uint8Array(700)), { durability })
const putMany = (db: DatabaseShape, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    (i) => put(db, i, i % 10 === 0 ? "sync" : "buffered"),
    { discard: true }
  )

const flip = (disk: SimulatedDisk, path: string, offset: number): void => {
  const handle = disk.open(path, "write")
  const byte = new Uint8Array(1)
  handle.readAt(byte, offset)
  byte[0]! ^= 0x10
  handle.writev([byte], offset)
  handle.close()
}

const files = (disk: SimulatedDisk, kind: string) =>
  disk
    .list(directory)
    .filter((name) => name.endsWith(kind))
    .sort()
    .map((name) => `${directory}/${name}`)

/** Several segments that hold what is in no table: the flusher never has a whole memtable. */
const options = { memtableBytes: 1 << 20, walSegmentBytes: 65_536 }

describe("verify", () => {
  it.effect("reads what is visible of the log, and the manifest", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, options)
      const empty = yield* db.verify
      yield* putMany(db, 300)
      const report = yield* db.verify
      expect(report.logSegments).toBeGreaterThan(2)
      expect(report.logBytes).toBeGreaterThan(empty.logBytes + 300 * 700)
      const { disk: bytes } = yield* db.stats
      expect(report.logBytes).toBe(bytes.log + bytes.manifest)
      const reader = yield* openSimulated(disk, { ...options, readOnly: true })
      expect((yield* reader.verify).logBytes).toBeGreaterThan(300 * 700)
      yield* db.flush
      expect((yield* db.verify).tables).toBe(1)
    })
  )

  it.effect("finds any flipped bit before the visible end, with file and offset, whether the segment is sealed or written", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, options)
      yield* putMany(db, 300)
      const prng = seededPrng(91)
      const ends = new Map<string, number>()
      const damaged = new Set<string>()
      for (const path of [...files(disk, ".log"), ...files(disk, ".manifest"), `${directory}/CURRENT`]) ends.set(path, disk.stat(path)!.sizeBytes)
      for (const [path, end] of ends) {
        for (let i = 0; i < 25; i++) {
          const offset = drawInt(prng, end)
          flip(disk, path, offset)
          const found = yield* Effect.result(db.verify)
          flip(disk, path, offset)
          if (found._tag === "Success") continue
          damaged.add(path)
          expect(found.failure).toMatchObject({ _tag: "CorruptFile", file: path })
          if (found.failure._tag === "CorruptFile") expect(found.failure.offsetBytes).toBeLessThanOrEqual(offset)
        }
      }
      // All but the segment that is only prepared, whose every byte beyond its header is still zero and may be anything.
      expect(damaged.size).toBeGreaterThanOrEqual(ends.size - 1)
      yield* db.verify
    })
  )

  it.effect("finds the last group and the last edit damaged, which an open would take for torn", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, options)
      yield* put(db, 1)
      yield* db.flush
      yield* put(db, 2)
      // Until no edit is on its way.
      for (let i = 0; i < 300; i++) yield* Effect.yieldNow
      const [manifest] = files(disk, ".manifest")
      const { disk: bytes } = yield* db.stats
      flip(disk, manifest!, bytes.manifest - 4096 + 30)
      expect(yield* Effect.flip(db.verify)).toMatchObject({ _tag: "CorruptFile", file: manifest, offsetBytes: bytes.manifest - 4096 })
      flip(disk, manifest!, bytes.manifest - 4096 + 30)
      const log = files(disk, ".log").find((path) => disk.stat(path)!.sizeBytes > 4096)!
      const at = disk.stat(log)!.sizeBytes - 300
      flip(disk, log, at)
      expect(yield* Effect.flip(db.verify)).toMatchObject({ _tag: "CorruptFile", file: log })
      flip(disk, log, at)
      yield* db.verify
    })
  )

  it.effect("goes on beside writers, flushes, rotations and rollovers", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, { manifestRolloverBytes: 8192 })
      let i = 0
      const writer = yield* Effect.forkChild(Effect.forever(Effect.suspend(() => put(db, i++, i % 5 === 0 ? "sync" : "buffered"))))
      const flusher = yield* Effect.forkChild(Effect.forever(Effect.andThen(db.flush, Effect.yieldNow)))
      const reader = yield* openSimulated(disk, { readOnly: true })
      for (let turn = 0; turn < 25; turn++) {
        yield* db.verify
        yield* reader.refresh
        yield* reader.verify
      }
      yield* Fiber.interruptAll([writer, flusher])
      expect((yield* db.stats).flushes.count).toBeGreaterThan(3)
      expect(i).toBeGreaterThan(100)
    })
  )

  it.effect("passes over segments that a flush lets go of meanwhile", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, options)
      // Verifications begin all the time, so that some are at the log when the flush removes segments.
      for (let turn = 0; turn < 4; turn++) {
        yield* putMany(db, 250)
        const verifying: Array<Fiber.Fiber<unknown, unknown>> = []
        const flushing = yield* Effect.forkChild(db.flush, { startImmediately: true })
        while (flushing.pollUnsafe() === undefined) {
          verifying.push(yield* Effect.forkChild(db.verify, { startImmediately: true }))
          yield* Effect.yieldNow
        }
        yield* Fiber.joinAll(verifying)
        expect(verifying.length).toBeGreaterThan(2)
      }
    })
  )

  it.effect("of a database that can no longer write judges what was durable", () =>
    Effect.gen(function* () {
      const disk = new SimulatedDisk()
      const db = yield* openSimulated(disk, options)
      yield* putMany(db, 20)
      disk.onOperation = ({ kind, path }) => (kind === "writev" && path.endsWith(".log") ? { fail: "EIO", afterBytes: 100 } : "ok")
      expect(yield* Effect.flip(put(db, 1))).toMatchObject({ _tag: "CommitOutcomeUnknown" })
      expect((yield* db.health).state).toBe("readOnly")
      expect((yield* db.verify).logSegments).toBe(1)
    })
  )
})
