import type { DeeperTables } from "./DeeperTables.ts"
import type { KeyFacts } from "./stripes.ts"
import type { TombstoneCarry } from "./TombstoneCarry.ts"

/** What a job knows of the key at hand, from its range tombstones and the tables beneath it. */
export const keyFacts = (carry: TombstoneCarry, deeper: DeeperTables | undefined): KeyFacts => ({
  // Without knowledge of what lies deeper nothing is at the bottom.
  isAtBottom: (keyspace, bytes, start, end) => deeper !== undefined && deeper.isAtBottom(keyspace, bytes, start, end),
  newestCover: (keyspace, bytes, start, end, sequence) => carry.newestCover(keyspace, bytes, start, end, sequence),
  covers: (keyspace, bytes, start, end) => carry.covers(keyspace, bytes, start, end),
  oldestKeptCover: (keyspace, bytes, start, end) => carry.oldestKeptCover(keyspace, bytes, start, end)
})
