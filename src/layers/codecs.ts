import { compressSync, uncompressSync } from "lz4-napi"
import { type Codec, CodecId, type Codecs } from "../domain/seams.ts"

/** LZ4 block format behind a 4-byte little-endian raw length, as the package writes it. No Effect here: the worker entry loads it. */
const lz4: Codec = {
  id: CodecId.lz4,
  // A view of the same memory: the package's types ask for a Buffer.
  compress: (raw) => compressSync(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)),
  decompress: (stored, rawLength) => {
    // The package trusts the length in front: a forged one would allocate gigabytes. The checksum was verified before, this is the second lock.
    const claimed = stored.length < 4 ? -1 : (stored[0]! | (stored[1]! << 8) | (stored[2]! << 16) | (stored[3]! << 24)) >>> 0
    if (claimed !== rawLength) throw new RangeError(`LZ4 block claims ${claimed} bytes instead of ${rawLength}`)
    return uncompressSync(stored)
  }
}

export const codecs: Codecs = new Map([[lz4.id, lz4]])
