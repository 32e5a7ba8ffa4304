/** Several things going wrong at once on the way of a commit: a full disk, a failed seal, a sync that does not come back, closing and opening again. */
import { describe, expect, it } from "@effect/vitest"
import { vi } from "vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { fillerBytes } from "../../src/domain/disk/diskFull.ts"
import { Memtable } from "../../src/domain/memtable/Memtable.ts"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { Disk } from "../../src/services/Disk.ts"
import { HangingDisk } from "../support/hangingDisk.ts"
import { directory, openOn } from "../support/openEngine.ts"

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

/** Whether it has ended by itself; `undefined` where not. */
const ended = <A, E>(fiber: Fiber.Fiber<A, E>): Exit.Exit<A, E> | undefined => fiber.pollUnsafe()

/** Syncs of files whose path matches are done, and say so only when the gate opens: as a system call does that was under way when its file was closed. */
class LateSyncs {
  readonly simulated = new SimulatedDisk()
  readonly gate = Latch.makeUnsafe(false)
  late: RegExp | undefined
  waiting = 0

  readonly layer: Layer.Layer<Disk> = Layer.sync(Disk, () => {
    const inner = DiskSimulated.make(this.simulated)
    const wait = Effect.suspend(() => {
      this.waiting++
      return this.gate.await
    })
    return {
      ...inner,
      datasync: (handle) =>
        Effect.suspend(() =>
          this.late?.test(handle.path) === true ? Effect.uninterruptible(Effect.andThen(inner.datasync(handle), wait)) : inner.datasync(handle)
        )
    }
  })
}

const segmentBytes = 65_536
const waitTimeout = "30 seconds"
/** A value that fills a segment: no codec makes it shorter. */
const filler = fillerBytes(segmentBytes)

describe("a group that is held for want of room", () => {
  it.effect("is answered when the log ends for another reason: it does not wait for room that changes nothing any more", () =>
    Effect.gen(function* () {
      let faulty: FaultyDisk | undefined
      const disk = DiskFaulty.layerWith((created) => {
        faulty = created
      }).pipe(Layer.provide(DiskSimulated.layer(new SimulatedDisk())))
      const db = yield* openOn(disk, directory, { walSegmentBytes: segmentBytes })
      yield* settle
      yield* db.put("before", filler, { durability: "buffered" })
      yield* settle
      // The next group goes into the next segment. There is no room for it, and the seal of the one before fails meanwhile.
      faulty!.add({ match: { operation: "datasync", path: /\.manifest$/ }, fault: { delayMs: 5000 } })
      faulty!.add({ match: { operation: "datasync", path: /\.manifest$/ }, fault: { code: "EIO" } })
      faulty!.add({ match: { operation: "writev", path: /\.log$/ }, fault: { code: "ENOSPC" } })
      const held = yield* Effect.forkChild(Effect.flip(db.put("held", "1", { durability: "buffered" })), { startImmediately: true })
      yield* settle
      expect(ended(held)).toBeUndefined()
      expect((yield* db.health).state).toBe("degraded")
      yield* pass(8)
      expect((yield* db.health).state).toBe("readOnly")
      yield* settle
      const exit = ended(held)
      expect(exit === undefined ? "still waits" : (yield* exit)._tag).toBe("DatabasePoisoned")
      expect(yield* db.getText("held")).toBeUndefined()
    })
  )
})

/** What hangs is let go whatever comes of the test, which would else wait for the close that it looks at. */
const onHangingDisk = <A, E, R>(run: (disk: HangingDisk) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const disk = new HangingDisk()
    return Effect.ensuring(
      run(disk),
      Effect.sync(() => disk.release())
    )
  })

