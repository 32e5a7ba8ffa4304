/**
 * What can be asked of a database, each question by itself, and what was answered: the items that came, and the error that ended them. A sound database gives the baseline; of a damaged one
 * each answer has to be the same, or end with an error that names the damage, and then only where the question needs what is damaged.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { fromFailure } from "../../../src/domain/errors.ts"
import type { DatabaseShape, Entry, Operations } from "../../../src/services/Database.ts"
import type { Block } from "./blockMap.ts"

/** Hands each item to `note`; what ends the answer early is its failure. */
export interface Fact {
  readonly name: string
  readonly ask: (db: DatabaseShape, note: (item: string) => void) => Effect.Effect<unknown, unknown>
}

export interface Answer {
  readonly items: ReadonlyArray<string>
  /** Undefined where it came to its end. */
  readonly error: unknown
}

export const hex = (bytes: Uint8Array | undefined): string => (bytes === undefined ? "-" : Buffer.from(bytes).toString("hex"))

const showEntry = ({ key, value }: Entry): string => `${hex(key)}=${hex(value)}`

export const answerOf = (db: DatabaseShape, fact: Fact): Effect.Effect<Answer> =>
  Effect.gen(function* () {
    const items: Array<string> = []
    const exit = yield* Effect.exit(fact.ask(db, (item) => items.push(item)))
    return { items, error: Exit.isSuccess(exit) ? undefined : Cause.squash(exit.cause) }
  })

/** Where the error says that the damage is. Throws where it is no error about a file. */
export const placeOf = (error: unknown): { readonly file: string; readonly offsetBytes: number } => {
  if (typeof error === "object" && error !== null && "_tag" in error && (error._tag === "CorruptFile" || error._tag === "Damage")) {
    const { file, offsetBytes } = error as unknown as { readonly file: string; readonly offsetBytes: number }
    return { file, offsetBytes }
  }
  throw new Error(`damage was answered with ${String(error)}`, { cause: error })
}

/** Demands that the error names the damaged block: its file, and an offset within it that is not behind the flipped byte. */
export const demandPlace = (error: unknown, block: Block, offset: number, where: string): void => {
  const place = placeOf(error)
  if (place.file === block.path && place.offsetBytes >= block.unitFrom && place.offsetBytes <= offset) return
  throw new Error(
    `${where}: byte ${offset} of ${block.path} (${block.section}, from ${block.unitFrom}) is damaged, and the error names ${place.file} at ${place.offsetBytes}`
  )
}

/** Demands that the answer is the baseline, or a beginning of it that ends with an error in the right place. Answers whether it was the whole of it. */
export const judge = (name: string, expected: Answer, found: Answer, block: Block, offset: number): boolean => {
  for (const [i, item] of found.items.entries()) {
    if (item !== expected.items[i])
      throw new Error(`${name}: a wrong answer, ${item} instead of ${expected.items[i]} (byte ${offset} of ${block.path}, ${block.section})`)
  }
  if (found.error === undefined) {
    if (found.items.length !== expected.items.length)
      throw new Error(`${name}: ends early and without an error (byte ${offset} of ${block.path}, ${block.section})`)
    return true
  }
  demandPlace(found.error, block, offset, name)
  return false
}

const collected = (stream: Stream.Stream<Entry, unknown>, note: (item: string) => void) =>
  Stream.runForEach(stream, (entry) => Effect.sync(() => note(showEntry(entry))))

/** Every way to read keys, of the default keyspace and of `orders`: `keys` with those that are not there. */
export const readingFacts = (keys: ReadonlyArray<string>): ReadonlyArray<Fact> => {
  const facts: Array<Fact> = []
  for (const name of [undefined, "orders"]) {
    const of = name ?? "default"
    const within = (db: DatabaseShape): Effect.Effect<Operations, unknown> => (name === undefined ? Effect.succeed(db) : db.keyspace(name))
    for (const key of keys)
      facts.push({
        name: `get ${of}/${key}`,
        ask: (db, note) => Effect.flatMap(within(db), (space) => Effect.map(space.get(key), (value) => note(hex(value))))
      })
    for (const reverse of [false, true]) {
      const way = reverse ? "backward" : "forward"
      facts.push({ name: `scan ${of} ${way}`, ask: (db, note) => Effect.flatMap(within(db), (space) => collected(space.scan({ reverse }), note)) })
      for (let i = 0; i + 8 < keys.length; i += 8) {
        const range = { gte: keys[i]!, lt: keys[i + 8]!, reverse }
        facts.push({
          name: `scan ${of} ${way} from ${range.gte} to ${range.lt}`,
          ask: (db, note) => Effect.flatMap(within(db), (space) => collected(space.scan(range), note))
        })
      }
    }
    facts.push({
      name: `getMany ${of}`,
      ask: (db, note) =>
        Effect.flatMap(within(db), (space) => Effect.map(space.getMany(keys), (values) => values.forEach((value) => note(hex(value)))))
    })
    facts.push({
      name: `has ${of}`,
      ask: (db, note) =>
        Effect.flatMap(within(db), (space) =>
          Effect.forEach([keys[0]!, "missing", keys.at(-1)!], (key) => Effect.map(space.has(key), (has) => note(String(has))))
        )
    })
  }
  facts.push({
    name: "iterate",
    ask: (db, note) =>
      Effect.try({
        try: () => {
          for (const [key, value] of db.unsafe.entries()) note(showEntry({ key, value }))
        },
        catch: fromFailure
      })
  })
  return facts
}

/** The past, where it is kept. */
export const historyFacts = (keys: ReadonlyArray<string>, moments: ReadonlyArray<number>): ReadonlyArray<Fact> => [
  ...keys.map((key) => ({
    name: `history ${key}`,
    ask: (db: DatabaseShape, note: (item: string) => void) =>
      Stream.runForEach(db.history(key), ({ sequence, type, value }) => Effect.sync(() => note(`${sequence} ${type} ${hex(value)}`)))
  })),
  ...moments.map((moment) => ({
    name: `at ${moment}`,
    ask: (db: DatabaseShape, note: (item: string) => void) => Effect.scoped(Effect.flatMap(db.at(moment), (past) => collected(past.scan(), note)))
  }))
]

/** The whole change feed. */
export const feedFact: Fact = {
  name: "changes",
  ask: (db, note) =>
    Stream.runForEach(db.changes({ from: 1, live: false }), ({ operations, sequence }) =>
      Effect.sync(() =>
        note(
          `${sequence} ${operations
            .map((operation) =>
              operation.type === "put"
                ? `put ${operation.keyspace}/${hex(operation.key)}=${hex(operation.value)}`
                : operation.type === "deleteRange"
                  ? `range ${operation.keyspace}/${hex(operation.gte)}..${hex(operation.lt)}`
                  : operation.type === "delete" || operation.type === "expire"
                    ? `${operation.type} ${operation.keyspace}/${hex(operation.key)}`
                    : `${operation.type} ${operation.keyspace}`
            )
            .join(", ")}`
        )
      )
    )
}

/** Whether every block is sound. */
export const verifyFact: Fact = { name: "verify", ask: (db) => db.verify }
