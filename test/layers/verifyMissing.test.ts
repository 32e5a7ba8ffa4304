/** A file of the database that is not there is damage like any other: verification names it, and goes on where it was asked to. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { directory, openSimulated } from "../support/openEngine.ts"

describe("verification without a file", () => {
  for (const kind of ["table", "values"]) {
    for (const by of ["the writer", "a reader"]) {
      it.effect(`of the kind ${kind}, by ${by}`, () =>
        Effect.gen(function* () {
          const disk = new SimulatedDisk()
          const writer = yield* openSimulated(disk)
          for (const length of [100, 2000]) {
            for (let i = 0; i < 30; i++) yield* writer.put(`k${i}`, "v".repeat(length))
            yield* writer.flush
          }
          const db = by === "the writer" ? writer : yield* openSimulated(disk, { readOnly: true })
          const sound = yield* db.verifyAll()
          expect(sound.damaged).toEqual([])
          const name = disk.list(directory).find((one) => one.endsWith(`.${kind}`))!
          const path = `${directory}/${name}`
          disk.remove(path)
          const { damaged, tables, valueFiles } = yield* db.verifyAll()
          expect(damaged).toMatchObject([{ _tag: "CorruptFile", file: path }])
          expect(tables + valueFiles).toBe(sound.tables + sound.valueFiles - 1)
          if (by === "the writer") expect(yield* Effect.flip(db.verify)).toMatchObject({ _tag: "CorruptFile", file: path })
        })
      )
    }
  }
})
