import { comparePlaces } from "../../domain/compaction/KeySpan.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { TableMeta } from "../../domain/manifest/TableMeta.ts"

/** The state's tables by level: level 0 newest first (file ids ascend with age of flush), deeper levels in key order. There is always a level 0. */
export const levelsOf = (state: ManifestState): ReadonlyArray<ReadonlyArray<TableMeta>> => {
  const levels: Array<Array<TableMeta>> = [[]]
  for (const table of state.tables.values()) {
    while (levels.length <= table.level) levels.push([])
    levels[table.level]!.push(table)
  }
  levels[0]!.sort((a, b) => b.fileId - a.fileId)
  for (const level of levels.slice(1)) level.sort((a, b) => comparePlaces(a.smallest, b.smallest))
  return levels
}