describe("a sync that does not come back", () => {
  it.effect("does not keep the database from closing where it is the last one, of the close itself", () =>
    onHangingDisk((disk) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const db = yield* Scope.provide(openOn(disk.layer, directory, { waitTimeout }), scope)
        yield* db.put("a", "1")
        yield* settle
        yield* db.put("b", "2", { durability: "buffered" })
        disk.hang("datasync", /\.log$/)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* pass(60)
        expect(ended(closing)).toBeDefined()
        expect(disk.hanging).toBe(1)
        disk.release()
        yield* settle
        const again = yield* openOn(disk.layer, directory)
        expect(yield* again.getText("a")).toBe("1")
      })
    )
  )

  for (const isFlushing of [true, false])
    it.effect(`does not keep it from closing where it is the manifest's, ${isFlushing ? "of a flush" : "of the close itself"}`, () =>
      onHangingDisk((disk) =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const db = yield* Scope.provide(openOn(disk.layer, directory, { waitTimeout }), scope)
          yield* db.put("a", "1")
          yield* settle
          disk.hang("datasync", /\.manifest$/)
          const flush = isFlushing ? yield* Effect.forkChild(Effect.flip(db.flush), { startImmediately: true }) : undefined
          yield* settle
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
          yield* pass(60)
          expect(disk.hanging).toBe(1)
          expect(ended(closing)).toBeDefined()
          if (flush !== undefined) expect(ended<unknown, unknown>(flush)).toBeDefined()
          const again = yield* openOn(DiskSimulated.layer(disk.simulated), directory)
          disk.release()
          yield* settle
          expect(yield* again.getText("a")).toBe("1")
          yield* again.put("b", "2")
          yield* again.flush
          expect((yield* again.health).state).toBe("healthy")
        })
      )
    )

  it.effect("does nothing to the directory when it comes back after the database was closed, and opened again", () =>
    Effect.gen(function* () {
      const settings = { waitTimeout, walSegmentBytes: segmentBytes, manifestRolloverBytes: 1 } as const
      // Among so many edits there is one after which the next is due for a new manifest file.
      for (let edits = 0; edits < 6; edits++) {
        for (const opensAgain of [true, false]) {
          const disk = new LateSyncs()
          const scope = yield* Scope.make()
          const db = yield* Scope.provide(openOn(disk.layer, directory, settings), scope)
          yield* settle
          for (let i = 0; i < edits; i++) yield* Effect.andThen(db.put("a", `${i}`), db.flush)
          yield* db.put("b", filler, { durability: "buffered" })
          yield* settle
          // In a rotation: what comes next is the seal of the old segment.
          disk.late = /\.log$/
          const writer = yield* Effect.forkChild(Effect.flip(db.put("c", "2", { durability: "sync" })), { startImmediately: true })
          yield* pass(45)
          yield* Fiber.join(writer)
          yield* Scope.close(scope, Exit.void)
          expect(disk.waiting).toBe(1)
          const files = () => [...disk.simulated.files()].map(([path, bytes]) => `${path} ${bytes.length}`).toSorted()
          const again = opensAgain ? yield* openOn(DiskSimulated.layer(disk.simulated), directory, settings) : undefined
          yield* settle
          const before = files()
          disk.gate.openUnsafe()
          yield* settle
          expect(files(), `${edits} edits`).toEqual(before)
          if (again === undefined) continue
          for (let i = 0; i < 8; i++) yield* Effect.andThen(again.put(`d${i}`, "3"), again.flush)
          expect((yield* again.health).state).toBe("healthy")
          expect(yield* again.getText("d7")).toBe("3")
        }
      }
    })
  )
})

describe("an engine that stops itself", () => {
  it.effect("lets go of a group that is held, of those behind it, and of an edit that waits for room; nothing of them is there afterwards", () =>
    Effect.gen(function* () {
      const simulated = new SimulatedDisk()
      let faulty: FaultyDisk | undefined
      const disk = DiskFaulty.layerWith((created) => {
        faulty = created
      }).pipe(Layer.provide(DiskSimulated.layer(simulated)))
      const scope = yield* Scope.make()
      const db = yield* Scope.provide(openOn(disk, directory), scope)
      yield* settle
      yield* db.put("before", "1", { durability: "buffered" })
      // An edit waits for room.
      faulty!.add({ match: { operation: "writev", path: /\.manifest$/ }, fault: { code: "ENOSPC", afterBytes: 1e9 } })
      const flush = yield* Effect.forkChild(Effect.flip(db.flush), { startImmediately: true })
      yield* settle
      faulty!.add({ match: { operation: "writev", path: /\.log$/ }, fault: { code: "ENOSPC", afterBytes: 1e9 } })
      const tell = (call: Effect.Effect<unknown, { readonly _tag: string }>) =>
        Effect.forkChild(
          Effect.map(Effect.flip(call), ({ _tag }) => _tag),
          { startImmediately: true }
        )
      const held = yield* tell(db.delete("before", { durability: "buffered" }))
      yield* settle
      const behind = yield* tell(db.delete("other", { durability: "sync" }))
      yield* settle
      expect([ended(held), ended(behind), ended(flush)]).toEqual([undefined, undefined, undefined])
      const insert = vi.spyOn(Memtable.prototype, "insert").mockImplementationOnce(() => {
        throw new TypeError("killed by the test")
      })
      yield* Effect.exit(db.delete("half"))
      insert.mockRestore()
      yield* settle
      expect((yield* db.health).state).toBe("failed")
      for (const fiber of [held, behind, flush]) expect(ended<unknown, unknown>(fiber)).toBeDefined()
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* settle
      expect(ended(closing)).toBeDefined()
      const again = yield* openOn(DiskSimulated.layer(simulated), directory)
      expect(yield* again.getText("before")).toBe("1")
    })
  )
})
