/** A database whose pieces contradict one another, each with right sums: what a fault of the engine would leave, and no disk. Verification finds it, in the file that is concerned. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { encodeManifest } from "../../src/domain/manifest/manifestFile.ts"
import { fileName } from "../../src/domain/manifest/fileNames.ts"
import type { ManifestState } from "../../src/domain/manifest/ManifestState.ts"
import type { TableMeta } from "../../src/domain/manifest/TableMeta.ts"
import { crc32 } from "../../src/layers/crc32.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { readCurrentManifest } from "../../src/layers/recovery/readState.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { directory } from "../support/openEngine.ts"
import { using } from "../support/restorePointDatabase.ts"

const settings = { compression: "none" as const, level0CompactTrigger: 100, level0SlowTrigger: 200, level0StopTrigger: 300 }

const made = (finish: (db: DatabaseShape) => Effect.Effect<unknown, unknown> = () => Effect.void) =>
  Effect.gen(function* () {
    const disk = new SimulatedDisk()
    yield* using(
      disk,
      (db) =>
        Effect.gen(function* () {
          for (let round = 0; round < 3; round++) {
            for (let i = 0; i < 60; i++)
              yield* db.put(`k${round}${String(i).padStart(4, "0")}`, `${round}`.repeat(i % 4 === 0 ? 1500 : 700), { durability: "buffered" })
            yield* db.flush
          }
          yield* finish(db)
        }),
      settings
    )
    return disk
  })

/** Writes another manifest in place of the current one, as whole as that. */
const rewrite = (disk: SimulatedDisk, change: (state: ManifestState) => ManifestState): void => {
  const { fileId, state } = readCurrentManifest(disk, directory, "read")!
  const path = `${directory}/${fileName("manifest", fileId)}`
  disk.remove(path)
  const handle = disk.open(path, "create")
  handle.writev([encodeManifest(crc32, fileId, change(state)).bytes], 0)
  handle.datasync()
  handle.close()
  disk.syncDirectory(directory)
}

/** Changes the record of the first table that is chosen. */
const withTable =
  (change: (table: TableMeta) => Partial<TableMeta>, chosen: (table: TableMeta) => boolean = () => true) =>
  (state: ManifestState): ManifestState => {
    const [id, table] = [...state.tables].find(([, one]) => chosen(one))!
    return { ...state, tables: new Map(state.tables).set(id, { ...table, ...change(table) }) }
  }

const verified = (disk: SimulatedDisk, readOnly: boolean) =>
  using(disk, (db) => Effect.all([Effect.flip(db.verify), db.verifyAll()]), { ...settings, readOnly })

const hasValues = (table: TableMeta) => table.valueRefs.length > 0

const cases: {
  readonly [what: string]: { readonly change: (state: ManifestState) => ManifestState; readonly kind: string; readonly compacted?: true }
} = {
  "fewer entries than the table has": { change: withTable(({ entryCount }) => ({ entryCount: entryCount - 1 })), kind: "table" },
  "deletes that the table has not": { change: withTable(() => ({ deleteCount: 1 })), kind: "table" },
  "a lower sequence": { change: withTable(({ smallestSequence }) => ({ smallestSequence: smallestSequence - 1 })), kind: "table" },
  "a smaller key": { change: withTable(({ smallest }) => ({ smallest: { ...smallest, key: new Uint8Array([1]) } })), kind: "table" },
  "a larger key": { change: withTable(({ largest }) => ({ largest: { ...largest, key: new Uint8Array([0xff]) } })), kind: "table" },
  "fewer bytes of a value file": {
    change: withTable(({ valueRefs }) => ({ valueRefs: valueRefs.map((ref) => ({ ...ref, bytes: ref.bytes - 1 })) }), hasValues),
    kind: "table"
  },
  "no value file at all": { change: withTable(() => ({ valueRefs: [] }), hasValues), kind: "table" },
  "another number of bytes of values": {
    change: (state) => {
      const [file] = state.valueFiles.values()
      return { ...state, valueFiles: new Map(state.valueFiles).set(file!.fileId, { ...file!, valueBytes: file!.valueBytes + 1 }) }
    },
    kind: "values"
  },
  "another seed of hashes": { change: (state) => ({ ...state, hashSeed: (state.hashSeed ^ 1) >>> 0 }), kind: "table" },
  "sequences that are not in tables yet": {
    change: (state) => ({ ...state, flushedThrough: { ...state.flushedThrough, sequence: state.flushedThrough.sequence - 1 } }),
    kind: "manifest"
  },
  "history that begins beyond all sequences": {
    change: (state) => ({ ...state, historyFrom: new Map([[1, state.sequencesThrough + 2 ** 40]]) }),
    kind: "manifest"
  },
  "tables of one level that overlap": {
    change: (state) => ({
      ...state,
      tables: new Map(
        Array.from(state.tables, ([id, table]) => [
          id,
          { ...table, level: 1, smallest: { keyspace: 1, key: new Uint8Array([1]) }, largest: { keyspace: 1, key: new Uint8Array([0xff]) } }
        ])
      )
    }),
    kind: "manifest"
  },
  "whole history, where sequences were given up": { change: (state) => ({ ...state, historyFrom: new Map() }), kind: "table", compacted: true }
}

describe("verify", () => {
  for (const [what, { change, compacted, kind }] of Object.entries(cases)) {
    it.effect(`finds a manifest that says: ${what}`, () =>
      Effect.gen(function* () {
        const disk = yield* made(compacted === true ? (db) => db.compact() : undefined)
        rewrite(disk, change)
        for (const readOnly of [true, false]) {
          const [failure, report] = yield* verified(disk, readOnly)
          expect(failure).toMatchObject({
            _tag: "CorruptFile",
            reason: what.includes("given up") ? "Malformed" : "Unexpected",
            file: expect.stringMatching(new RegExp(String.raw`\.${kind}$`))
          })
          expect(report.damaged.length).toBeGreaterThan(0)
        }
      })
    )
  }

  it.effect("finds two value files that have changed places, or two tables", () =>
    Effect.gen(function* () {
      for (const kind of ["values", "table"]) {
        const disk = yield* made()
        const [a, b] = disk
          .list(directory)
          .filter((name) => name.endsWith(`.${kind}`))
          .sort()
        disk.rename(`${directory}/${a}`, "/aside")
        disk.rename(`${directory}/${b}`, `${directory}/${a}`)
        disk.rename("/aside", `${directory}/${b}`)
        const opened = yield* Effect.result(using(disk, (db) => db.verifyAll(), { ...settings, readOnly: true }))
        if (opened._tag === "Success") expect(opened.success.damaged.length).toBeGreaterThanOrEqual(2)
        else expect(opened.failure).toMatchObject({ _tag: "CorruptFile" })
      }
    })
  )

  it.effect("finds nothing of it in a database that is sound", () =>
    Effect.gen(function* () {
      const disk = yield* made((db) => db.compact())
      for (const readOnly of [true, false]) yield* using(disk, (db) => db.verify, { ...settings, readOnly })
    })
  )
})
