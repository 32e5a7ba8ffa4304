import { MalformedBytes, readVarint, varintEnd } from "../bytes/varint.ts"
import { EntryFlag, entryKindMask, LeafFlag, leafCount, leafHeaderBytes, leafOffset, leafOffsetsAt, leafPrefixLength } from "./leaf.ts"

/**
 * What is wrong with the layout of a leaf's content, or undefined. Lookups trust a leaf whose sum is right; verification does not: here every offset and length is checked, so
 * that a cursor may then walk it.
 */
export const checkLeaf = (block: Uint8Array): string | undefined => {
  if (block.length < leafHeaderBytes) return "no leaf header"
  const flags = block[0]!
  const count = leafCount(block, 0)
  if (flags > (LeafFlag.wide | LeafFlag.tagged | LeafFlag.uniform)) return "unknown leaf flags"
  if (count === 0) return "an empty leaf"
  const wide = (flags & LeafFlag.wide) !== 0
  const uniform = (flags & LeafFlag.uniform) !== 0
  const offsetsAt = leafOffsetsAt(block, 0)
  let expected = offsetsAt + (wide ? 4 : 2) * (count + 1) + leafPrefixLength(block, 0)
  if (expected > block.length) return "a leaf cut short"
  try {
    for (let i = 0; i < count; i++) {
      if (leafOffset(block, offsetsAt, wide, i) !== expected) return "entries that do not follow one another"
      const end = leafOffset(block, offsetsAt, wide, i + 1)
      if (end <= expected || end > block.length) return "an entry beyond the leaf"
      let at = expected
      const entryFlags = uniform ? block[1]! : block[at++]!
      const kind = entryFlags & entryKindMask
      if (entryFlags > (entryKindMask | EntryFlag.sequence | EntryFlag.expiry | EntryFlag.pointer) || kind === 0) return "unknown entry flags"
      const suffixLength = readVarint(block, at, end)
      at = varintEnd() + suffixLength
      if (at > end) return "a key beyond its entry"
      if ((entryFlags & EntryFlag.sequence) !== 0) {
        readVarint(block, at, end)
        at = varintEnd()
      }
      if ((entryFlags & EntryFlag.expiry) !== 0) readVarint(block, at, end)
      expected = end
    }
  } catch (error) {
    if (error instanceof MalformedBytes) return error.message
    throw error
  }
  return expected === block.length ? undefined : "bytes after the last entry"
}
