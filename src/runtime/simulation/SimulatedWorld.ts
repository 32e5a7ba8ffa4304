/**
 * All that decides what a program does besides its own text, from one seed: which fiber runs next, what time it is, and what chance says. The fibers of a world run here and
 * now, in the caller's stack, one task after the other; nothing waits for the machine's clock, and the same seed gives the same run.
 *
 * A world that is left (after a crash) simply never runs its tasks again: no fiber of it goes on, no finalizer runs. That is what a killed process is.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import { drawInt, type Prng, seededPrng } from "../../layers/disk/Prng.ts"
import { Turns } from "../../services/Turns.ts"

/** How a program ended: it did, or the world ended first (`over`), or it waits for something that will never come, or has taken more steps than it may. */
export type WorldEnd<A, E> =
  | { readonly ended: "done"; readonly exit: Exit.Exit<A, E> }
  | { readonly ended: "over" }
  | { readonly ended: "waits" | "steps" }

export interface WorldRunOptions {
  /** Asked after each step: nothing happens any more once it says true. */
  readonly isOver?: (() => boolean) | undefined
  /** Steps after which the program counts as endless. Default 1,000,000. */
  readonly stepsMax?: number | undefined
}

interface Timer {
  readonly atMicros: number
  readonly order: number
  readonly run: () => void
  cancelled: boolean
}

/** 14 November 2023, 22:13:20 UTC: any moment will do, as long as it is always the same. */
const startMs = 1_700_000_000_000

/** A look at the clock takes this long, so that two looks differ. */
const lookMicros = 1

/** How a world chooses among what is ready: each seed draws one of each. */
const windows: ReadonlyArray<number> = [1, 2, 4, Infinity, Infinity]
const opsBeforeYield: ReadonlyArray<number> = [2048, 2048, 333, 40]
const lagChances: ReadonlyArray<number> = [0, 0, 0.01, 0.05]
const taskMicrosMax = 40
const lagMicrosMax = 20_000

export class SimulatedWorld {
  readonly scheduler: Scheduler.Scheduler
  readonly clock: Clock.Clock
  readonly random: Random.Random
  /** Tasks run so far. */
  steps = 0
  readonly #choose: Prng
  readonly #window: number
  readonly #lagChance: number
  #ready: Array<() => void> = []
  /** Latest first. */
  readonly #timers: Array<Timer> = []
  #timersMade = 0
  #micros: number

