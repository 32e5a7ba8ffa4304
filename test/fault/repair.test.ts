/** Damage of every kind: what a salvage shows is right or told, and a repair keeps exactly that. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { describe, expect, it } from "vitest"
import { seededPrng, drawInt } from "../../src/layers/disk/Prng.ts"
import { directory } from "../support/openEngine.ts"
import {
  copyOf,
  damageOnce,
  everWritten,
  judgeContents,
  judgePoints,
  openAt,
  openSalvaged,
  recordedDatabase,
  repairOn,
  run,
  scanAll
} from "../support/repairRun.ts"

/** More rounds by hand: REPAIR_ROUNDS=2000. */
const rounds = Number(process.env["REPAIR_ROUNDS"] ?? 40)
const firstSeed = Number(process.env["REPAIR_SEED"] ?? 1)

describe("repair", () => {
  it(
    "random damage: a salvage shows nothing wrong that it does not tell, and a repair opens, verifies and holds the same",
    { timeout: 3_600_000 },
    async () => {
      const counts = { salvaged: 0, nothing: 0, exact: 0, doubted: 0, refused: 0, losses: 0, healthy: 0, kinds: new Map<string, number>() }
      const databases = await Promise.all(
        [11, 12, 13].map((seed) => recordedDatabase(seed, {}, seed === 12 ? { retention: { log: "unlimited" } } : {}))
      )
      const written = databases.map(({ oracle }) => everWritten(oracle))
      for (let seed = firstSeed; seed < firstSeed + rounds; seed++) {
        const which = seed % databases.length
        const { disk, oracle } = databases[which]!
        const ever = written[which]!
        const prng = seededPrng(seed)
        const spoiled = copyOf(disk)
        const damages = Array.from({ length: 1 + drawInt(prng, 3) }, () => damageOnce(spoiled, prng))
        const told = `seed ${seed}: ${damages.join(", ")}`
        try {
          const before = spoiled.hash()
          const salvaged = await run(
            Effect.gen(function* () {
              const opened = yield* Effect.exit(openSalvaged(spoiled))
              if (Exit.isFailure(opened)) {
                const error = Cause.squash(opened.cause)
                if (error instanceof Error && "_tag" in error && error._tag === "NotADatabase") return undefined
                throw error
              }
              const db = opened.value
              const report = db.salvage!
              const found = yield* scanAll(db, oracle)
              const judged = judgeContents(found, report, oracle, ever)
              counts.exact += judged.exact
              counts.doubted += judged.doubted
              counts.refused += yield* judgePoints(db, oracle, ever)
              counts.losses += report.losses.length
              for (const { kind } of report.losses) counts.kinds.set(kind, (counts.kinds.get(kind) ?? 0) + 1)
              return { found, report }
            })
          )
          expect(spoiled.hash(), "a salvage writes nothing").toBe(before)
          if (salvaged === undefined) {
            counts.nothing++
            continue
          }
          counts.salvaged++
          const inPlace = seed % 2 === 0
          const path = inPlace ? directory : "/fixed"
          const repaired = await run(repairOn(spoiled, inPlace ? { backup: "/backup" } : { into: "/fixed" }))
          if (salvaged.report.healthy) {
            expect(repaired.outcome).toBe("healthy")
            counts.healthy++
            continue
          }
          expect(repaired.outcome).toBe("repaired")
          expect(repaired.losses).toEqual(salvaged.report.losses)
          const again = await run(repairOn(spoiled, { path, into: "/again" }))
          expect(again.outcome, "a repair of what was repaired finds nothing to do").toBe("healthy")
          await run(
            Effect.gen(function* () {
              const db = yield* openAt(spoiled, path)
              yield* db.verify
              expect(yield* scanAll(db, oracle)).toEqual(salvaged.found)
              yield* db.compact()
              expect(yield* scanAll(db, oracle)).toEqual(salvaged.found)
              yield* db.put("after the repair", "yes")
            })
          )
        } catch (cause) {
          throw new Error(`${told}: ${String(cause instanceof Error ? cause.stack : cause)}`, { cause })
        }
      }
      console.log(
        `repair: ${counts.salvaged} of ${rounds} salvaged (${counts.healthy} sound, ${counts.nothing} with nothing left), ${counts.losses} losses ` +
          `(${[...counts.kinds].map(([kind, n]) => `${kind} ${n}`).join(", ")}), keys exact ${counts.exact}, within losses ${counts.doubted}, point reads refused ${counts.refused}`
      )
      expect(counts.salvaged).toBeGreaterThan(rounds / 2)
      expect(counts.exact).toBeGreaterThan(rounds)
    }
  )
})
