/** Under faults of the disk each public method ends well, or with an error that its type lists: with none that it does not, and with no defect. */
import { describe, expect, it } from "vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { severityOf } from "../../src/domain/errors.ts"
import * as DiskFaulty from "../../src/layers/disk/DiskFaulty.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import type { FaultOperation } from "../../src/layers/disk/FaultRule.ts"
import type { FaultyDisk } from "../../src/layers/disk/FaultyDisk.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { methodTags } from "../support/methodErrors.ts"
import { directory, openOn } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const codes = ["EIO", "EMFILE", "EACCES", "ENOSPC"] as const
/** What fails, by the name of the row. */
const struck: ReadonlyArray<readonly [string, ReadonlyArray<FaultOperation>]> = [
  ["reading", ["readAt", "read", "open"]],
  ["writing", ["writev", "truncate", "rename", "makeDirectory"]],
  ["syncing", ["datasync", "syncDirectory"]]
]

/** Neither can fail, and their types say so. */
type Infallible = "health" | "healthEvents" | "stats"
type Fallible = Exclude<keyof typeof methodTags, Infallible>

/** One call of each, which needs the disk where there is one that does. */
const calls: { readonly [Name in Fallible]: (db: DatabaseShape, mark: string) => Effect.Effect<unknown, unknown> } = {
  get: (db) => db.get("large3"),
  getText: (db) => db.getText("k3"),
  getMany: (db) => db.getMany(["k1", "large1", "absent"]),
  has: (db) => db.has("k7"),
  scan: (db) => Stream.runDrain(db.scan()),
  estimate: (db) => db.estimate({ gte: "k1", lt: "k9" }),
  put: (db, mark) => db.put(`put${mark}`, "v"),
  delete: (db) => db.delete("k5"),
  write: (db, mark) =>
    db.write([
      { type: "add", key: "number", value: 1 },
      { type: "put", key: `write${mark}`, value: "v" }
    ]),
  transaction: (db, mark) => db.transaction((tx) => Effect.andThen(Effect.ignore(tx.get("k2")), tx.put(`tx${mark}`, "v"))),
  begin: (db) => Effect.scoped(db.begin()),
  snapshot: (db) => Effect.scoped(db.snapshot),
  at: (db) => Effect.scoped(db.at(3)),
  history: (db) => Stream.runDrain(db.history("k1")),
  changes: (db) => Stream.runDrain(db.changes({ from: 1, live: false })),
  watch: (db) => Stream.runDrain(Stream.take(db.watch({ key: "large2" }), 1)),
  keyspace: (db, mark) => db.keyspace(`new-${mark}`),
  dropKeyspace: (db) => db.dropKeyspace("orders"),
  keyspaces: (db) => db.keyspaces,
  cursors: (db) => db.cursors,
  createCursor: (db, mark) => db.createCursor(`cursor-${mark}`),
  advanceCursor: (db) => db.advanceCursor("reader", 3),
  dropCursor: (db) => db.dropCursor("other"),
  refresh: (db) => db.refresh,
  flush: (db) => db.flush,
  compact: (db) => db.compact(),
  checkpoint: (db, mark) => db.checkpoint(`/checkpoint-${mark}`),
  scrub: (db) => db.scrub({ bytesPerSecond: 1 << 30 }),
  verify: (db) => db.verify,
  verifyAll: (db) => db.verifyAll(),
  createRestorePoint: (db) => db.createRestorePoint({ name: "second" }),
  restorePoints: (db) => db.restorePoints,
  verifyRestorePoint: (db) => db.verifyRestorePoint("first"),
  removeRestorePoint: (db) => db.removeRestorePoint("first")
}

const prepare = (db: DatabaseShape) =>
  Effect.gen(function* () {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 8; i++) yield* db.put(`k${i}`, `${round}`.repeat(50))
      for (let i = 0; i < 4; i++) yield* db.put(`large${i}`, `${round}`.repeat(2000))
      if (round < 2) yield* db.flush
    }
    yield* (yield* db.keyspace("orders")).put("o", "1")
    yield* db.createCursor("reader", 2)
    yield* db.createCursor("other", 2)
    yield* db.createRestorePoint({ name: "first" })
    yield* db.put("number", new Uint8Array(8))
  })

const waiting = "waits"
const turns = (count: number): Effect.Effect<void> => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })

const settings = { cacheBytes: 0, valueCacheBytes: 0, retention: { history: "1 hour", log: "1 hour" } } as const

