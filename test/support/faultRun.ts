/**
 * A run in which something fails, and what may be there afterwards. Each transaction leaves a mark of its own (its number as a key) and moves a counter that all share, so that
 * what is found tells which transactions are in it, and in which order they were applied.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import type { FaultyDisk, FaultRule } from "../../src/layers/disk/FaultyDisk.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape, Durability, Health } from "../../src/services/Database.ts"
import * as Layer from "effect/Layer"
import { directory, type EngineSettings, openOn } from "./openEngine.ts"
import { visitEverything, VerifiedFiles } from "./readEverything.ts"
import type { Recovered } from "../../src/layers/recovery/recover.ts"
import { simulatedClock, withSimulatedClock } from "./simulatedClock.ts"

export interface Attempt {
  readonly number: number
  readonly durability: Durability
  /** The tag of the error, "Acknowledged", or the tag of a defect, which is always a fault of ours. */
  readonly outcome: string
  readonly sequence: number | undefined
}

export interface FaultRun {
  readonly attempts: ReadonlyArray<Attempt>
  /** Outcomes of flushes and compactions, and of opening and closing. */
  readonly maintenance: ReadonlyArray<string>
  readonly health: Health | undefined
  /** Marks that could be read while the database was still open, after the failure. */
  readonly readable: ReadonlyArray<number> | undefined
  readonly strikes: number
}

const encoder = new TextEncoder()
export const markKey = (number: number): string => `t${String(number).padStart(4, "0")}`

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "Acknowledged"
  const error = Cause.findErrorOption(exit.cause)
  if (Option.isNone(error)) return `Defect: ${Cause.pretty(exit.cause)}`
  const failed: unknown = error.value
  return typeof failed === "object" && failed !== null && "_tag" in failed ? String(failed._tag) : String(failed)
}

/** What a run does: a number of writes at once (negative: buffered), or maintenance. */
export type FaultStep = number | "flush" | "compact"

export const runWithFaults = (
  disk: SimulatedDisk,
  steps: ReadonlyArray<FaultStep>,
  rules: ReadonlyArray<FaultRule>,
  /** `patient`: however long somebody sleeps, the time passes. */
  settings: EngineSettings & { readonly valueBytes?: number; readonly armed?: "later"; readonly patient?: boolean } = {}
): Effect.Effect<FaultRun> =>
  withSimulatedClock(
    Effect.gen(function* () {
      const { armed, patient: _patient, valueBytes = 200, ...engine } = settings
      const attempts: Array<Attempt> = []
      const maintenance: Array<string> = []
      let faulty: FaultyDisk | undefined
      let health: Health | undefined
      let readable: ReadonlyArray<number> | undefined
      let number = 0
      const arm = () => {
        for (const rule of rules) faulty!.add(rule)
      }
      const layer = DiskFaulty.layerWith((created) => {
        faulty = created
        if (armed === undefined) arm()
      }).pipe(Layer.provide(DiskSimulated.layer(disk)))
      const write = (db: DatabaseShape, durability: Durability) =>
        Effect.suspend(() => {
          const mine = number++
          const value = new Uint8Array(valueBytes).fill(mine & 0xff)
          return Effect.map(
            Effect.exit(
              db.write(
                [
                  { type: "put", key: markKey(mine), value },
                  { type: "put", key: "last", value: encoder.encode(String(mine)) }
                ],
                { durability }
              )
            ),
            (exit) => {
              attempts.push({ number: mine, durability, outcome: outcomeOf(exit), sequence: Exit.isSuccess(exit) ? exit.value.sequence : undefined })
            }
          )
        })
      const program = Effect.scoped(
        Effect.gen(function* () {
          const db = yield* openOn(layer, directory, engine)
          if (armed === "later") arm()
          for (const step of steps) {
            if (step === "flush" || step === "compact")
              maintenance.push(`${step}: ${outcomeOf(yield* Effect.exit(step === "flush" ? db.flush : db.compact()))}`)
            else {
              yield* Effect.forEach(Array.from({ length: Math.abs(step) }), () => write(db, step < 0 ? "buffered" : "sync"), {
                concurrency: "unbounded"
              })
            }
          }
          health = yield* db.health
          const seen = yield* Effect.exit(
            Effect.sync(() => {
              const marks: Array<number> = []
              for (const [key] of db.unsafe.entries({ prefix: "t" })) marks.push(Number(Buffer.from(key).toString().slice(1)))
              return marks
            })
          )
          if (Exit.isSuccess(seen)) readable = seen.value
        })
      )
      maintenance.push(`open and close: ${outcomeOf(yield* Effect.exit(program))}`)
      attempts.sort((a, b) => a.number - b.number)
      return { attempts, maintenance, health, readable, strikes: rules.reduce((sum, rule) => sum + (faulty?.strikes(rule) ?? 0), 0) }
    }),
    settings.patient === true ? simulatedClock(undefined, undefined, 60_000) : undefined
  )

/** The marks in a recovered database, and the last number in its counter. */
export const marksIn = (disk: SimulatedDisk, recovered: Recovered): { readonly marks: ReadonlyArray<number>; readonly last: number } => {
  const marks: Array<number> = []
  let last = -1
  visitEverything(
    { disk, directory, state: recovered.manifest.state, memtables: recovered.memtables, sequence: recovered.visibleSequence },
    new VerifiedFiles(),
    (_keyspace, key, value) => {
      const name = Buffer.from(key).toString()
      if (name === "last") last = Number(Buffer.from(value).toString())
      else if (name.startsWith("t")) marks.push(Number(name.slice(1)))
    }
  )
  return { marks, last }
}

/** What is wrong with what was found after the run; nothing, if the run kept its word. `lostPower`: only what was acknowledged as synced has to be there. */
export const judgeMarks = (
  run: FaultRun,
  found: { readonly marks: ReadonlyArray<number>; readonly last: number },
  lostPower: boolean
): ReadonlyArray<string> => {
  const complaints: Array<string> = []
  const present = new Set(found.marks)
  // Numbers are given in the order of commits; what was refused before it was sequenced has no place in it.
  let missing: number | undefined
  for (const { durability, number, outcome } of run.attempts) {
    if (outcome !== "Acknowledged" && outcome !== "CommitOutcomeUnknown") {
      if (present.has(number)) complaints.push(`${number} was refused (${outcome}) and appears`)
      continue
    }
    if (present.has(number)) {
      if (missing !== undefined) complaints.push(`${number} is there, ${missing} before it is not: a hole`)
    } else {
      missing ??= number
      if (outcome === "Acknowledged" && (durability === "sync" || !lostPower))
        complaints.push(`${number} was acknowledged (${durability}) and is lost`)
    }
  }
  const highest = Math.max(-1, ...found.marks)
  if (found.last !== highest) complaints.push(`the counter says ${found.last}, the last mark is ${highest}: half a transaction`)
  return complaints
}
