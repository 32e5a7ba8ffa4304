/**
 * Runs a program of yours against the engine on a simulated machine, cuts its power, and asks after each restart whether what you promise still holds. One seed decides
 * everything: which fiber runs next, what time it is, what chance says, at which operation of the disk the power goes, and what becomes of what was not synced.
 *
 * ```ts
 * const orders = Simulation.run({
 *   seed: 7,
 *   witness: () => ({ placed: new Array<string>() }),
 *   program: (seen) => placeOrders(seen),
 *   check: (seen) => everyPlacedOrderIsThere(seen)
 * })
 * ```
 *
 * The program runs in a world of its own: `Effect.sleep`, `Clock` and `Random` are simulated, and hours pass in no time. It may await promises that settle by themselves; what
 * waits for the outside (a socket, a file, a timer of the machine) is not part of the simulation, and looks like waiting for ever.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { OpenError } from "../../domain/errors.ts"
import type { CrashMode } from "../../layers/disk/crashImage.ts"
import type { FaultRule } from "../../layers/disk/FaultRule.ts"
import type { FaultyDisk } from "../../layers/disk/FaultyDisk.ts"
import { drawInt, seededPrng } from "../../layers/disk/Prng.ts"
import { SimulatedDisk } from "../../layers/disk/SimulatedDisk.ts"
import { Database } from "../../services/Database.ts"
import { type CrashWhen, type Life, SimulatedMachine, type SimulationOptions, smallOptions } from "./SimulatedMachine.ts"

export type { SimulationOptions } from "./SimulatedMachine.ts"

/** What stands there, or is made for each simulated history from its witness. */
export type FromWitness<S, A> = A | ((witness: S) => A)

export interface Scenario<S, E, CE> {
  /** Default 1. The same seed gives the same history. */
  readonly seed?: number | undefined
  /** Options of the database; by default everything is small, so that little work passes through every part of the engine. */
  readonly options?: SimulationOptions | undefined
  /**
   * Makes what the program and the check have in common for one history: it stays outside the machine, so that no crash takes it back. Note in it what the program was told.
   */
  readonly witness?: (() => S) | undefined
  /**
   * Runs after each start of the machine until it ends or the power goes: it must be able to begin again over what an earlier one has left. Its failure is a failure of the
   * simulation, unless there are `faults`; a defect always is.
   */
  readonly program: FromWitness<S, Effect.Effect<unknown, E, Database | Scope.Scope>>
  /** Runs after each restart, when nothing fails any more. Its failure is what the simulation looks for. */
  readonly check: FromWitness<S, Effect.Effect<unknown, CE, Database | Scope.Scope>>
}

export interface RunScenario<S, E, CE> extends Scenario<S, E, CE> {
  /** How many times, one after the other, the power goes before the program may end. Default 3. */
  readonly crashes?: number | undefined
  /** What fails while the program runs, from the opening of the database on. Counts begin anew in each life. */
  readonly faults?: ReadonlyArray<FaultRule> | undefined
}

export interface SweepScenario<S, E, CE> extends Scenario<S, E, CE> {
  /** What becomes of what was not synced, one check each. Default: `worst`, `all`, and two of `random`. */
  readonly modes?: ReadonlyArray<CrashMode> | undefined
}

/** Where the power went: before the operation `operation` on `path`, which was number `index` of its life. Absent where the program had ended by then. */
export interface CrashPlace {
  readonly index: number
  readonly operation: string
  readonly path: string
}

export interface SimulationReport {
  readonly seed: number
  /** Restarts, each of which was checked. */
  readonly restarts: number
  readonly crashes: ReadonlyArray<CrashPlace | undefined>
  /** Operations of the disk, over all. */
  readonly operations: number
  /** Identifies the history: the same seed, program and version give the same. */
  readonly trace: string
}

