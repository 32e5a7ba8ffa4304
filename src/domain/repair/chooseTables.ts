import type { TableProperties } from "../table/TableProperties.ts"

/** A table file that is there, by what it says of itself. */
export interface TableOnDisk {
  readonly fileId: number
  /** Undefined: it cannot be told what it replaced. */
  readonly properties: Pick<TableProperties, "level" | "replaced" | "smallestSequence" | "largestSequence"> | undefined
  /** Whether all of it can be read. */
  readonly isSound: boolean
}

export interface ChosenTables {
  /** Whether the tables that the manifest names are the ones to go by. */
  readonly byManifest: boolean
  /** Which make up the database. */
  readonly live: ReadonlySet<number>
}

/**
 * Which of the table files in a directory belong to the database.
 *
 * Those that the manifest names, unless what lies there contradicts it: a named one is missing and there are others that the manifest should know, or its edits cannot all be read and
 * there are such others. Files that nobody names are no contradiction where they are explained: replaced by a named table, left by a merge that was not committed (all it replaces
 * is there), or by a flush that was not (the log has it all: `logged` says from where on).
 *
 * Else by what the tables say they replaced, the newest first: what a live table replaced is not resurrected. Where all that a table replaced is still there, sound, that is taken
 * instead: the merge may never have been committed, and its inputs hold everything it holds.
 */
export const chooseTables = (input: {
  readonly named: ReadonlySet<number> | undefined
  readonly onDisk: ReadonlyArray<TableOnDisk>
  /** Whether every record of the manifest could be read. */
  readonly manifestIsWhole: boolean
  /** The first sequence from which on the log has everything; undefined: it has nothing. */
  readonly loggedFrom: number | undefined
}): ChosenTables => {
  const { loggedFrom, manifestIsWhole, named, onDisk } = input
  const byId = new Map(onDisk.map((table) => [table.fileId, table]))
  if (named !== undefined) {
    const namedMissing = [...named].some((id) => !byId.has(id))
    const replacedByNamed = new Set([...named].flatMap((id) => byId.get(id)?.properties?.replaced ?? []))
    const isExplained = ({ fileId, properties }: TableOnDisk): boolean => {
      if (named.has(fileId) || replacedByNamed.has(fileId) || properties === undefined) return true
      if (properties.replaced.length === 0) return loggedFrom !== undefined && properties.smallestSequence >= loggedFrom
      return properties.replaced.every((id) => named.has(id) && byId.has(id))
    }
    const isContradicted = !onDisk.every(isExplained)
    if (!isContradicted || (manifestIsWhole && !namedMissing)) return { byManifest: true, live: named }
  }
  const live = new Set<number>()
  const dead = new Set<number>()
  for (const { fileId, properties } of [...onDisk].sort((a, b) => b.fileId - a.fileId)) {
    if (dead.has(fileId)) continue
    const replaced = properties?.replaced ?? []
    const isCommitted = replaced.length === 0 || !replaced.every((id) => !dead.has(id) && byId.get(id)?.isSound === true)
    if (!isCommitted) continue
    live.add(fileId)
    for (const id of replaced) dead.add(id)
  }
  return { byManifest: false, live }
}
