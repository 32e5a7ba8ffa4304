/** Scripts that once failed, as the model test shrank them. Each says what was wrong. */
import * as Effect from "effect/Effect"
import { describe, it } from "vitest"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { type ModelScript, runModel } from "../support/modelRun.ts"

const agrees = (what: string, script: ModelScript): void => {
  it(what, () => Effect.runPromise(runModel(script, DiskSimulated.layer(new SimulatedDisk()))))
}

describe("regression", () => {
  agrees(
    "a replayed transaction larger than a memtable does not leave an empty memtable behind, whose flush would take the flushed sequence back to nothing",
    [
      { op: "write", writes: [{ delete: "00", space: 0 }], buffered: false },
      { op: "fill", from: 0, count: 22, bytes: 3000, space: 0 },
      { op: "reopen" },
      { op: "flush" }
    ]
  )
  agrees("a flush that keeps nothing of a keyspace but a range tombstone writes one table for it, not one for each key", [
    { op: "fill", from: 0, count: 90, bytes: 63, space: 0 },
    {
      op: "write",
      writes: [
        { put: "62", bytes: 0, space: 0 },
        { put: "ffff", bytes: 0, space: 0 }
      ],
      buffered: false
    },
    { op: "write", writes: [{ from: "00", to: "663939", space: 0 }], buffered: false },
    { op: "flush" }
  ])
})