/** The check (or the program) did not hold. The same scenario with this seed fails again in the same way. */
export class SimulationFailed extends Data.TaggedError("SimulationFailed")<{
  readonly seed: number
  /** Where the power went before, in order. */
  readonly crashes: ReadonlyArray<CrashPlace | undefined>
  /** What became of what was not synced, at the last of them. */
  readonly mode: CrashMode | undefined
  readonly what: "check" | "program"
  /** What it failed or died with; absent where it does not end. */
  readonly failure: unknown
  readonly detail: string
}> {
  override get message(): string {
    const places = this.crashes.map((place) =>
      place === undefined ? "after its end" : `before operation ${place.index} (${place.operation} ${place.path})`
    )
    const after =
      places.length === 0 ? "before any crash" : `after the power went ${places.join(", then ")}${this.mode === undefined ? "" : ` (${this.mode})`}`
    return `The ${this.what} failed ${after}: ${this.detail}\nRun it again with seed ${this.seed} to see the same.`
  }
}

const made = <S, A>(from: FromWitness<S, A>, witness: S): A =>
  typeof from === "function" && !Effect.isEffect(from) ? (from as (witness: S) => A)(witness) : (from as A)

class History<S, E, CE> {
  readonly machine: SimulatedMachine
  readonly seed: number
  readonly witness: S
  readonly crashes: Array<CrashPlace | undefined> = []
  mode: CrashMode | undefined
  operations = 0
  readonly #scenario: Scenario<S, E, CE>

  constructor(scenario: Scenario<S, E, CE>) {
    this.#scenario = scenario
    this.seed = scenario.seed ?? 1
    this.machine = new SimulatedMachine(this.seed, { ...smallOptions, ...scenario.options })
    this.witness = scenario.witness?.() as S
  }

  /** One life of the program. `mayFail`: its failure is none of ours. */
  program(crashWhen: CrashWhen, mayFail: boolean): Effect.Effect<Life<unknown, unknown>, SimulationFailed> {
    return this.#live("program", made(this.#scenario.program, this.witness), crashWhen, mayFail)
  }

  check(): Effect.Effect<Life<unknown, unknown>, SimulationFailed> {
    return this.#live("check", made(this.#scenario.check, this.witness), () => false, false)
  }

  report(restarts: number): SimulationReport {
    return { seed: this.seed, restarts, crashes: this.crashes, operations: this.operations, trace: this.machine.traceHash() }
  }

  #live(
    what: "check" | "program",
    effect: Effect.Effect<unknown, unknown, Database | Scope.Scope>,
    crashWhen: CrashWhen,
    mayFail: boolean
  ): Effect.Effect<Life<unknown, unknown>, SimulationFailed> {
    const { machine } = this
    const opened = Effect.scoped(Effect.flatMap(machine.open(), (db) => Effect.provideService(effect, Database, db)))
    return Effect.flatMap(
      Effect.promise(() => machine.liveTurning(opened, { crashWhen })),
      (life) => {
        this.operations += life.operations
        const failed = (detail: string, failure?: unknown) =>
          Effect.fail(new SimulationFailed({ seed: this.seed, crashes: [...this.crashes], mode: this.mode, what, failure, detail }))
        switch (life.end.ended) {
          case "over":
            return Effect.succeed(life)
          case "waits":
            return failed("it waits for something that never comes")
          case "steps":
            return failed("it goes on without end")
          case "done": {
            const { exit } = life.end
            if (Exit.isSuccess(exit) || (mayFail && !Cause.hasDies(exit.cause))) return Effect.succeed(life)
            return failed(Cause.pretty(exit.cause), Cause.squash(exit.cause))
          }
        }
      }
    )
  }
}

/**
 * One history: the program runs and the power goes, `crashes` times; then it runs to its end. After each restart the check has to hold.
 *
 * **Details** Where the power goes is drawn among the operations that the program takes on an empty disk; a life that ends earlier loses its power after its end. Run it over
 * many seeds, each is another history. Fails with `SimulationFailed`.
 */
