/** A simulated world: order, time and chance from one seed, and an end to everything. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { describe, expect, it } from "vitest"
import { SimulatedWorld } from "../../src/runtime/simulation/SimulatedWorld.ts"
import { Turns } from "../../src/services/Turns.ts"

/** Fibers that take turns: the order in which they had them. */
const interleaved = (fibers: number, turns: number) =>
  Effect.gen(function* () {
    const order: Array<number> = []
    yield* Effect.forEach(
      Array.from({ length: fibers }, (_, i) => i),
      (i) =>
        Effect.repeat(
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => order.push(i))
          ),
          { times: turns - 1 }
        ),
      { concurrency: "unbounded" }
    )
    return order.join("")
  })

const resultOf = <A, E>(seed: number, effect: Effect.Effect<A, E>): A => {
  const end = new SimulatedWorld(seed).run(effect)
  if (end.ended !== "done" || Exit.isFailure(end.exit)) throw new Error(`it ended with ${JSON.stringify(end)}`)
  return end.exit.value
}

describe("a simulated world", () => {
  it("orders fibers by its seed, and the same each time", () => {
    const orders = Array.from({ length: 40 }, (_, seed) => resultOf(seed, interleaved(3, 5)))
    expect(new Set(orders).size).toBeGreaterThan(20)
    expect(Array.from({ length: 40 }, (_, seed) => resultOf(seed, interleaved(3, 5)))).toEqual(orders)
    for (const order of orders) for (const fiber of "012") expect(order.split(fiber)).toHaveLength(6)
  })

  it("orders what the engine puts off among the fibers", () => {
    const orders = Array.from({ length: 30 }, (_, seed) =>
      resultOf(
        seed,
        Effect.gen(function* () {
          const turns = yield* Turns
          const order: Array<string> = []
          const all = yield* Effect.forEach(["a", "b"], (name) =>
            Effect.forkChild(
              Effect.andThen(
                Effect.yieldNow,
                Effect.sync(() => order.push(name))
              )
            )
          )
          turns.afterStep(() => order.push("step"))
          turns.afterTurn(() => order.push("turn"))
          for (const fiber of all) yield* Fiber.join(fiber)
          yield* Effect.sleep("1 second")
          return order.join(" ")
        })
      )
    )
    expect(new Set(orders).size).toBeGreaterThan(5)
    for (const order of orders) expect(order.split(" ").sort()).toEqual(["a", "b", "step", "turn"])
  })

  it("lets hours pass in no time, wakes sleepers in order, and none that was interrupted", () => {
    const woken = resultOf(
      5,
      Effect.gen(function* () {
        const woken: Array<string> = []
        const from = yield* Clock.currentTimeMillis
        const sleeper = (name: string, hours: number) =>
          Effect.andThen(
            Effect.sleep(`${hours} hours`),
            Effect.sync(() => woken.push(name))
          )
        const fibers = [yield* Effect.forkChild(sleeper("c", 30)), yield* Effect.forkChild(sleeper("a", 1)), yield* Effect.forkChild(sleeper("b", 2))]
        const never = yield* Effect.forkChild(sleeper("never", 3))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(never)
        for (const fiber of fibers) yield* Fiber.join(fiber)
        const hours = ((yield* Clock.currentTimeMillis) - from) / 3_600_000
        expect(hours).toBeGreaterThan(29.99)
        expect(hours).toBeLessThan(30.01)
        expect((yield* Effect.timeoutOption(Effect.never, "1 hour"))._tag).toBe("None")
        return woken.join("")
      })
    )
    expect(woken).toBe("abc")
  })

  it("gives chance from its seed", () => {
    const draw = Effect.all([Random.next, Random.nextInt, Random.nextBoolean])
    expect(resultOf(1, draw)).toEqual(resultOf(1, draw))
    expect(resultOf(1, draw)).not.toEqual(resultOf(2, draw))
  })

  it("ends with what waits for ever, goes on for ever, or is left", () => {
    expect(new SimulatedWorld(1).run(Effect.never)).toEqual({ ended: "waits" })
    expect(new SimulatedWorld(1).run(Effect.forever(Effect.yieldNow), { stepsMax: 1000 })).toEqual({ ended: "steps" })
    expect(new SimulatedWorld(1).run(Effect.forever(Effect.sleep("1 day")), { stepsMax: 1000 })).toEqual({ ended: "steps" })
    let steps = 0
    let finalized = false
    const left = Effect.ensuring(
      Effect.forever(
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => steps++)
        )
      ),
      Effect.sync(() => (finalized = true))
    )
    expect(new SimulatedWorld(1).run(left, { isOver: () => steps === 7 })).toEqual({ ended: "over" })
    // What is left is not ended in order: that is what a killed process is.
    expect({ steps, finalized }).toEqual({ steps: 7, finalized: false })
  })

  it("hears of promises that settle by themselves, where it is asked to", async () => {
    const waits = Effect.gen(function* () {
      const heard = yield* Deferred.make<string>()
      yield* Effect.forkChild(
        Effect.andThen(
          Effect.promise(() => Promise.resolve("later")),
          (word) => Deferred.succeed(heard, word)
        )
      )
      yield* Effect.sleep("1 hour")
      return yield* Deferred.await(heard)
    })
    const end = await new SimulatedWorld(1).runTurning(waits)
    expect(end).toMatchObject({ ended: "done", exit: Exit.succeed("later") })
    expect(await new SimulatedWorld(1).runTurning(Effect.never)).toEqual({ ended: "waits" })
  })
})
