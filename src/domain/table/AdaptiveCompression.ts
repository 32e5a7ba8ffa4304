import type { Codec } from "../seams.ts"
import { compressedIfWorthIt } from "./storedBlock.ts"

/** After so many blocks in a row that did not shrink, most are stored as they are without a try. */
const failuresBeforeSkipping = 8
/** At most so many blocks are skipped between two tries. */
const skippedMax = 64

/**
 * Compresses the blocks of one file while that pays.
 *
 * Trying costs several times what storing does, and data that does not shrink (compressed or encrypted by the application, random) seldom stops halfway: after eight
 * failures in a row only every eighth block is tried, then every sixteenth, up to every 64th; one that shrinks brings back the trying of each. The decision depends on the
 * blocks alone, so a job that is repeated writes the same bytes.
 */
export class AdaptiveCompression {
  readonly codec: Codec | undefined
  #failures = 0
  #skipsLeft = 0
  #skips = failuresBeforeSkipping

  constructor(codec: Codec | undefined) {
    this.codec = codec
  }

  /** The compressed block, or undefined where it is to be stored as it is. */
  compress(raw: Uint8Array): Uint8Array | undefined {
    if (this.#skipsLeft > 0) {
      this.#skipsLeft--
      return undefined
    }
    const compressed = compressedIfWorthIt(this.codec, raw)
    if (compressed !== undefined) {
      this.#failures = 0
      this.#skips = failuresBeforeSkipping
    } else if (++this.#failures >= failuresBeforeSkipping) {
      this.#skipsLeft = this.#skips - 1
      this.#skips = Math.min(this.#skips * 2, skippedMax)
    }
    return compressed
  }
}