export const run = <E, CE, S = undefined>(scenario: RunScenario<S, E, CE>): Effect.Effect<SimulationReport, SimulationFailed> =>
  Effect.gen(function* () {
    const { crashes = 3, faults = [] } = scenario
    // How long it takes is found out first, on a machine and with a witness that are thrown away.
    const { operations } = crashes === 0 ? { operations: 0 } : yield* new History(scenario).program(() => false, faults.length > 0)
    const history = new History(scenario)
    const { machine } = history
    const draw = seededPrng(history.seed ^ 0x6a09e667)
    const arm = () => {
      for (const rule of faults) machine.faults.add(rule)
    }
    let restarts = 0
    for (let nth = 0; nth < crashes; nth++) {
      const at = drawInt(draw, operations + 1)
      arm()
      const { crashedAt } = yield* history.program((_, index) => index === at, faults.length > 0)
      history.crashes.push(placeOf(crashedAt))
      history.mode = modes[drawInt(draw, modes.length)]!
      machine.restart(history.mode)
      restarts++
      yield* history.check()
    }
    arm()
    yield* history.program(() => false, faults.length > 0)
    machine.faults.clear()
    yield* history.check()
    return history.report(restarts)
  })

const modes: ReadonlyArray<CrashMode> = ["random", "random", "random", "worst", "all"]

const placeOf = (crashedAt: Life<unknown, unknown>["crashedAt"]): CrashPlace | undefined =>
  crashedAt === undefined ? undefined : { index: crashedAt.indexInLife, operation: crashedAt.kind, path: crashedAt.path }

/**
 * Every crash of one history: the program runs again and again from an empty disk, and the power goes before each operation of the disk that changes something, and once after
 * its end. Each time the check has to hold, in each of the `modes`. Fails with `SimulationFailed`.
 *
 * **Details** A program of n operations is run n times: keep it short, and leave length to `run`.
 */
export const sweep = <E, CE, S = undefined>(scenario: SweepScenario<S, E, CE>): Effect.Effect<SimulationReport, SimulationFailed> =>
  Effect.gen(function* () {
    const { modes = ["worst", "all", "random", "random"] } = scenario
    const crashes: Array<CrashPlace | undefined> = []
    let restarts = 0
    let operations = 0
    for (let next = 0; ;) {
      let history = new History(scenario)
      const from = next
      const { crashedAt } = yield* history.program(({ mutates }, index) => mutates && index >= from, false)
      const place = placeOf(crashedAt)
      crashes.push(place)
      for (const [nth, mode] of modes.entries()) {
        // The same history up to here, once more: a check may have changed what it looked at.
        if (nth > 0) {
          history = new History(scenario)
          yield* history.program((_, index) => index === place?.index, false)
        }
        history.crashes.push(place)
        history.mode = mode
        history.machine.restart(mode, nth)
        restarts++
        yield* history.check()
        operations += history.operations
      }
      if (place === undefined) return { ...history.report(restarts), crashes, operations }
      next = place.index + 1
    }
  })

/** The disks under a database that `layer` has opened: rules are added to `faults`, and `disk.crash` returns what a restart finds. */
export class Machine extends Context.Service<Machine, { readonly disk: SimulatedDisk; readonly faults: FaultyDisk }>()(
  "lightning-db/runtime/simulation/Machine"
) {}

export interface LayerOptions {
  /** Of ids, salts and hash seeds. Default 1. */
  readonly seed?: number | undefined
  readonly options?: SimulationOptions | undefined
  /** Default: an empty one. Give the one that a crash has left to open it again. */
  readonly disk?: SimulatedDisk | undefined
  /** Rules from the opening on; later ones are added to `Machine.faults`. */
  readonly faults?: ReadonlyArray<FaultRule> | undefined
}

/**
 * A database on a simulated disk under a faulty one, and the two disks as `Machine`, for tests that run by themselves: it has the time and the scheduler of whoever provides it
 * (`TestClock` drives it).
 */
export const layer = (setup: LayerOptions = {}): Layer.Layer<Database | Machine, OpenError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { disk = new SimulatedDisk(), faults = [], options, seed = 1 } = setup
      const machine = new SimulatedMachine(seed, { ...smallOptions, ...options }, disk)
      for (const rule of faults) machine.faults.add(rule)
      const db = yield* machine.open()
      return Context.make(Database, db).pipe(Context.add(Machine, { disk, faults: machine.faults }))
    })
  )
