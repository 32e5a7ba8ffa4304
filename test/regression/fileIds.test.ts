/** What a file id has named it names for ever: a reader knows a table it holds by its id alone, also when the writer was started again and the file is long gone. */
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import { parseFileName } from "../../src/domain/manifest/fileNames.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const idsOf = (disk: SimulatedDisk, kind: string) =>
  disk.list(directory).flatMap((name) => {
    const parsed = parseFileName(name)
    return parsed?.kind === kind ? [parsed.id] : []
  })

it("a reader that stayed open over a restart of its writer never takes a new table for one it held", () =>
  Effect.runPromise(
    withSimulatedClock(
      Effect.scoped(
        Effect.gen(function* () {
          const disk = new SimulatedDisk()
          yield* Effect.scoped(openSimulated(disk))
          const reader = yield* openSimulated(disk, { readOnly: true })
          const seen = new Set<number>()
          // Each life begins some ids later than the one before: it takes a while until a new table could have the id of the one that the reader holds.
          for (let life = 1; life <= 24; life++) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const db = yield* openSimulated(disk)
                for (let round = 0; round < 3; round++) {
                  yield* db.write(
                    Array.from({ length: 20 }, (_, i) => ({ type: "put" as const, key: `key/${i}`, value: `life ${life}, round ${round}` }))
                  )
                  yield* db.flush
                  yield* db.compact()
                  if (life === 1 || (life > 18 && round > 0)) {
                    yield* reader.refresh
                    for (let i = 0; i < 20; i++) expect(yield* reader.getText(`key/${i}`)).toBe(`life ${life}, round ${round}`)
                  }
                  const named = idsOf(disk, "table")
                  expect(named.length).toBeGreaterThan(0)
                  expect(named.filter((id) => seen.has(id))).toEqual([])
                  for (const id of named) seen.add(id)
                }
                // All of it goes, so that nothing in the directory remembers which ids there were.
                yield* db.write([{ type: "deleteRange", prefix: "key/" }])
                yield* db.flush
                yield* db.compact()
                expect(idsOf(disk, "table")).toEqual([])
              })
            )
          }
        })
      )
    )
  ))
