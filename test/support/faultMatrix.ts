/**
 * One fault, of one kind of file, at one moment: a database is made, the fault is armed, the database is used, and what it answers is judged; then the disk is well again, and what is
 * found is judged, too.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import type { FaultRule, Strike } from "../../src/layers/disk/FaultRule.ts"
import { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { Disk } from "../../src/services/Disk.ts"
import { directory, openOn } from "./openEngine.ts"
import { withSimulatedClock } from "./simulatedClock.ts"

type State = ReadonlyMap<string, string>

/** What was written, in order; what an unknown outcome leaves open is in it, too. */
export class Written {
  readonly commits: Array<{ readonly puts: State; readonly told: boolean; readonly refused: boolean }> = []

  states(): Array<State> {
    const states: Array<State> = [new Map()]
    for (const { puts } of this.commits) states.push(new Map([...states.at(-1)!, ...puts]))
    return states
  }

  /** The states that may be found: through the last acknowledged commit, and any number of those whose outcome is unknown. */
  allowed(prefixes: boolean): ReadonlyArray<State> {
    const kept = new Written()
    for (const commit of this.commits) if (!commit.refused) kept.commits.push(commit)
    const least = prefixes ? 0 : kept.commits.findLastIndex(({ told }) => told) + 1
    return kept.states().slice(least)
  }
}

const sameState = (a: State, b: State): boolean => a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)

const digest = (value: Uint8Array): string => Buffer.from(value).toString("latin1")

export interface Case {
  readonly rules: ReadonlyArray<FaultRule>
  /** Whether the database was closed, or its process killed, before the moment. */
  readonly left: "closed" | "killed"
  readonly moment: "open" | "running"
  /** What the first use ends with. */
  readonly ends: "closed" | "killed" | "power cut"
  /** What is done while the fault strikes. By default also writes, flushes and a compaction. */
  readonly use?: "reads"
}

export interface Outcome {
  readonly strikes: ReadonlyArray<Strike>
  /** Tags of errors during the fault, and of the first after it. */
  readonly during: ReadonlyArray<string>
  readonly after: "right" | "prefix" | "refused"
  /** What must never be. */
  readonly complaints: ReadonlyArray<string>
}

const settings = { cacheBytes: 0, memtableBytes: 65_536, walSegmentBytes: 65_536 } as const

const valueOf = (mark: string, length: number): Uint8Array => new TextEncoder().encode(mark.padEnd(length, `${mark},`))

/** What is there before the fault: tables on several levels, value files, and a log with transactions in it. */
const fill = (db: DatabaseShape, written: Written): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 12; i++) yield* write(db, written, `r${round}.${i}`)
      if (round < 3) yield* db.flush
      if (round === 1) yield* db.compact()
    }
  })

/** One transaction: a key of its own, one that is shared, and sometimes a value that goes into a value file. */
const write = (db: DatabaseShape, written: Written, mark: string): Effect.Effect<string> => {
  const puts = new Map([
    [`k${mark}`, valueOf(mark, 40)],
    [`s${mark.at(-1)}`, valueOf(mark, 300)],
    [`v${mark}`, valueOf(mark, mark.endsWith("0") || mark.endsWith("5") ? 1500 : 10)]
  ])
  return Effect.map(Effect.exit(db.write([...puts].map(([key, value]) => ({ type: "put" as const, key, value })))), (exit) => {
    const outcome = outcomeOf(exit)
    written.commits.push({
      puts: new Map([...puts].map(([key, value]) => [key, digest(value)])),
      told: Exit.isSuccess(exit),
      refused: Exit.isFailure(exit) && outcome.tag !== "CommitOutcomeUnknown"
    })
    return outcome.tag
  })
}

interface Told {
  readonly tag: string
  /** The file the error names, where it has one. */
  readonly file: string | undefined
  readonly message: string
}

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Told => {
  if (Exit.isSuccess(exit)) return { tag: "ok", file: undefined, message: "" }
  const error = Cause.squash(exit.cause)
  const message = error instanceof Error ? error.message : String(error)
  const typed = Cause.findErrorOption(exit.cause)._tag === "Some"
  if (!typed || typeof error !== "object" || error === null || !("_tag" in error))
    return { tag: "Defect", file: undefined, message: Cause.pretty(exit.cause) }
  const file = "file" in error ? error.file : "path" in error ? error.path : undefined
  return { tag: String(error._tag), file: typeof file === "string" ? file : undefined, message }
}

