import type { Codecs, Crc32 } from "../seams.ts"
import { verifyStored } from "../table/storedBlock.ts"
import type { ValuePointer } from "./ValuePointer.ts"

/**
 * The value behind a pointer, from the `storedLength` bytes read at its offset: sum, codec, length. Where nothing is compressed the answer is `stored` itself. Throws
 * `Damage` naming the value file and the offset.
 */
export const readValue = (crc32: Crc32, codecs: Codecs, path: string, pointer: ValuePointer, stored: Uint8Array): Uint8Array =>
  verifyStored(crc32, codecs, path, pointer, stored)
