import { copyOf } from "../../domain/bytes/fixed.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { prefixSuccessor } from "../../domain/keys/KeyBounds.ts"
import type { Change, ChangeOperation } from "../../services/Changes.ts"
import type { Key } from "../../services/Database.ts"
import { isDerived } from "./projectionRows.ts"

/** What of the feed is folded. */
export interface ProjectionFilter {
  /** Only operations of this keyspace. Default: of all but those that projections write. */
  readonly keyspace?: string | undefined
  /** Only operations on keys with this prefix; range deletes that touch it are cut to it. */
  readonly prefix?: Key | undefined
}

const utf8 = new TextEncoder()

const hasPrefix = (key: Uint8Array, prefix: Uint8Array): boolean =>
  key.length >= prefix.length && compareBytes(key.subarray(0, prefix.length), prefix) === 0

/**
 * The change as a projection is to see it: undefined where nothing of it concerns the projection.
 *
 * The feed could filter by itself, but then a projection that little concerns would not know how far it has come, and would hold back a log it has no use for.
 */
export const relevant = ({ keyspace, prefix: given }: ProjectionFilter = {}): ((change: Change) => Change | undefined) => {
  const prefix = given === undefined ? undefined : typeof given === "string" ? utf8.encode(given) : copyOf(given)
  const end = prefix === undefined ? undefined : prefixSuccessor(prefix)
  const cut = (operation: ChangeOperation): ChangeOperation | undefined => {
    if (keyspace === undefined ? isDerived(operation.keyspace) : operation.keyspace !== keyspace) return undefined
    // The keyspace as a whole concerns every part of it.
    if (prefix === undefined || operation.type === "createKeyspace" || operation.type === "dropKeyspace") return operation
    if (operation.type !== "deleteRange") return hasPrefix(operation.key, prefix) ? operation : undefined
    const gte = compareBytes(operation.gte, prefix) < 0 ? prefix : operation.gte
    const lt = end !== undefined && compareBytes(operation.lt, end) > 0 ? end : operation.lt
    return compareBytes(gte, lt) < 0 ? { ...operation, gte, lt } : undefined
  }
  return (change) => {
    const operations: Array<ChangeOperation> = []
    for (const operation of change.operations) {
      const kept = cut(operation)
      if (kept !== undefined) operations.push(kept)
    }
    return operations.length === 0 ? undefined : { ...change, operations }
  }
}