/** Everything three times: forward, backward, and key by key. Undefined where a read failed. */
const readState = (db: DatabaseShape, keys: Iterable<string>, heard: (told: Told) => void, complaints: Array<string>) =>
  Effect.gen(function* () {
    const scans: Array<State> = []
    for (const reverse of [false, true]) {
      const scanned = yield* Effect.exit(Stream.runCollect(db.scan({ reverse })))
      if (Exit.isFailure(scanned)) heard(outcomeOf(scanned))
      else scans.push(new Map(scanned.value.map(({ key, value }) => [Buffer.from(key).toString(), digest(value)])))
    }
    if (scans.length === 2 && !sameState(scans[0]!, scans[1]!)) complaints.push("forward and backward differ")
    const points = new Map<string, string>()
    let failed = 0
    for (const key of keys) {
      const got = yield* Effect.exit(db.get(key))
      if (Exit.isFailure(got)) {
        failed++
        heard(outcomeOf(got))
      } else if (got.value !== undefined) points.set(key, digest(got.value))
    }
    return { scans, points, failed }
  })

export const runCase = (it: Case): Promise<Outcome> =>
  Effect.runPromise(
    withSimulatedClock(
      Effect.gen(function* () {
        let simulated = new SimulatedDisk()
        const strikes: Array<Strike> = []
        const written = new Written()
        const complaints: Array<string> = []
        const during: Array<string> = []
        const make = (rules: ReadonlyArray<FaultRule>) => {
          const inner = DiskSimulated.make(simulated)
          const faulty = new FaultyDisk(inner.sync, rules, (strike) => strikes.push(strike))
          return { faulty, layer: Layer.succeed(Disk, DiskFaulty.make(inner, faulty)) }
        }
        // A rule that never strikes: what stale reads return is remembered from the beginning.
        const { faulty, layer } = make([{ match: { path: /^never$/ }, fault: { staleRead: true } }])
        const arm = () => {
          for (const rule of it.rules) faulty.add(rule)
        }
        const files = () => new Set(strikes.flatMap(({ call, rule }) => [call.path, ...targetsOf(rule, call.path)]))
        const heard = (told: Told): void => {
          if (told.tag === "ok") return
          during.push(told.tag)
          if (told.tag === "Defect") complaints.push(`a defect: ${told.message}`)
          // What an older manifest names is not there any more: it cannot be told from a file that is missing.
          const older = told.message.includes("Missing") && it.rules.some(({ fault }) => "staleRead" in fault)
          if (told.file !== undefined && !older && ![...files()].some((file) => sameFile(file, told.file!))) {
            complaints.push(`${told.tag} names ${told.file}, and what was struck is ${[...files()].join()}: ${told.message}`)
          }
        }

        const using = (db: DatabaseShape) =>
          Effect.gen(function* () {
            const read = yield* readState(db, keysOf(written), heard, complaints)
            judge(read, written, false, complaints, "during the fault")
            const mark = `x${it.moment}`
            if (it.use === "reads") return end()
            for (let i = 0; i < 6; i++) during.push(yield* write(db, written, `${mark}.${i}`))
            heard(outcomeOf(yield* Effect.exit(db.flush)))
            for (let i = 6; i < 12; i++) during.push(yield* write(db, written, `${mark}.${i}`))
            heard(outcomeOf(yield* Effect.exit(db.flush)))
            heard(outcomeOf(yield* Effect.exit(db.compact())))
            const again = yield* readState(db, keysOf(written), heard, complaints)
            judge(again, written, false, complaints, "after maintenance")
            end()
          })
        const end = (): void => {
          if (it.ends !== "closed") simulated = simulated.crash(seededPrng(5), { mode: it.ends === "killed" ? "all" : "worst" })
        }

        const first = Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openOn(layer, directory, settings)
            yield* Effect.orDie(fill(db, written))
            if (it.moment === "running") {
              arm()
              yield* using(db)
            } else if (it.left === "killed") simulated = simulated.crash(seededPrng(5), { mode: "all" })
          })
        )
        yield* it.moment === "open" ? first : Effect.exit(first)
        if (it.moment === "open") {
          // Once more, so that there is an older CURRENT to read.
          if (it.left === "closed") yield* Effect.scoped(openOn(layer, directory, settings))
          // The same faulty disk goes on where it is what remembers earlier bytes; a killed process leaves another disk.
          const next = it.left === "closed" ? { faulty, layer } : make(it.rules)
          if (it.left === "closed") arm()
          const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(openOn(next.layer, directory, settings), using)))
          heard(outcomeOf(exit))
        }

        const lied = it.rules.some(lies)
        const opened = yield* Effect.exit(
          Effect.scoped(
            Effect.gen(function* () {
              const db = yield* openOn(DiskSimulated.layer(simulated), directory, settings)
              const failures: Array<Told> = []
              const read = yield* readState(db, keysOf(written), (told) => failures.push(told), complaints)
              const verified = outcomeOf(yield* Effect.exit(db.verify))
              if (verified.tag !== "ok") failures.push(verified)
              return { read, failures }
            })
          )
        )
        const refused = Exit.isFailure(opened) ? [outcomeOf(opened)] : opened.value.failures
        for (const told of refused) {
          if (!lied) complaints.push(`the disk is well, and never lied, and still: ${told.tag} ${told.message}`)
          else if (told.tag !== "CorruptFile") complaints.push(`damage is answered with ${told.tag}: ${told.message}`)
        }
        const lost = lied && it.ends !== "closed"
        let after: Outcome["after"] = refused.length > 0 ? "refused" : "right"
        if (Exit.isSuccess(opened)) {
          const found: Array<string> = []
          judge(opened.value.read, written, false, found, "afterwards")
          if (found.length > 0) {
            after = "prefix"
            if (lost) judge(opened.value.read, written, true, complaints, "afterwards")
            else complaints.push(...found)
          }
        }
        return { strikes, during: [...new Set(during)].filter((tag) => tag !== "ok"), after, complaints: [...new Set(complaints)] }
      })
    )
  )

