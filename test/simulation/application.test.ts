/** `Simulation`, as an application uses it: its own program through crashes and faults. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { describe, expect, it } from "vitest"
import { SimulatedCrash } from "../../src/layers/disk/SimulatedDisk.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import * as Simulation from "../../src/runtime/simulation/Simulation.ts"
import { Database, type DatabaseShape } from "../../src/services/Database.ts"

interface Placed {
  readonly placed: Array<string>
}

/** Orders and the stock they take from. `place` is the bug, or not. */
const orderService = (place: (db: DatabaseShape, order: string, left: number) => Effect.Effect<unknown, unknown>) => ({
  witness: (): Placed => ({ placed: [] }),
  program: ({ placed }: Placed) =>
    Effect.gen(function* () {
      const db = yield* Database
      for (let i = 0; i < 4; i++) {
        const left = Number((yield* db.getText("stock")) ?? "100")
        const order = `order/${100 - left}`
        yield* place(db, order, left - 1)
        placed.push(order)
      }
    }),
  check: ({ placed }: Placed) =>
    Effect.gen(function* () {
      const db = yield* Database
      const kept = yield* Effect.forEach(placed, (order) => db.has(order))
      if (kept.includes(false)) return yield* Effect.fail("an order that was confirmed is gone")
      const left = Number((yield* db.getText("stock")) ?? "100")
      let count = 0
      while (yield* db.has(`order/${count}`)) count++
      if (count !== 100 - left) return yield* Effect.fail(`${count} orders, and ${100 - left} taken from the stock`)
    })
})

const inTwoWrites = orderService((db, order, left) => Effect.andThen(db.put(order, "1"), db.put("stock", String(left))))
const inOneWrite = orderService((db, order, left) =>
  db.write([
    { type: "put", key: order, value: "1" },
    { type: "put", key: "stock", value: String(left) }
  ])
)
const inOneBufferedWrite = orderService((db, order, left) =>
  db.write(
    [
      { type: "put", key: order, value: "1" },
      { type: "put", key: "stock", value: String(left) }
    ],
    { durability: "buffered" }
  )
)

const failureOf = (effect: Effect.Effect<unknown, Simulation.SimulationFailed>) =>
  Effect.map(Effect.exit(effect), (exit) => (Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined))

describe("a simulated application", () => {
  it("that writes one thing in two writes is found by a sweep over all crashes, and says where", async () => {
    const failure = await Effect.runPromise(failureOf(Simulation.sweep(inTwoWrites)))
    expect(failure).toMatchObject({ _tag: "SimulationFailed", what: "check", failure: "1 orders, and 0 taken from the stock" })
    expect(failure!.message).toMatch(/^The check failed after the power went before operation \d+ \((writev|datasync) \/db\/\d+\.log\) \(\w+\): /)
  })

  it("is found by random crashes too, the same with the same seed", async () => {
    const found = async (seed: number) => (await Effect.runPromise(failureOf(Simulation.run({ ...inTwoWrites, seed }))))?.message
    const failures = new Map<number, string>()
    for (let seed = 1; seed <= 20; seed++) {
      const message = await found(seed)
      if (message !== undefined) failures.set(seed, message)
    }
    expect(failures.size).toBeGreaterThan(3)
    const [seed, message] = [...failures][0]!
    expect(await found(seed)).toBe(message)
    expect(message).toContain(`seed ${seed}`)
  })

  it("that promises more than its durability is found", async () => {
    expect(await Effect.runPromise(failureOf(Simulation.sweep(inOneBufferedWrite)))).toMatchObject({ failure: "an order that was confirmed is gone" })
  })

  it("that writes it in one write holds, through every crash and through many in a row", async () => {
    const swept = await Effect.runPromise(Simulation.sweep(inOneWrite))
    expect(swept.crashes.length).toBeGreaterThan(15)
    expect(swept.restarts).toBe(4 * swept.crashes.length)
    for (let seed = 1; seed <= 10; seed++) {
      const report = await Effect.runPromise(Simulation.run({ ...inOneWrite, seed, crashes: 4 }))
      expect(report).toMatchObject({ seed, restarts: 4 })
      expect(report.crashes).toHaveLength(4)
      expect(await Effect.runPromise(Simulation.run({ ...inOneWrite, seed, crashes: 4 }))).toEqual(report)
    }
  }, 60_000)

  it("meets the faults it asks for, and is checked without them", async () => {
    let refusals = 0
    const careful = {
      ...inOneWrite,
      program: (seen: Placed) => Effect.tapError(inOneWrite.program(seen), () => Effect.sync(() => refusals++))
    }
    for (let seed = 1; seed <= 5; seed++) {
      await Effect.runPromise(
        Simulation.run({
          ...careful,
          seed,
          crashes: 2,
          faults: [{ match: { operation: "datasync", path: /\.log$/ }, nth: 4, fault: { code: "EIO" } }]
        })
      )
    }
    expect(refusals).toBeGreaterThan(0)
  })

  it("that waits for ever, goes on for ever or dies is told so, whatever fails", async () => {
    const check = Effect.void
    const fails = (program: Effect.Effect<unknown, unknown, Database>) => Effect.runPromise(failureOf(Simulation.run({ program, check, crashes: 0 })))
    expect(await fails(Effect.never)).toMatchObject({ what: "program", detail: "it waits for something that never comes" })
    expect(await fails(Effect.forever(Effect.yieldNow))).toMatchObject({ what: "program", detail: "it goes on without end" })
    expect((await fails(Effect.die(new Error("broken"))))!.detail).toContain("broken")
    expect(await fails(Effect.sleep("1 day").pipe(Effect.andThen(Effect.promise(() => Promise.resolve(1)))))).toBeUndefined()
  }, 60_000)
})

describe("Simulation.layer", () => {
  it("opens a database over the two disks, which fail and crash as they are told", async () => {
    const left = await Effect.runPromise(
      Effect.gen(function* () {
        const db = yield* Database
        const { disk, faults } = yield* Simulation.Machine
        yield* db.put("a", "1")
        const rule = { match: { operation: "datasync" as const, path: /\.log$/ }, fault: { code: "EIO" } }
        faults.add(rule)
        expect((yield* Effect.flip(db.put("b", "2")))._tag).toBe("CommitOutcomeUnknown")
        expect(faults.strikes(rule)).toBeGreaterThan(0)
        faults.clear()
        const left = disk.crash(seededPrng(1), { mode: "worst" })
        expect(() => disk.list("/db")).toThrow(SimulatedCrash)
        return left
      }).pipe(Effect.provide(Simulation.layer()))
    )
    const found = Effect.flatMap(Database, (db) => Effect.all([db.getText("a"), db.getText("b")]))
    expect(await Effect.runPromise(Effect.provide(found, Simulation.layer({ disk: left })))).toEqual(["1", undefined])
  })
})
