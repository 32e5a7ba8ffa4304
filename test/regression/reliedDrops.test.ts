/** A drop that only the log holds, once files were removed for it: a log that ends before it is damaged, and never a keyspace that is there again, and empty. */
import * as Effect from "effect/Effect"
import { expect, it } from "vitest"
import { parseFileName } from "../../src/domain/manifest/fileNames.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { recoverDisk } from "../support/crashSweep.ts"
import { flip } from "../support/damage/flipping.ts"
import { directory, openSimulated } from "../support/openEngine.ts"
import { withSimulatedClock } from "../support/simulatedClock.ts"

const named = (disk: SimulatedDisk, kind: string) => disk.list(directory).filter((name) => parseFileName(name)?.kind === kind)

it("a flipped bit in the last group, the drop of a keyspace whose tables are gone, is damage", () =>
  Effect.runPromise(
    withSimulatedClock(
      Effect.scoped(
        Effect.gen(function* () {
          const disk = new SimulatedDisk()
          const db = yield* openSimulated(disk)
          const orders = yield* db.keyspace("orders")
          yield* orders.put("a", new Uint8Array(2000))
          yield* db.flush
          yield* db.compact()
          const before = named(disk, "table").length
          yield* db.dropKeyspace("orders")
          for (let turn = 0; turn < 1000 && named(disk, "table").length === before; turn++) yield* Effect.yieldNow
          expect(named(disk, "table").length).toBeLessThan(before)

          const killed = disk.crashState(seededPrng(1), { mode: "all" })
          expect(() => recoverDisk(killed.crashState(seededPrng(1), { mode: "all" }), 1, 65_536)).not.toThrow()
          // The last byte of the log that is no padding lies in the group of the drop.
          const log = `${directory}/${named(killed, "log")
            .toSorted()
            .findLast((name) => lastByte(killed, `${directory}/${name}`) > 4096)!}`
          flip(killed, log, lastByte(killed, log), 0)
          expect(() => recoverDisk(killed, 1, 65_536)).toThrow(/damaged/)
        })
      )
    )
  ))

const lastByte = (disk: SimulatedDisk, path: string): number => {
  const handle = disk.open(path, "read")
  const bytes = new Uint8Array(handle.sizeBytes())
  handle.readAt(bytes, 0)
  handle.close()
  return bytes.findLastIndex((byte) => byte !== 0)
}
