import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { decodeId, nameInRowKey, nextIdKey } from "../domain/keys/catalogRows.ts"
import { defaultKeyspace, firstNamedKeyspace, systemKeyspace } from "../domain/keys/kinds.ts"
import { compareBytes } from "../domain/keys/compareBytes.ts"
import { Slab } from "../domain/bytes/Slab.ts"
import { type FileError, fromFailure } from "../domain/errors.ts"
import { Damage } from "../domain/failures.ts"
import { Catalog } from "../services/Catalog.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"
import { Tables } from "../services/Tables.ts"
import { RangeReader } from "./reading/RangeReader.ts"
import type { View } from "./reading/View.ts"

/** A row of keyspace 0. */
export interface CatalogRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Builds the projection from the visible rows of keyspace 0. Throws `Damage` when a row is not one of ours. */
export const make = (directory: string, rows: Iterable<CatalogRow>): Catalog["Service"] => {
  const decoder = new TextDecoder()
  const byName = new Map<string, number>()
  const live = new Set<number>([systemKeyspace, defaultKeyspace])
  const dropped = new Map<number, number>()
  const nameById = new Map<number, string>()
  let next = firstNamedKeyspace
  for (const { key, value } of rows) {
    const id = decodeId(value)
    const name = nameInRowKey(key)
    if (id === undefined || (name === undefined && compareBytes(key, nextIdKey) !== 0)) {
      throw new Damage(directory, 0, "Malformed", "keyspace 0 holds a row that is not of the catalog")
    }
    if (name === undefined) next = id
    else {
      byName.set(decoder.decode(name), id)
      nameById.set(id, decoder.decode(name))
      live.add(id)
    }
  }
  // No reader can be older than this open: what was dropped before it needs no sequence.
  for (let id = firstNamedKeyspace; id < next; id++) if (!live.has(id)) dropped.set(id, 0)
  return {
    idOf: (name) => byName.get(name),
    exists: (id) => live.has(id),
    names: () => [...byName].map(([name, id]) => ({ name, id })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    nextId: () => next,
    nameOf: (id) => nameById.get(id),
    created: (name, id) => {
      byName.set(name, id)
      nameById.set(id, name)
      live.add(id)
      if (id >= next) next = id + 1
    },
    dropped: (name, id, sequence) => {
      byName.delete(name)
      live.delete(id)
      dropped.set(id, sequence)
    },
    // A failure takes back everything sequenced after it too, oldest first: an older keyspace of the name may be there again by now.
    creationFailed: (name, id) => {
      if (byName.get(name) === id) byName.delete(name)
      nameById.delete(id)
      live.delete(id)
    },
    dropFailed: (name, id) => {
      if (!nameById.has(id)) return
      byName.set(name, id)
      live.add(id)
      dropped.delete(id)
    },
    droppedIds: () => dropped
  }
}

/** The visible rows of keyspace 0 in a view, whose version is pinned. Throws `Damage`, `IoFailure`. */
export const readRows = (tables: Tables["Service"], view: View): ReadonlyArray<CatalogRow> => {
  const rows: Array<CatalogRow> = []
  const slab = new Slab()
  const reader = new RangeReader(tables, view, systemKeyspace, { lower: undefined, upper: undefined, reverse: false, limit: Infinity })
  while (reader.advance(true) === "entry") rows.push({ key: reader.key(slab), value: reader.value(slab) })
  return rows
}

const load = Effect.gen(function* () {
  const tables = yield* Tables
  const memtables = yield* Memtables
  const { directory, visibleSequence } = yield* Recovery
  return yield* Effect.try({
    try: () => make(directory, readRows(tables, { memtables: memtables.all(), version: tables.current(), sequence: visibleSequence, timeMs: 0 })),
    catch: fromFailure
  })
})

export const layer: Layer.Layer<Catalog, FileError, Tables | Memtables | Recovery> = Layer.effect(Catalog, load)