const keysOf = (written: Written): Iterable<string> => new Set(written.commits.flatMap(({ puts }) => [...puts.keys()]))

const judge = (
  { failed, points, scans }: { readonly scans: ReadonlyArray<State>; readonly points: State; readonly failed: number },
  written: Written,
  prefixes: boolean,
  complaints: Array<string>,
  when: string
): void => {
  const allowed = written.allowed(prefixes)
  for (const scan of scans)
    if (!allowed.some((state) => sameState(state, scan))) complaints.push(`${when} a scan is wrong: ${differences(scan, allowed.at(-1)!)}`)
  const right = allowed.some((state) => (failed === 0 ? sameState(state, points) : [...points].every(([key, value]) => state.get(key) === value)))
  if (!right) complaints.push(`${when} a get is wrong: ${differences(points, allowed.at(-1)!)}`)
}

const differences = (found: State, expected: State): string => {
  const missing = [...expected.keys()].filter((key) => !found.has(key))
  const other = [...found].filter(([key, value]) => expected.get(key) !== value).map(([key]) => key)
  return `missing ${missing.slice(0, 5).join()} (${missing.length}), different ${other.slice(0, 5).join()} (${other.length})`
}

const targetsOf = ({ fault }: FaultRule, path: string): ReadonlyArray<string> => {
  if (!("misdirected" in fault) || fault.misdirected.path === undefined) return []
  return [typeof fault.misdirected.path === "string" ? fault.misdirected.path : fault.misdirected.path(path)]
}

/** `CURRENT.tmp` becomes `CURRENT`; a failure to make a file may name the directory. */
const sameFile = (struck: string, named: string): boolean => struck.replace(/\.tmp$/, "") === named.replace(/\.tmp$/, "") || named === directory

/** Whether the disk said it had done what it had not, so that damage may be found later. */
const lies = ({ fault }: FaultRule): boolean => "lieOnWrite" in fault || "shortWrite" in fault || "bitFlipOnWrite" in fault || "misdirected" in fault
