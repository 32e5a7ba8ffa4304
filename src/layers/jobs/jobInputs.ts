import { defaultOutputPolicy, type OutputPolicy } from "../../domain/compaction/JobSpec.ts"
import { holdsKeyspace, type KeySpan } from "../../domain/compaction/KeySpan.ts"
import { keptOf, withKept } from "../../domain/history/keptVersions.ts"
import type { KeyspaceSequence, KeyspaceVersions } from "../../domain/manifest/ManifestEdit.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { ResolvedOptions } from "../../domain/options/Options.ts"
import { CodecId } from "../../domain/seams.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { JobHistory } from "../../services/Retention.ts"

/** How the outputs of jobs look, by the options of opening. */
export const outputPolicy = (options: ResolvedOptions, state: ManifestState): OutputPolicy => ({
  ...defaultOutputPolicy,
  uuid: state.uuid,
  hashSeed: state.hashSeed,
  codec: options.compression === "lz4" ? CodecId.lz4 : CodecId.none,
  blockBytes: options.blockBytes,
  tableBytesMax: options.tableBytes,
  grandparentBytesMax: options.tableBytes * 10,
  valueThresholdBytes: options.valueThresholdBytes
})

/**
 * What the edit of a job says of history, once its outputs replace its inputs: of the keyspaces in these tables, and of those that were dropped, of which nothing may be left.
 */
export const historyFrom = (
  state: ManifestState,
  history: JobHistory,
  tables: ReadonlyArray<KeySpan>,
  catalog: Pick<Catalog["Service"], "droppedIds">
): ReadonlyArray<KeyspaceSequence> => {
  const dropped = catalog.droppedIds()
  return history.historyFrom.filter(
    ({ keyspace, sequence }) => sequence > (state.historyFrom.get(keyspace) ?? 0) && (dropped.has(keyspace) || holdsKeyspace(tables, keyspace))
  )
}

/**
 * Drops of keyspaces that a job may have relied on and that only the log holds: its edit names them, so that no open takes a log that ends before them for whole. They
 * were visible when the job was built, and so are durable.
 */
export const reliedDrops = (
  state: ManifestState,
  { horizons }: JobHistory,
  visible: number,
  flushedThrough: number
): ReadonlyArray<KeyspaceSequence> =>
  horizons.flatMap(({ dropSequence = 0, keyspace }) =>
    dropSequence > flushedThrough && dropSequence <= visible && !state.droppedKeyspaces.has(keyspace) ? [{ keyspace, sequence: dropSequence }] : []
  )

/** What it says of the versions that were kept by count: of keyspaces where this job counted, and of those where another one had, which this one takes back. */
export const keepVersions = (state: ManifestState, history: JobHistory, tables: ReadonlyArray<KeySpan>): ReadonlyArray<KeyspaceVersions> => {
  const said: Array<KeyspaceVersions> = []
  for (const { keyspace, sequence } of history.historyFrom) {
    const count = history.versions.get(keyspace)
    if ((count === undefined && !state.keptVersions.has(keyspace)) || !holdsKeyspace(tables, keyspace)) continue
    const known = keptOf(state.keptVersions, state.historyFrom, keyspace)
    if (withKept(known, { sequence, count: count ?? 0 }) !== known) said.push({ keyspace, sequence, count: count ?? 0 })
  }
  return said
}
