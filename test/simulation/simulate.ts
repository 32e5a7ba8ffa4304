/** Runs a script: one life of the machine after the other, each judged by the oracle of them all. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { FaultRule } from "../../src/layers/disk/FaultyDisk.ts"
import type { CrashWhen, SimulationOptions } from "../../src/runtime/simulation/SimulatedMachine.ts"
import { SimulatedMachine, smallOptions } from "../../src/runtime/simulation/SimulatedMachine.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { History } from "./History.ts"
import { Ledger } from "./Ledger.ts"
import { type CrashPoint, fileOf, patternOf, type SimulatedFault, type SimulatedLife, type SimulationScript } from "./script.ts"
import { follow, learnAll, probe, reconcile } from "./judging.ts"
import { dumpDiffers, dumpSnapshot, failedWith, type LifeContext, observeAll, runFiber } from "./steps.ts"

export interface Verdict {
  /** What was wrong first; undefined where all was right. */
  readonly violation: string | undefined
  readonly violations: ReadonlyArray<string>
  /** Equal for equal runs: of every operation of the disk, every answer, and what each crash left. */
  readonly trace: string
  /** Where each life was cut off: the script with these is the same script. */
  readonly crashes: ReadonlyArray<CrashPoint | undefined>
  readonly operations: number
  readonly ledger: Ledger
}

/** So many steps no life of a script takes that ends. */
const stepsMax = 400_000

/** What may be answered while something is made to fail, and until that is healed. Anything else is wrong even then. */
const failures = new Set([
  "DiskError",
  "DiskFull",
  "PermissionDenied",
  "CorruptFile",
  "CommitOutcomeUnknown",
  "DatabasePoisoned",
  "DatabaseReadOnly",
  "WriteStalled",
  "TransactionTimeout"
])

/** Answers of a database that works, as fibers get in each other's way. */
const expected: ReadonlyMap<string, RegExp> = new Map([
  ["TransactionConflict", /transaction/],
  ["KeyspaceNotFound", /./],
  ["KeyspaceDropped", /./],
  ["LockDeadlock", /transaction/],
  // It names a keyspace that is not there.
  ["InvalidBatch", /write|transaction/]
])

/** Damage that is seen where bytes were changed on their way, and nowhere else. */
const damage = "CorruptFile"

const engineFault = (fault: SimulatedFault["fault"]): FaultRule["fault"] => {
  if ("flipBit" in fault) return { bitFlip: { draw: seededPrng(fault.flipBit) } }
  if ("misread" in fault) return { misdirected: { byBytes: fault.misread } }
  return "stale" in fault ? { staleRead: true } : fault
}

const ruleOf = ({ fault, file, nth, operation, times }: SimulatedFault): FaultRule => ({
  match: { operation, path: patternOf(file) },
  nth,
  times,
  fault: engineFault(fault)
})

const kindOfFault = (fault: SimulatedFault["fault"]): string => {
  if ("code" in fault) return fault.code
  if ("shortRead" in fault) return "short read"
  if ("flipBit" in fault) return "bit flip"
  if ("misread" in fault) return "misdirected read"
  return "stale" in fault ? "stale read" : "delay"
}

/** Whether a read returned other bytes than are there. */
const changesBytes = ({ fault }: SimulatedFault): boolean => !("code" in fault) && !("delayMs" in fault)

const nameOfFault = ({ fault, file, operation }: SimulatedFault): string => `${file} ${operation} ${kindOfFault(fault)}`

const crashWhen = (point: CrashPoint | undefined, isClosing: () => boolean): CrashWhen => {
  if (point === undefined) return () => false
  if (typeof point === "number") return (_, index) => index === point
  let seen = 0
  if ("closing" in point) return () => isClosing() && seen++ === point.closing
  return ({ kind, path }) => kind === point.before && fileOf(path) === point.file && ++seen === point.nth
}

/** How the life before this one ended: what may be missing now. */
type Before = "nothing" | "closed" | "killed" | "lost"

interface Checkpoint {
  readonly path: string
  readonly sequence: number
}

class Run {
  readonly script: SimulationScript
  readonly ledger = new Ledger()
  readonly history = new History(this.ledger)
  readonly machine: SimulatedMachine
  readonly crashes: Array<CrashPoint | undefined> = []
  before: Before = "nothing"
  operations = 0
  checkpoints: Array<Checkpoint> = []

  constructor(script: SimulationScript) {
    this.script = script
    const options: SimulationOptions = {
      ...smallOptions,
      durability: "sync",
      retention: { log: script.keeps === "cursor" ? 0 : "unlimited", beforeImages: script.beforeImages === true }
    }
    this.machine = new SimulatedMachine(script.seed, options)
  }

  /** What a life promised may have been broken by what failed in it: then nothing that was only buffered is demanded of the next one. */
  tainted = false

