import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SimulatedDisk } from "../../../src/layers/disk/SimulatedDisk.ts"
import { openSimulated } from "../openEngine.ts"
import { withSimulatedClock } from "../simulatedClock.ts"
import { type Answer, answerOf, type Fact } from "./facts.ts"
import { smallSettings } from "./smallDatabase.ts"

export interface Asked {
  /** Why it could not be opened. */
  readonly refused: unknown
  /** By the name of the question; empty where it was refused. */
  readonly answers: ReadonlyMap<string, Answer>
}

/** Opens the database of the disk and asks each question. */
export const askAll = async (disk: SimulatedDisk, facts: ReadonlyArray<Fact>, readOnly = false): Promise<Asked> => {
  const answers = new Map<string, Answer>()
  const exit = await Effect.runPromiseExit(
    withSimulatedClock(
      Effect.scoped(
        Effect.flatMap(openSimulated(disk, { ...smallSettings, readOnly }), (db) =>
          Effect.forEach(facts, (fact) => Effect.map(answerOf(db, fact), (answer) => answers.set(fact.name, answer)), { discard: true })
        )
      )
    )
  )
  if (Exit.isSuccess(exit)) return { refused: undefined, answers }
  if (answers.size > 0) throw Cause.squash(exit.cause)
  return { refused: Cause.squash(exit.cause), answers }
}

const knownTags = new Set(["CorruptFile", "UnsupportedFormat", "NotADatabase", "DiskError"])

/** The file or path that a typed error names; throws where it is another kind of error. */
export const fileOf = (error: unknown): string => {
  if (typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string" && knownTags.has(error._tag)) {
    if ("file" in error && typeof error.file === "string") return error.file
    if ("path" in error && typeof error.path === "string") return error.path
  }
  throw new Error(`answered with ${String(error)}`, { cause: error })
}

/**
 * Judges the answers of a maltreated database: each is the one of the sound database, or a beginning of it that ends with a typed error that names one of these files. Answers whether
 * anything was refused.
 */
export const judgeAsked = (what: string, sound: ReadonlyMap<string, Answer>, asked: Asked, files: (file: string) => boolean): boolean => {
  const demandFile = (error: unknown, where: string): true => {
    const file = fileOf(error)
    if (!files(file)) throw new Error(`${what}: ${where} names ${file}`, { cause: error })
    return true
  }
  if (asked.refused !== undefined) return demandFile(asked.refused, "the open")
  let refused = false
  for (const [name, found] of asked.answers) {
    const expected = sound.get(name)!
    found.items.forEach((item, i) => {
      if (item !== expected.items[i]) throw new Error(`${what}: ${name} gives a wrong answer: ${item} instead of ${expected.items[i]}`)
    })
    if (found.error !== undefined) refused = demandFile(found.error, name)
    else if (found.items.length !== expected.items.length) throw new Error(`${what}: ${name} ends early and without an error`)
  }
  return refused
}
