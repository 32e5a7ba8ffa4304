/** How a block goes into a file and comes out of it: codec and sum. Shared by leaves, the blocks above them, and values. */
import { Damage } from "../failures.ts"
import type { Codec, Codecs, Crc32 } from "../seams.ts"

/** Where a block lies: the part of a pointer that reading needs. */
export interface StoredBlock {
  readonly offset: number
  readonly storedLength: number
  readonly rawLength: number
  readonly codec: number
  readonly sum: number
}

/** What compression must save to be kept: an eighth. Less is not worth a decompression at each read. */
export const compressedIfWorthIt = (codec: Codec | undefined, raw: Uint8Array): Uint8Array | undefined => {
  if (codec === undefined) return undefined
  const compressed = codec.compress(raw)
  return compressed.length <= raw.length - raw.length / 8 ? compressed : undefined
}

/**
 * The content of a block, from its stored bytes: the sum first, then the codec, then the length. Without a codec the answer is `stored` itself, not a copy. Throws
 * `Damage` that names `path` and the block's offset.
 */
export const verifyStored = (crc32: Crc32, codecs: Codecs, path: string, block: StoredBlock, stored: Uint8Array): Uint8Array => {
  if (stored.length !== block.storedLength) throw new Damage(path, block.offset, "Truncated", `${stored.length} of ${block.storedLength} bytes`)
  if (crc32(stored) !== block.sum) throw new Damage(path, block.offset, "ChecksumMismatch")
  if (block.codec === 0) {
    if (block.rawLength !== block.storedLength) throw new Damage(path, block.offset, "Malformed", "two lengths without a codec")
    return stored
  }
  const codec = codecs.get(block.codec)
  if (codec === undefined) throw new Damage(path, block.offset, "UnsupportedVersion", `codec ${block.codec}`)
  let raw: Uint8Array
  try {
    raw = codec.decompress(stored, block.rawLength)
  } catch (cause) {
    throw new Damage(path, block.offset, "Malformed", `codec ${block.codec}: ${String(cause)}`)
  }
  if (raw.length !== block.rawLength)
    throw new Damage(path, block.offset, "Malformed", `codec ${block.codec} gave ${raw.length} of ${block.rawLength} bytes`)
  return raw
}
