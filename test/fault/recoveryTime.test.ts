/**
 * Recovery takes at most a second per 100 MB of log. The guard here is generous and the log small: what is kept in tables is nothing, so that all of the log is replayed. By hand, with the real
 * amount: `LIGHTNING_RECOVERY_MEGABYTES=200 npx vitest run test/fault/recoveryTime.test.ts`.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { openLayer } from "../support/openLayer.ts"
import { valueOf } from "../support/workload.ts"

const megabytes = Number(process.env["LIGHTNING_RECOVERY_MEGABYTES"] ?? "16")
/** Four times what is promised: other processes have the processor, too. */
const guardMsPerMegabyte = 40

const root = fs.mkdtempSync(path.join(os.tmpdir(), "lightning-recovery-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))

describe("recovery", () => {
  it.each([
    ["small entries", 100],
    ["large entries", 4000]
  ])(
    "of a log of %s in the time that is promised",
    async (name, valueBytes) => {
      const directory = path.join(root, name)
      const layer = (at: string) =>
        LightningDb.layer({ path: at, compactionWorkers: 0, memtableBytes: 1 << 29, writeBufferCount: 2, walSegmentBytes: 1 << 30 })
      const value = valueOf(3, valueBytes)
      const count = Math.floor((megabytes * 1e6) / (valueBytes + 30))
      await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* openLayer(layer(directory))
            for (let at = 0; at < count; at += 100)
              yield* db.write(
                Array.from({ length: 100 }, (_, i) => ({ type: "put", key: `user/${(at + i) * 7919}`, value }) as const),
                { durability: "buffered" }
              )
            // As a kill leaves it.
            fs.cpSync(directory, `${directory}-killed`, { recursive: true, filter: (file) => !path.basename(file).startsWith("LOCK") })
          })
        )
      )
      const { recovery } = await Effect.runPromise(Effect.scoped(Effect.flatMap(openLayer(layer(`${directory}-killed`)), (db) => db.stats)))
      const read = recovery.replayedBytes / 1e6
      console.log(
        `recovery of ${read.toFixed(1)} MB of log (${name}, ${recovery.replayedTransactions} transactions): ${recovery.durationMs.toFixed(0)} ms, ${((recovery.durationMs / read) * 100).toFixed(0)} ms per 100 MB`
      )
      expect(read).toBeGreaterThan(megabytes * 0.8)
      expect(recovery.durationMs).toBeLessThan(guardMsPerMegabyte * read)
      fs.rmSync(directory, { recursive: true })
      fs.rmSync(`${directory}-killed`, { recursive: true })
    },
    240_000
  )
})