  life(life: SimulatedLife, index: number): void {
    const { history, ledger, machine } = this
    const name = String(index)
    const rules = (life.faults ?? []).map((fault) => ({ fault, rule: ruleOf(fault) }))
    const struck = new Set<SimulatedFault>()
    let mayFail = false
    const at: { phase: "opening" | "running" | "closing" | "closed" } = { phase: "opening" }
    const pending = new Map<number, string>()
    const isAlive = () => !machine.isDown

    const arm = (during: SimulatedFault["during"]) => {
      for (const { fault, rule } of rules) {
        if (fault.during !== during) continue
        machine.faults.add(rule)
        mayFail = true
      }
    }
    const disarm = () => {
      for (const { fault, rule } of rules) {
        const strikes = machine.faults.strikes(rule)
        ledger.count("faults", nameOfFault(fault), strikes)
        if (strikes > 0) struck.add(fault)
      }
      machine.faults.clear()
      if ([...struck].some(isGrave)) this.tainted = true
    }
    const judgeError = (tag: string, during: string, cause: Cause.Cause<unknown>) => {
      if (expected.get(tag)?.test(during) === true) return
      if (tag === damage && !rules.some(({ fault }) => changesBytes(fault)))
        return history.violate(`${during} was answered with ${tag}, and nothing was damaged: ${Cause.pretty(cause)}`)
      if (!mayFail || !failures.has(tag))
        history.violate(
          `${during} was answered with ${tag}, ${mayFail ? "which no fault explains" : "although nothing failed"}: ${Cause.pretty(cause)}`
        )
    }

    const opened: Effect.Effect<{ readonly db: DatabaseShape; readonly scope: Scope.Closeable } | undefined> = Effect.gen(function* () {
      arm("open")
      const first = yield* Scope.make()
      const opening = yield* Effect.exit(Scope.provide(machine.open(), first))
      if (!isAlive()) return yield* Effect.never
      disarm()
      // What was done behind the opening may have been struck.
      mayFail = struck.size > 0
      if (Exit.isSuccess(opening)) return { db: opening.value, scope: first }
      const tag = failedWith(opening.cause)
      machine.note(`opening ${tag}`)
      if (tag === undefined) history.violate(`opening died: ${Cause.pretty(opening.cause)}`)
      else if (struck.size === 0) history.violate(`opening was answered with ${tag}, although nothing failed: ${Cause.pretty(opening.cause)}`)
      else if (!failures.has(tag)) history.violate(`opening was answered with ${tag}, which no fault explains`)
      yield* Scope.close(first, Exit.void)
      const second = yield* Scope.make()
      const again = yield* Effect.exit(Scope.provide(machine.open(), second))
      if (!isAlive()) return yield* Effect.never
      if (Exit.isFailure(again)) {
        history.violate(`opening again, where nothing fails any more: ${Cause.pretty(again.cause)}`)
        return undefined
      }
      mayFail = false
      ledger.count("recoveries", "after a refused opening")
      return { db: again.value, scope: second }
    })

    const program = Effect.gen({ self: this }, function* () {
      const ready = yield* opened
      if (ready === undefined) return
      const { db, scope } = ready
      const context: LifeContext = {
        db,
        history,
        isAlive,
        note: (text) => machine.note(text),
        judgeError,
        checkpointPath: (id) => `/copy-${id}`,
        onCheckpoint: (path, sequence) => {
          this.checkpoints.push({ path, sequence })
        },
        keepsByCursor: this.script.keeps === "cursor"
      }
      yield* reconcile(context, this.before !== "lost" && this.before !== "nothing" && !this.tainted)
      this.before = "nothing"
      this.tainted = false

      arm("life")
      at.phase = "running"
      const following = yield* Effect.forkChild(follow(context))
      const fibers = yield* Effect.forEach(life.fibers, (steps, number) =>
        Effect.forkChild(
          runFiber(context, `${name}.${number}`, steps, (what) => (what === undefined ? pending.delete(number) : pending.set(number, what)))
        )
      )
      for (const fiber of fibers) {
        const exit = yield* Fiber.await(fiber)
        if (Exit.isFailure(exit) && isAlive()) history.violate(`a fiber died: ${Cause.pretty(exit.cause)}`)
      }
      if (!isAlive()) return yield* Effect.never
      disarm()
      pending.set(-1, "after the fibers")
      // Whatever is tried again is tried by now.
      if (struck.size > 0) yield* Effect.sleep("15 minutes")
      let health = yield* db.health
      // The breaker of a file closes when reading it succeeds again, and nobody has read.
      for (let again = 0; health.state === "degraded" && again < 5; again++) {
        yield* observeAll(context, `${name}, reading again`)
        yield* Effect.sleep("1 minute")
        health = yield* db.health
      }
      machine.note(`health ${health.state}`)
      yield* Fiber.interrupt(following)
      if (health.state === "healthy") {
        mayFail = false
        yield* probe(context, name)
      } else if (health.state === "degraded" && [...struck].some(changesBytes)) {
        // What was read damaged once is taken for damaged until it is opened again.
        ledger.count("recoveries", "degraded until reopened")
      } else if (health.state !== "readOnly") {
        history.violate(`nothing fails any more, and it is ${health.state}: ${health.reasons.join("; ")}`)
      } else {
        ledger.count("recoveries", "read-only until reopened")
        if (![...struck].some(isGrave))
          history.violate(`it is read-only, although nothing failed that its commits need: ${health.reasons.join("; ")}`)
        yield* observeAll(context, `${name}, read-only`)
      }
      mayFail = false
      yield* learnAll(context)
      history.judge()
      at.phase = "closing"
      pending.set(-1, "closing")
      yield* Scope.close(scope, Exit.void)
      if (!isAlive()) return yield* Effect.never
      at.phase = "closed"
      pending.delete(-1)
    })

    const { crashedAt, end, operations } = machine.live(program, {
      crashWhen: crashWhen(life.crash, () => at.phase === "closing"),
      kills: life.mode === "killed",
      isOver: () => history.violations.length > 0,
      stepsMax
    })
    this.operations += operations
    machine.note(`life ${index} ${end.ended} ${operations}`)
    this.crashes.push(crashedAt === undefined ? undefined : crashedAt.indexInLife)
    if (history.violations.length > 0) return
    if (end.ended === "waits" || end.ended === "steps")
      return history.violate(
        `life ${index} does not end (${end.ended === "waits" ? "all wait" : "it goes on and on"}) while ${at.phase}: ${[...pending.values()].join(", ")}`
      )
    if (end.ended === "done" && Exit.isFailure(end.exit))
      return history.violate(`life ${index} died while ${at.phase}: ${Cause.pretty(end.exit.cause)}`)

    if (end.ended === "done" && life.crash === undefined) {
      this.before = "closed"
      if (!this.tainted) history.require(history.lastAcknowledged)
      return
    }
    const mode = life.mode ?? "random"
    // A database that was closed has nothing to lose.
    if (at.phase === "closed" && !this.tainted) history.require(history.lastAcknowledged)
    history.judge()
    if (crashedAt === undefined) ledger.count("crashes", "after closing")
    else {
      disarm()
      ledger.count("crashes", `during ${at.phase === "running" ? "the run" : at.phase}`)
      ledger.count("crash points", `${fileOf(crashedAt.path)} ${crashedAt.kind}`)
    }
    machine.restart(mode)
    ledger.count("crashes", mode)
    ledger.count("crashes", `depth ${++this.depth}`)
    ledger.crashState(machine.disk.hash())
    this.before = (mode === "all" || mode === "killed") && this.before !== "lost" ? "killed" : at.phase === "closed" ? "closed" : "lost"
  }