/** A database with tables, value files, a log, cursors and a restore point, as a close has left it. */
const makePrepared = () =>
  Effect.runPromise(
    withSimulatedClock(
      Effect.gen(function* () {
        const disk = new SimulatedDisk()
        yield* Effect.scoped(Effect.flatMap(openOn(DiskSimulated.layer(disk), directory, settings), prepare))
        return disk
      })
    )
  )
let prepared: Promise<SimulatedDisk> | undefined

/** Each case in a database of its own: what one fault leaves behind must not be what the next call is refused for. */
const runCase = async (
  name: Fallible,
  code: string,
  operations: ReadonlyArray<FaultOperation>,
  readOnly: boolean
): Promise<Exit.Exit<unknown, unknown>> => {
  const disk = (await (prepared ??= makePrepared())).crashState(seededPrng(1))
  return Effect.runPromise(
    withSimulatedClock(
      Effect.scoped(
        Effect.gen(function* () {
          let faulty: FaultyDisk | undefined
          const layer = DiskFaulty.layerWith((made) => {
            faulty = made
          }).pipe(Layer.provide(DiskSimulated.layer(disk)))
          const db = yield* openOn(layer, directory, { ...settings, readOnly })
          for (const operation of operations) faulty!.add({ match: { operation }, fault: { code } })
          const exit = yield* Effect.raceFirst(Effect.exit(calls[name](db, "a")), Effect.as(turns(20_000), Exit.fail(waiting)))
          faulty!.clear()
          return exit
        })
      )
    )
  )
}

describe("under faults of the disk", () => {
  const isWrong = (name: Fallible, exit: Exit.Exit<unknown, unknown>): string | undefined => {
    if (Exit.isSuccess(exit)) return undefined
    const found = Cause.findErrorOption(exit.cause)
    if (found._tag === "None") return `a defect: ${Cause.pretty(exit.cause)}`
    const error = found.value
    if (error === waiting) return "it does not end"
    if (typeof error !== "object" || error === null || !("_tag" in error)) return `no error of the package: ${String(error)}`
    const tags: ReadonlyArray<string> = methodTags[name]
    return tags.includes(String(error._tag)) ? undefined : `${String(error._tag)}: ${"message" in error ? String(error.message) : ""}`
  }

  for (const [what, operations] of struck)
    it(`${what}: each method ends with what its type lists`, async () => {
      const wrong: Array<string> = []
      const seen = new Set<string>()
      for (const code of codes)
        for (const name of Object.keys(calls) as Array<Fallible>)
          for (const readOnly of [false, true]) {
            // Who only reads writes nothing but copies.
            if (readOnly && what !== "reading" && name !== "checkpoint" && name !== "createRestorePoint") continue
            const exit = await runCase(name, code, operations, readOnly)
            const complaint = isWrong(name, exit)
            if (complaint !== undefined) wrong.push(`${name} (${code}${readOnly ? ", read-only" : ""}): ${complaint}`)
            if (Exit.isFailure(exit)) {
              const error = Cause.squash(exit.cause)
              if (typeof error === "object" && error !== null && "_tag" in error) seen.add(String(error._tag))
            }
          }
      expect(wrong).toEqual([])
      // The faults were met, and told in more than one way.
      const expected = {
        reading: ["DiskError", "PermissionDenied"],
        writing: ["CommitOutcomeUnknown", "DiskError", "DiskFull", "PermissionDenied"],
        syncing: ["CommitOutcomeUnknown", "DiskError", "PermissionDenied"]
      }[what]!
      expect([...seen]).toEqual(expect.arrayContaining(expected))
    }, 60_000)

  it("errors of the system carry file, code and cause", async () => {
    for (const [code, tag] of [
      ["EIO", "DiskError"],
      ["EACCES", "PermissionDenied"]
    ] as const) {
      const exit = await runCase("get", code, ["readAt", "read"], false)
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      expect(error).toMatchObject({ _tag: tag, code, path: expect.stringContaining("/db/"), offsetBytes: expect.any(Number), cause: { code } })
    }
    const exit = await runCase("flush", "ENOSPC", ["writev"], false)
    const full = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    expect(full).toMatchObject({ _tag: "DiskFull", code: "ENOSPC", path: expect.stringContaining("/db/"), cause: { code: "ENOSPC" } })
    expect(severityOf(full as Parameters<typeof severityOf>[0])).toBe("recoverable")
  })
})
