import { readVarint, varintEnd } from "../bytes/varint.ts"
import { EntryFlag, entryKindMask, LeafFlag, leafCount, leafOffset, leafOffsetsAt, leafPrefixLength } from "./leaf.ts"

export interface LeafEntry {
  readonly key: Uint8Array
  /** 0 where it was elided. */
  readonly sequence: number
  readonly kind: number
  /** 0 where it does not expire. */
  readonly expiresAt: number
  readonly isPointer: boolean
  /** A view of the leaf: the value, or the pointer to it. */
  readonly value: Uint8Array
}

/** The entries of a leaf in order, for looking at one. The leaf must have passed `checkLeaf`. */
export function* leafEntries(block: Uint8Array): Generator<LeafEntry, void, void> {
  const flags = block[0]!
  const wide = (flags & LeafFlag.wide) !== 0
  const count = leafCount(block, 0)
  const offsetsAt = leafOffsetsAt(block, 0)
  const prefixAt = offsetsAt + (wide ? 4 : 2) * (count + 1)
  const prefix = block.subarray(prefixAt, prefixAt + leafPrefixLength(block, 0))
  for (let i = 0; i < count; i++) {
    let at = leafOffset(block, offsetsAt, wide, i)
    const end = leafOffset(block, offsetsAt, wide, i + 1)
    const entryFlags = (flags & LeafFlag.uniform) === 0 ? block[at++]! : block[1]!
    const suffixLength = readVarint(block, at, end)
    at = varintEnd()
    const key = new Uint8Array(prefix.length + suffixLength)
    key.set(prefix)
    key.set(block.subarray(at, at + suffixLength), prefix.length)
    at += suffixLength
    let sequence = 0
    let expiresAt = 0
    if ((entryFlags & EntryFlag.sequence) !== 0) {
      sequence = readVarint(block, at, end)
      at = varintEnd()
    }
    if ((entryFlags & EntryFlag.expiry) !== 0) {
      expiresAt = readVarint(block, at, end)
      at = varintEnd()
    }
    yield {
      key,
      sequence,
      kind: entryFlags & entryKindMask,
      expiresAt,
      isPointer: (entryFlags & EntryFlag.pointer) !== 0,
      value: block.subarray(at, end)
    }
  }
}
