import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { decodeId, decodeKeyspaceRow, keyspaceRows, type KeyspaceSettings, nameInRowKey, nextIdKey } from "../domain/keys/catalogRows.ts"
import { defaultKeyspace, expiryKeyspace, firstNamedKeyspace, systemKeyspace } from "../domain/keys/kinds.ts"
import { compareBytes } from "../domain/keys/compareBytes.ts"
import { type FileError, fromFailure } from "../domain/errors.ts"
import { Damage } from "../domain/failures.ts"
import { Catalog } from "../services/Catalog.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Memtables } from "../services/Memtables.ts"
import { Recovery } from "../services/Recovery.ts"
import { Tables } from "../services/Tables.ts"
import { readVersions } from "./history/readVersions.ts"
import type { View } from "./reading/View.ts"

/** A version of a row of keyspace 0: a put, or a delete where `value` is undefined. */
export interface CatalogRow {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
  readonly sequence: number
}

/**
 * Builds the projection from the rows of keyspaces and of the next id in keyspace 0: of each row all versions there still are, the newest first. What was dropped is known by its
 * older versions as long as the history of keyspace 0 goes back, which is the farthest that can be asked for. `defaults` is the retention of the database. Throws `Damage` when
 * a row is not one of ours.
 */
export const make = (directory: string, rows: Iterable<CatalogRow>, defaults: KeyspaceSettings = {}): Catalog["Service"] => {
  const { beforeImages: defaultBeforeImages = false, historyMs: defaultHistoryMs = 0 } = defaults
  const decoder = new TextDecoder()
  const byName = new Map<string, number>()
  const live = new Set<number>([systemKeyspace, defaultKeyspace, expiryKeyspace])
  const dropped = new Map<number, number>()
  const nameById = new Map<number, string>()
  /** Of those that say anything. */
  const settings = new Map<number, KeyspaceSettings>()
  let next = firstNamedKeyspace
  const malformed = () => new Damage(directory, 0, "Malformed", "keyspace 0 holds a row that is not of the catalog")
  let lastKey: Uint8Array = nextIdKey
  let deletedAt: number | undefined
  for (const { key, sequence, value } of rows) {
    const isNewest = compareBytes(key, lastKey) !== 0
    lastKey = key
    if (isNewest) deletedAt = undefined
    if (value === undefined) {
      deletedAt = sequence
      continue
    }
    const nameBytes = nameInRowKey(key)
    if (nameBytes === undefined) {
      const id = compareBytes(key, nextIdKey) === 0 ? decodeId(value) : undefined
      if (id === undefined) throw malformed()
      // The newest version comes first, and ids only grow.
      next = Math.max(next, id)
      continue
    }
    const row = decodeKeyspaceRow(value)
    if (row === undefined) throw malformed()
    // An older version of the same keyspace: it was configured anew since.
    if (live.has(row.id) || dropped.has(row.id)) continue
    const name = decoder.decode(nameBytes)
    nameById.set(row.id, name)
    settings.set(row.id, row)
    if (isNewest) {
      byName.set(name, row.id)
      live.add(row.id)
    } else if (deletedAt !== undefined) dropped.set(row.id, deletedAt)
    deletedAt = undefined
  }
  for (let id = firstNamedKeyspace; id < next; id++) if (!live.has(id) && !dropped.has(id)) dropped.set(id, 0)
  const historyMs = (id: number) => settings.get(id)?.historyMs ?? defaultHistoryMs
  let keeps = false
  let anyBeforeImages = false
  const lookAtSettings = () => {
    keeps = defaultHistoryMs > 0
    anyBeforeImages = defaultBeforeImages
    for (const [id, own] of settings) {
      keeps ||= (own.historyMs ?? 0) > 0 && dropped.get(id) !== 0
      anyBeforeImages ||= own.beforeImages === true && live.has(id)
    }
  }
  lookAtSettings()
  return {
    idOf: (name) => byName.get(name),
    exists: (id) => live.has(id),
    names: () => [...byName].map(([name, id]) => ({ name, id })).sort((a, b) => (a.name < b.name ? -1 : 1)),
    nextId: () => next,
    nameOf: (id) => nameById.get(id),
    created: (name, id, own) => {
      byName.set(name, id)
      nameById.set(id, name)
      live.add(id)
      if (id >= next) next = id + 1
      if (own !== undefined) settings.set(id, own)
      lookAtSettings()
    },
    configured: (id, own) => {
      settings.set(id, own)
      lookAtSettings()
    },
    settings: (id) => settings.get(id) ?? {},
    historyMs,
    historyVersions: (id) => {
      if (id === systemKeyspace || id === expiryKeyspace) return 0
      const own = settings.get(id)
      return (own?.historyMs === undefined ? defaults.historyVersions : own.historyVersions) ?? 0
    },
    keepsHistory: () => keeps,
    beforeImages: (id) => id !== systemKeyspace && id !== expiryKeyspace && (settings.get(id)?.beforeImages ?? defaultBeforeImages),
    anyBeforeImages: () => anyBeforeImages,
    dropped: (name, id, sequence) => {
      byName.delete(name)
      live.delete(id)
      dropped.set(id, sequence)
      lookAtSettings()
    },
    // A failure takes back everything sequenced after it too, oldest first: an older keyspace of the name may be there again by now.
    creationFailed: (name, id) => {
      if (byName.get(name) === id) byName.delete(name)
      nameById.delete(id)
      live.delete(id)
      settings.delete(id)
      lookAtSettings()
    },
    dropFailed: (name, id) => {
      if (!nameById.has(id)) return
      byName.set(name, id)
      live.add(id)
      dropped.delete(id)
      lookAtSettings()
    },
    droppedIds: () => dropped
  }
}

/** All versions of the catalog's rows in a view, whose version is pinned. Throws `Damage`, `IoFailure`. */
export const readRows = (tables: Tables["Service"], view: View): ReadonlyArray<CatalogRow> => [
  ...readVersions(tables, view, keyspaceRows.lower, keyspaceRows.upper),
  ...readVersions(tables, view, nextIdKey, new Uint8Array([nextIdKey[0]! + 1]))
]

const load = Effect.gen(function* () {
  const tables = yield* Tables
  const memtables = yield* Memtables
  const options = yield* EngineOptions
  const { directory, visibleSequence } = yield* Recovery
  return yield* Effect.try({
    try: () => {
      const view: View = { memtables: memtables.all(), version: tables.current(), sequence: visibleSequence, timeMs: 0 }
      return make(directory, readRows(tables, view), options.retention)
    },
    catch: fromFailure
  })
})

export const layer: Layer.Layer<Catalog, FileError, EngineOptions | Tables | Memtables | Recovery> = Layer.effect(Catalog, load)
