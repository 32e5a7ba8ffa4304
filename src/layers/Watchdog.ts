import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { Disk } from "../services/Disk.ts"
import { EngineClock } from "../services/EngineClock.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { HealthMonitor } from "../services/HealthMonitor.ts"
import { Turns } from "../services/Turns.ts"
import { Watchdog, type WatchedActor } from "../services/Watchdog.ts"

/** A timer that fires later than this says something about the event loop, and nothing about actors. */
const lateMsMax = 1000
/** Looks in the time that a step may take: a step is named at most this part of it late. */
const looks = 4

/** What an actor tells the watchdog. */
interface Listener {
  readonly watching: () => boolean
  readonly wake: () => void
  readonly heal: (actor: Actor) => void
}

class Actor implements WatchedActor {
  readonly name: string
  readonly waits: boolean
  onOverdue: ((detail: string) => void) | undefined = undefined
  active = false
  /** Steps begun and ended. */
  moves = 0
  /** What `progressOf` counts besides: changes of the numbers that steps gave. */
  advances = 0
  // What the timer saw at its last look.
  seenMoves = -1
  seenProgress = 0
  sinceMs = 0
  /** The duration that was told last; 0: nothing was told. */
  toldMs = 0
  overdue = false
  private what = ""
  private file = ""
  private progress: (() => number) | undefined = undefined
  private readonly listener: Listener

  constructor(name: string, waits: boolean, listener: Listener) {
    this.name = name
    this.waits = waits
    this.listener = listener
  }

  begin(what: string, file: string, progress?: () => number): void {
    this.what = what
    this.file = file
    this.progress = progress
    this.active = true
    this.moves++
    if (!this.listener.watching()) this.listener.wake()
  }

  end(): void {
    this.active = false
    this.moves++
    if (this.toldMs > 0) this.listener.heal(this)
  }

  /** Whether the step at hand is the one that the last look saw, and has not got on since. */
  stands(): boolean {
    const progress = this.progress?.() ?? 0
    const stands = this.moves === this.seenMoves && progress === this.seenProgress
    if (!stands) this.advances++
    this.seenMoves = this.moves
    this.seenProgress = progress
    return stands
  }

  /** Grows or changes with all that the actor does. */
  standing(): number {
    return this.moves + this.advances + (this.active ? (this.progress?.() ?? 0) : 0)
  }

  describe(ms: number): string {
    return `the ${this.name} hangs: ${this.what} ${this.file} has not come back for ${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
  }
}

const conditionOf = (actor: Actor): string => `watchdog: ${actor.name}`
const loopCondition = "watchdog: event loop"

const make = Effect.gen(function* () {
  const disk = yield* Disk
  const clock = yield* EngineClock
  const health = yield* HealthMonitor
  const turns = yield* Turns
  const { waitTimeoutMs, watchdogMs } = yield* EngineOptions

  const actors: Array<Actor> = []
  const limitMs = Math.min(watchdogMs, waitTimeoutMs)
  const tickMs = limitMs / looks
  // Memory does not hang, and a database in it has no timers.
  const isOn = Number.isFinite(limitMs) && disk.kind !== "memory"
  let watching = !isOn
  const wanted = Latch.makeUnsafe(false)

  const someActive = (): boolean => actors.some((actor) => actor.active)

  /** Most steps are over within a turn of the event loop: the timer is for those that are not. */
  const wake = () => {
    watching = true
    turns.afterTurn(() =>
      turns.afterTurn(() => {
        if (someActive()) wanted.openUnsafe()
        else watching = false
      })
    )
  }

  const heal = (actor: Actor) => {
    actor.toldMs = 0
    // Of several jobs of one name another may hang still.
    if (!actors.some((other) => other.toldMs > 0 && other.name === actor.name)) health.heal(conditionOf(actor))
  }

  const listener: Listener = { watching: () => watching, wake, heal }

  const look = (nowMs: number, lateMs: number) => {
    const hanging: Array<Actor> = []
    for (const actor of actors) {
      if (!actor.active) continue
      if (!actor.stands()) {
        actor.sinceMs = nowMs
        actor.overdue = false
        if (actor.toldMs > 0) heal(actor)
        continue
      }
      // While nothing could run, nothing could come back.
      actor.sinceMs += lateMs
      if (nowMs - actor.sinceMs >= limitMs) hanging.push(actor)
    }
    const direct = hanging.filter((actor) => !actor.waits)
    for (const actor of direct.length > 0 ? direct : hanging) {
      const ms = nowMs - actor.sinceMs
      // Told again as it doubles: each is an event.
      if (ms >= watchdogMs && (actor.toldMs === 0 || ms >= 2 * actor.toldMs)) {
        actor.toldMs = ms
        health.degrade(conditionOf(actor), actor.describe(ms))
      }
      if (ms >= waitTimeoutMs && !actor.overdue) {
        actor.overdue = true
        actor.onOverdue?.(actor.describe(ms))
      }
    }
  }

  const watch = Effect.gen(function* () {
    while (true) {
      yield* wanted.await
      wanted.closeUnsafe()
      let lastMs = clock.monotonicMs()
      do {
        yield* Effect.sleep(tickMs)
        const nowMs = clock.monotonicMs()
        const lateMs = nowMs - lastMs - tickMs
        lastMs = nowMs
        const isLate = lateMs > lateMsMax
        if (isLate)
          health.degrade(
            loopCondition,
            `the event loop stood still for ${(lateMs / 1000).toFixed(1)} s: something synchronous held it, or the process was stopped`
          )
        else health.heal(loopCondition)
        look(nowMs, isLate ? lateMs : 0)
      } while (someActive())
      health.heal(loopCondition)
      watching = false
    }
  })
  if (isOn) yield* Effect.forkScoped(watch)

  const add = (name: string, kind: "waits" | undefined): Actor => {
    const actor = new Actor(name, kind === "waits", listener)
    actors.push(actor)
    return actor
  }

  return Watchdog.of({
    actor: add,
    job: (name, kind) => actors.find((actor) => actor.name === name && !actor.active) ?? add(name, kind),
    progressOf: (names) => {
      let sum = 0
      for (const actor of actors) if (names.includes(actor.name)) sum += actor.standing()
      return sum
    },
    hanging: () => {
      const nowMs = clock.monotonicMs()
      const told = actors.filter((actor) => actor.active && actor.toldMs > 0)
      return told.length === 0 ? undefined : told.map((actor) => actor.describe(nowMs - actor.sinceMs)).join("; ")
    }
  })
})

export const layer: Layer.Layer<Watchdog, never, Disk | EngineClock | EngineOptions | HealthMonitor> = Layer.effect(Watchdog, make)
