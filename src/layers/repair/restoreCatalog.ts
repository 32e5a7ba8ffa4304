import { encodeId, encodeKeyspaceRow, keyspaceRowKey, nameInRowKey, nextIdKey } from "../../domain/keys/catalogRows.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { idInDroppedRowKey } from "../../domain/keys/droppedRows.ts"
import { keyHash } from "../../domain/keys/keyHash.ts"
import { keyspaceSeed } from "../../domain/keys/keyspaceSeed.ts"
import { firstNamedKeyspace, Kind, systemKeyspace } from "../../domain/keys/kinds.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import { Memtable } from "../../domain/memtable/Memtable.ts"
import type { Loss } from "../../domain/repair/Loss.ts"
import * as CatalogLayer from "../Catalog.ts"
import { firstOf } from "./OverlayDisk.ts"
import type { RebuildTarget } from "./rebuild.ts"
import type { DirectorySurvey } from "./surveyDirectory.ts"
import { systemRows } from "./systemRows.ts"

export interface RestoredCatalog {
  /** Rows to add; undefined where none are missing. */
  readonly memtable: Memtable | undefined
  readonly named: ReadonlyArray<{ readonly id: number; readonly name: string }>
  /** Every keyspace that anything is left of. */
  readonly keyspaces: ReadonlySet<number>
}

const memtableBytes = 1 << 20

/**
 * The names of keyspaces are data like any other, and may be lost where what they name is not. A keyspace that no row names counts as dropped, and compaction clears it away. So where rows of
 * the catalog may be missing, each keyspace that has data, no name, and nothing that says it was dropped gets a new name, and the counter of ids goes beyond all of them.
 */
export const restoreCatalog = (input: {
  readonly losses: ReadonlyArray<Loss>
  readonly survey: DirectorySurvey
  readonly target: RebuildTarget
  readonly state: ManifestState
  readonly sequence: number
}): RestoredCatalog => {
  const { losses, sequence, state, survey, target } = input
  const disk = firstOf(target.disk, target.directory, survey.disk, survey.directory)
  const { keyspaces, rows } = systemRows(disk, target.directory, state)
  const nothing = { memtable: undefined, named: [], keyspaces }
  const mayMiss = losses.some(({ effect, range }) => effect !== "none" && (range === undefined || range.from.keyspace === systemKeyspace))
  if (!mayMiss) return nothing
  const catalog = CatalogLayer.make(
    target.directory,
    rows.filter(({ key }) => nameInRowKey(key) !== undefined || compareBytes(key, nextIdKey) === 0)
  )
  const dropped = new Set<number>(state.droppedKeyspaces.keys())
  for (const [id, at] of catalog.droppedIds()) if (at > 0) dropped.add(id)
  for (const { key } of rows) {
    const id = idInDroppedRowKey(key)
    if (id !== undefined) dropped.add(id)
  }
  const named: Array<{ readonly id: number; readonly name: string }> = []
  for (const id of [...keyspaces].sort((a, b) => a - b)) {
    if (id < firstNamedKeyspace || catalog.exists(id) || dropped.has(id)) continue
    let name = `recovered-${id}`
    while (catalog.idOf(name) !== undefined) name += "-"
    named.push({ id, name })
  }
  const nextId = Math.max(catalog.nextId(), ...[...keyspaces, ...dropped].map((id) => id + 1))
  if (named.length === 0 && nextId === catalog.nextId()) return nothing
  const memtable = new Memtable(memtableBytes)
  const encoder = new TextEncoder()
  const put = (key: Uint8Array, value: Uint8Array) => {
    const hash = keyHash(keyspaceSeed(state.hashSeed, systemKeyspace), key, 0, key.length)
    memtable.insert(systemKeyspace, hash, key, 0, key.length, Kind.put, sequence + 1, value, 0, value.length, 0)
  }
  for (const { id, name } of named) put(keyspaceRowKey(encoder.encode(name)), encodeKeyspaceRow({ id }))
  put(nextIdKey, encodeId(nextId))
  return { memtable, named, keyspaces }
}
