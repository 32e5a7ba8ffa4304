/** What export writes, import reads: the same bytes in the same keyspaces, in every format and compression. */
import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { MapStore } from "../../support/mapDatabase.ts"
import { lightning } from "./inProcess.ts"

let directory: string
beforeAll(() => {
  directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lightning-round-")))
})
afterAll(() => fs.rmSync(directory, { recursive: true }))

const rowsOf = (store: MapStore, keyspace = "") =>
  (store.spaces.get(keyspace)?.rows ?? []).map(({ key, value }) => [key.toString("hex"), value.toString("hex")])

const text = fc
  .string({ unit: fc.constantFrom("a", "é", "😀", ",", "\t", '"', "\n", "\r", "\\", " ", "\u0000", "\ufeff"), maxLength: 6 })
  .map((s) => Buffer.from(s))
const bytes = fc.oneof({ weight: 5, arbitrary: text }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }).map((b) => Buffer.from(b)) })

describe("what was exported", () => {
  it.each(["jsonl", "csv", "tsv", "jsonl.gz", "csv.zst", "tsv.br"])("comes back from %s", async (extension) => {
    let n = 0
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(bytes, bytes), { maxLength: 12 }), async (entries) => {
        const store = new MapStore()
        for (const [key, value] of entries) if (key.length > 0) store.spaces.get("")!.put(key, value)
        const file = path.join(directory, `${n++}.${extension}`)
        const exported = await lightning(["export", file], { store })
        expect(exported).toMatchObject({ code: 0 })
        const imported = await lightning(["import", file, "--json"])
        expect(imported).toMatchObject({ code: 0, err: "" })
        expect(rowsOf(imported.store)).toEqual(rowsOf(store))
        expect(JSON.parse(imported.out).entries).toBe(rowsOf(store).length)
      }),
      { numRuns: 15 }
    )
  })
})
