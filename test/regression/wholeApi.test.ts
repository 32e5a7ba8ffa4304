/** Scripts over the whole API that once failed, as the model test shrank them. Each says what was wrong. */
import * as Effect from "effect/Effect"
import { describe, it } from "vitest"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { runWhole } from "../support/wholeApiRun.ts"
import type { WholeScript } from "../support/wholeApiScript.ts"

const agrees = (what: string, script: WholeScript): void => {
  it(what, () => Effect.runPromise(runWhole(script, DiskSimulated.layer(new SimulatedDisk()))))
}

describe("regression, the whole API", () => {
  agrees("a value does not expire within a snapshot, in whichever keyspace and whenever that is asked for", [
    { op: "write", writes: [{ put: "1c", bytes: 0, ttl: 1 }, { xor: "0a" }] },
    { op: "snapshot" },
    { op: "wait", seconds: 1 }
  ])
  agrees("a value does not expire within a transaction that has not read anything yet", [
    { op: "write", writes: [{ put: "1c", bytes: 0, ttl: 4 }] },
    { op: "wait", seconds: 3 },
    { op: "begin", tx: 0, snapshot: false },
    { op: "wait", seconds: 1 },
    { op: "txGet", tx: 0, key: "1c", peek: false }
  ])
})
