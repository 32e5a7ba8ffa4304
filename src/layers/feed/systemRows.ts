import { systemKeyspace } from "../../domain/keys/kinds.ts"
import type { Entry } from "../../services/Database.ts"
import { RangeReader } from "../reading/RangeReader.ts"
import type { FeedParts } from "./makeFeed.ts"

/** The visible rows of keyspace 0 from `lower` (inclusive) to `upper` (exclusive). Throws `Damage`, `IoFailure`. */
export const systemRows = ({ latest, reads }: Pick<FeedParts, "latest" | "reads">, lower: Uint8Array, upper: Uint8Array): ReadonlyArray<Entry> => {
  const rows: Array<Entry> = []
  const reader = new RangeReader(reads.tables, latest(systemKeyspace, "").view(), systemKeyspace, { lower, upper, reverse: false, limit: Infinity })
  while (reader.advance(true) === "entry") rows.push({ key: reader.key(reads.slab), value: reader.value(reads.slab) })
  return rows
}
