import { compareBytes } from "../keys/compareBytes.ts"
import { deletedRangesOf } from "../compaction/deletedRanges.ts"
import { inclusiveEnd } from "../compaction/KeySpan.ts"
import type { ManifestState } from "../manifest/ManifestState.ts"
import type { TableMeta } from "../manifest/TableMeta.ts"
import { refsText, samePlace, sameRefs } from "./TableTally.ts"
import type { BlockPointer } from "./tableFormat.ts"
import type { TableReader } from "./TableReader.ts"

/** What the manifest says of a table, and of the database it is in. */
export interface TableExpectation {
  readonly meta: TableMeta
  readonly state: Pick<ManifestState, "hashSeed" | "historyFrom">
}

/** The first thing in which the manifest and an open table, whose properties agree with its content, disagree; undefined where there is none. */
export const problemWithMeta = ({ meta, state }: TableExpectation, table: TableReader, root: BlockPointer): string | undefined => {
  const { fileBytes, properties, tombstones } = table
  if (fileBytes !== meta.fileBytes) return `${fileBytes} bytes, the manifest says ${meta.fileBytes}`
  for (const name of ["offset", "storedLength", "rawLength", "codec", "sum"] as const)
    if (root[name] !== meta.root[name]) return `the footer's root differs from the manifest's: ${name} ${root[name]}, not ${meta.root[name]}`
  if (properties.hashSeed !== state.hashSeed) return `hash seed ${properties.hashSeed}, the manifest says ${state.hashSeed}`
  // A table that is moved keeps the level it was written for; it never moves up.
  if (properties.level > meta.level) return `written for level ${properties.level}, the manifest has it in level ${meta.level}`
  for (const name of ["entryCount", "deleteCount", "rangeTombstoneCount", "smallestSequence", "largestSequence"] as const)
    if (properties[name] !== meta[name]) return `${name} is ${properties[name]}, the manifest says ${meta[name]}`
  if (!samePlace(properties.smallest, meta.smallest)) return "the manifest says another smallest key"
  const { largest, largestIsExclusive } = properties
  const bound = largest === undefined || !largestIsExclusive ? largest : { keyspace: largest.keyspace, key: inclusiveEnd(largest.key) }
  if (!samePlace(bound, meta.largest)) return "the manifest says another largest key"
  if (!sameRefs(properties.valueRefs, meta.valueRefs))
    return `refers to ${refsText(properties.valueRefs)}, the manifest says ${refsText(meta.valueRefs)}`
  const ranges = deletedRangesOf([...tombstones.fragments()])
  const noted = meta.deletedRanges ?? []
  const agree =
    ranges.length === noted.length &&
    ranges.every(({ end, keyspace, start }, i) => {
      const other = noted[i]!
      return keyspace === other.keyspace && compareBytes(start, other.start) === 0 && compareBytes(end, other.end) === 0
    })
  return agree ? undefined : "its range tombstones delete other ranges than the manifest says"
}
