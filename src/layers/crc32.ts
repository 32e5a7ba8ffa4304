import { crc32 as zlibCrc32 } from "node:zlib"
import type { Crc32 } from "../domain/seams.ts"

/** The platform's CRC-32: 6–7 GB/s on blocks. No Effect here: the worker entry loads it. */
export const crc32: Crc32 = zlibCrc32
