import { defaultOutputPolicy, type OutputPolicy } from "../../domain/compaction/JobSpec.ts"
import type { KeySpan } from "../../domain/compaction/KeySpan.ts"
import type { Horizon } from "../../domain/compaction/stripes.ts"
import type { KeyspaceSequence } from "../../domain/manifest/ManifestEdit.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { ResolvedOptions } from "../../domain/options/Options.ts"
import { CodecId } from "../../domain/seams.ts"
import type { Catalog } from "../../services/Catalog.ts"

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

/** Keyspaces that were dropped: what a job may leave behind, and from which sequence on nobody can see it. */
export const horizonsOf = (catalog: Catalog["Service"]): ReadonlyArray<Horizon> =>
  Array.from(catalog.droppedIds(), ([keyspace, dropSequence]) => ({ keyspace, dropSequence }))

/**
 * From where the history of the keyspaces in these tables may be incomplete, once a job that could drop versions below `floor` has run. Stands in the job's own edit: it is
 * true from the moment the outputs replace the inputs.
 */
export const historyFrom = (
  state: ManifestState,
  spans: ReadonlyArray<KeySpan>,
  floor: number,
  catalog: Catalog["Service"]
): ReadonlyArray<KeyspaceSequence> => {
  const touched = new Set<number>()
  const ids = [0, 1, ...catalog.names().map(({ id }) => id)]
  for (const span of spans) for (const id of ids) if (id >= span.smallest.keyspace && id <= span.largest.keyspace) touched.add(id)
  return [...touched].filter((id) => floor > (state.historyFrom.get(id) ?? 0)).map((keyspace) => ({ keyspace, sequence: floor }))
}