  /** `fromMs`: milliseconds since 1970; where it is another one's `nowMs`, this world goes on from there. */
  constructor(seed: number, fromMs: number = startMs) {
    this.#micros = Math.round((fromMs - startMs) * 1000)
    const shape = seededPrng(seed ^ 0x517cc1b7)
    this.#window = windows[drawInt(shape, windows.length)]!
    const opsMax = opsBeforeYield[drawInt(shape, opsBeforeYield.length)]!
    this.#lagChance = lagChances[drawInt(shape, lagChances.length)]!
    this.#choose = seededPrng(seed)
    const chance = seededPrng(seed ^ 0x2545f491)
    this.random = {
      nextDoubleUnsafe: chance,
      nextIntUnsafe: () => Math.floor(chance() * (Number.MAX_SAFE_INTEGER - Number.MIN_SAFE_INTEGER)) + Number.MIN_SAFE_INTEGER
    }
    // Priorities are not looked at: what runs first is what the seed says.
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task) => this.schedule(task),
      flush: () => this.#runReady(() => false, Infinity)
    }
    this.scheduler = {
      executionMode: "async",
      shouldYield: (fiber: Fiber.Fiber<unknown, unknown>) => fiber.currentOpCount >= opsMax,
      makeDispatcher: () => dispatcher
    }
    const wallMicros = () => startMs * 1000 + this.#look()
    this.clock = {
      currentTimeMillisUnsafe: () => wallMicros() / 1000,
      currentTimeMillis: Effect.sync(() => wallMicros() / 1000),
      currentTimeNanosUnsafe: () => BigInt(wallMicros()) * 1000n,
      currentTimeNanos: Effect.sync(() => BigInt(wallMicros()) * 1000n),
      monotonicTimeNanosUnsafe: () => BigInt(this.#look()) * 1000n,
      monotonicTimeNanos: Effect.sync(() => BigInt(this.#look()) * 1000n),
      sleep: (duration) =>
        Effect.callback((resume) => {
          const millis = Duration.toMillis(duration)
          if (millis === Infinity) return
          const timer = this.#at(this.#micros + Math.max(0, Math.round(millis * 1000)), () => resume(Effect.void))
          return Effect.sync(() => {
            timer.cancelled = true
          })
        })
    }
  }

  /** Milliseconds since 1970, without the passing of time that a look at the clock costs. */
  get nowMs(): number {
    return startMs + this.#micros / 1000
  }

  /** Lets time pass, as while nothing happened. */
  pass(ms: number): void {
    this.#micros += Math.round(ms * 1000)
  }

  /** The effect with this world's scheduler, clock and chance, in itself and in all it forks. */
  within<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return effect.pipe(
      Effect.provideService(Turns, { afterStep: (run) => this.schedule(run), afterTurn: (run) => this.schedule(run) }),
      Effect.provideService(Clock.Clock, this.clock),
      Effect.provideService(Random.Random, this.random),
      Effect.provideService(Scheduler.Scheduler, this.scheduler)
    )
  }

  /** Makes a task ready; now and then only after a while. */
  schedule(task: () => void): void {
    if (this.#lagChance > 0 && this.#choose() < this.#lagChance) this.#at(this.#micros + drawInt(this.#choose, lagMicrosMax), task)
    else this.#ready.push(task)
  }

  /**
   * Runs the effect and everything it starts to its end, synchronously. Where all wait, time passes to the next timer.
   *
   * **Gotchas** It must not wait for anything outside (promises, timers of the machine): to this it looks like waiting for ever. See `runTurning`.
   */
  run<A, E>(effect: Effect.Effect<A, E>, options: WorldRunOptions = {}): WorldEnd<A, E> {
    const run = this.#start(effect, options)
    for (;;) {
      const end = run.advance()
      if (end !== undefined) return end
      if (!this.#nextTimer()) return { ended: "waits" }
    }
  }

  /** As `run`, for effects that await promises too: before time passes, the event loop turns, so that what a promise has to say is heard. */
  async runTurning<A, E>(effect: Effect.Effect<A, E>, options: WorldRunOptions = {}): Promise<WorldEnd<A, E>> {
    const run = this.#start(effect, options)
    for (;;) {
      const end = run.advance()
      if (end !== undefined) return end
      for (let turn = 0; turn < turnsUntilIdle && this.#ready.length === 0 && !run.isDone(); turn++) await turned()
      if (this.#ready.length === 0 && !run.isDone() && !this.#nextTimer()) return { ended: "waits" }
    }
  }

  #start<A, E>(effect: Effect.Effect<A, E>, { isOver = () => false, stepsMax = 1_000_000 }: WorldRunOptions) {
    const last = this.steps + stepsMax
    let exit: Exit.Exit<A, E> | undefined
    this.#ready.push(() => {
      Effect.runFork(this.within(effect)).addObserver((ended) => {
        exit = ended
      })
    })
    const isDone = () => exit !== undefined
    return {
      isDone,
      advance: (): WorldEnd<A, E> | undefined => {
        this.#runReady(() => exit !== undefined || isOver(), last)
        if (isOver()) return { ended: "over" }
        if (exit !== undefined) return { ended: "done", exit }
        return this.steps >= last ? { ended: "steps" } : undefined
      }
    }
  }

  #runReady(isEnough: () => boolean, stepsMax: number): void {
    while (this.#ready.length > 0 && this.steps < stepsMax) {
      this.steps++
      this.#micros += drawInt(this.#choose, taskMicrosMax)
      this.#due()
      const ready = this.#ready
      const index = this.#window === 1 ? 0 : drawInt(this.#choose, Math.min(this.#window, ready.length))
      const task = ready[index]!
      // Order is kept for the rest, where it means something.
      if (this.#window === Infinity) {
        ready[index] = ready[ready.length - 1]!
        ready.pop()
      } else ready.splice(index, 1)
      task()
      if (isEnough()) return
    }
  }

  #look(): number {
    return (this.#micros += lookMicros)
  }

  #at(atMicros: number, run: () => void): Timer {
    const timer: Timer = { atMicros, order: this.#timersMade++, run, cancelled: false }
    let at = this.#timers.length
    while (at > 0 && this.#timers[at - 1]!.atMicros <= atMicros) at--
    this.#timers.splice(at, 0, timer)
    return timer
  }

  /** What is due is ready. */
  #due(): void {
    for (;;) {
      const timer = this.#timers.at(-1)
      if (timer === undefined || timer.atMicros > this.#micros) return
      this.#timers.pop()
      if (!timer.cancelled) this.#ready.push(timer.run)
    }
  }

  /** Time passes to the next timer; false where there is none. */
  #nextTimer(): boolean {
    for (;;) {
      const timer = this.#timers.pop()
      if (timer === undefined) return false
      if (timer.cancelled) continue
      this.#micros = Math.max(this.#micros, timer.atMicros)
      this.#ready.push(timer.run)
      return true
    }
  }
}

/** A promise that is settled has its say within a few turns. */
const turnsUntilIdle = 4

const turned = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
