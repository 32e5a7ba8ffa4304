/** Plain functions handed in from outside, because `domain` imports no `node:` module and no codec package. */

/** CRC-32 (IEEE, as `node:zlib` computes it) of `bytes`, continued from `seed` (0 to start). Returns an unsigned 32-bit number. */
export type Crc32 = (bytes: Uint8Array, seed?: number) => number

/** Codec ids are stored on disk: never renumber, never reuse. 2 (zstd) and 3 (snappy) are reserved. */
export const CodecId = { none: 0, lz4: 1 } as const

/** A raw-block codec. `decompress` is only ever given verified bytes and must return exactly `rawLength` bytes or throw. */
export interface Codec {
  readonly id: number
  readonly compress: (raw: Uint8Array) => Uint8Array
  readonly decompress: (stored: Uint8Array, rawLength: number) => Uint8Array
}

/** Codecs by id; an id that is missing here is an unsupported file, not damage. */
export type Codecs = ReadonlyMap<number, Codec>
