import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ScanRange } from "../../../src/services/Database.ts"
import type { Case, Run } from "../Case.ts"
import { keyBytes } from "../Inputs.ts"
import { expectEqual, validateEntries } from "../steps.ts"

const common = {
  durability: "buffered",
  keys: "random",
  valueBytes: 100,
  start: "loaded",
  writes: false,
  options: { valueCacheBytes: 0 },
  operations: (entries: number) => entries
} as const

/** Keys and values belong to the caller. Counts their bytes. */
const scanAll = ({ db }: Run, range: ScanRange) =>
  Effect.sync(() => {
    let bytes = 0
    for (const [key, value] of db.unsafe.entries(range)) bytes += key.length + value.length
    return bytes
  })

const scannedAll = (run: Run, counted: number) => {
  expectEqual("bytes of keys and values", counted, run.inputs.entries * (keyBytes + run.inputs.valueBytes))
  return validateEntries(run, () => 0)
}

export const scans: ReadonlyArray<Case> = [
  { ...common, name: "readseq", about: "entries of a full scan, synchronous", run: (run) => scanAll(run, {}), validate: scannedAll },
  {
    ...common,
    name: "readseq-effect",
    about: "entries of a full scan, as a Stream",
    run: ({ db }) => {
      let bytes = 0
      return Effect.map(
        Stream.runForEachArray(db.scan(), (entries) =>
          Effect.sync(() => {
            for (const { key, value } of entries) bytes += key.length + value.length
          })
        ),
        () => bytes
      )
    },
    validate: scannedAll
  },
  {
    ...common,
    name: "readreverse",
    about: "entries of a full scan from the end, synchronous",
    run: (run) => scanAll(run, { reverse: true }),
    validate: scannedAll
  }
]