  depth = 0

  /** Every checkpoint that was acknowledged opens, and is the state it was made of. */
  openCheckpoints(): void {
    const { history, ledger, machine } = this
    for (const { path, sequence } of this.checkpoints) {
      const { end } = machine.live(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* machine.open({}, path)
            const nowMs = machine.world.nowMs
            const snapshot = yield* db.snapshot
            const dump = yield* dumpSnapshot(snapshot)
            // It may be ahead by commits of its own: what has expired since.
            if (snapshot.sequence < sequence) history.violate(`the checkpoint ${path} was made of ${sequence}, and holds ${snapshot.sequence}`)
            history.observe({
              what: `the checkpoint ${path} (${sequence})`,
              lo: sequence,
              hi: sequence,
              check: dumpDiffers(dump, nowMs, machine.world.nowMs)
            })
          })
        ),
        { stepsMax }
      )
      if (end.ended !== "done") return history.violate(`opening the checkpoint ${path} does not end`)
      if (Exit.isFailure(end.exit)) return history.violate(`the checkpoint ${path} does not open: ${Cause.pretty(end.exit.cause)}`)
      ledger.count("observations", "checkpoints opened")
    }
    history.judge()
  }
}

/** What a commit needs to be written and made durable: where it fails, the database may refuse to go on. */
const isGrave = ({ fault, file, operation }: SimulatedFault): boolean =>
  "code" in fault && (file === "log" || file === "manifest" || file === "current" || file === "directory") && operation !== "readAt"

/** The last life of every script: nothing fails, nothing is asked for, and all that was is judged. */
const afterlife: SimulatedLife = { fibers: [] }

/** `engineOn`: what the engine is given instead of the disk, to see that a broken one is found. */
export const simulate = (script: SimulationScript, options: { readonly engineOn?: SimulatedMachine["engineOn"] } = {}): Verdict => {
  const run = new Run(script)
  if (options.engineOn !== undefined) run.machine.engineOn = options.engineOn
  const { history, machine } = run
  for (const [index, life] of [...script.lives, afterlife].entries()) {
    run.life(life, index)
    if (history.violations.length > 0) break
  }
  if (history.violations.length === 0) run.openCheckpoints()
  return {
    violation: history.violations[0],
    violations: history.violations,
    trace: machine.traceHash(),
    crashes: run.crashes,
    operations: run.operations,
    ledger: run.ledger
  }
}
