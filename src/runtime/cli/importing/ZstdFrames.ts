/**
 * Follows the frames of a zstd stream (RFC 8878, section 3.1) without decoding them, to know whether it ends with one. Node's decoder before 24 takes a stream that was cut off for one that has
 * ended.
 */

const magic = 0xfd2fb528
const skippableMagic = 0x184d2a50
const dictionaryIdBytes = [0, 1, 2, 4] as const

type Step = "magic" | "skipSize" | "descriptor" | "rest" | "blockHeader" | "content" | "checksum"

export class ZstdFrames {
  private step: Step = "magic"
  /** Bytes of the present step that are still to come. */
  private wanted = 4
  /** Those of it that have come, little-endian; of the steps whose bytes say something. */
  private value = 0
  private shift = 0
  private hasChecksum = false
  private isLast = false
  /** It is no zstd stream, which is for the decoder to tell. */
  private isStrange = false

  /** Whether the input so far ends where a frame does. */
  get isComplete(): boolean {
    return this.isStrange || (this.step === "magic" && this.wanted === 4)
  }

  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.isStrange;) {
      const { step } = this
      if (step === "rest" || step === "content" || step === "checksum") {
        const taken = Math.min(this.wanted, bytes.length - at)
        this.wanted -= taken
        at += taken
      } else {
        this.value += bytes[at++]! * 2 ** this.shift
        this.shift += 8
        this.wanted--
      }
      // A step of no bytes is over at once.
      while (this.wanted === 0 && !this.isStrange) this.next()
    }
  }

  private go(step: Step, wanted: number): void {
    this.step = step
    this.wanted = wanted
    this.value = 0
    this.shift = 0
  }

  private next(): void {
    const { value } = this
    switch (this.step) {
      case "magic":
        if (value === magic) this.go("descriptor", 1)
        else if (value - (value % 16) === skippableMagic) this.go("skipSize", 4)
        else this.isStrange = true
        return
      case "skipSize":
        this.isLast = true
        this.hasChecksum = false
        return this.go("content", value)
      case "descriptor": {
        const isSingle = (value & 0x20) !== 0
        const sizeFlag = value >>> 6
        this.hasChecksum = (value & 4) !== 0
        return this.go(
          "rest",
          (isSingle ? 0 : 1) + dictionaryIdBytes[(value & 3) as 0 | 1 | 2 | 3] + (sizeFlag === 0 ? (isSingle ? 1 : 0) : 1 << sizeFlag)
        )
      }
      case "rest":
        return this.go("blockHeader", 3)
      case "blockHeader":
        this.isLast = (value & 1) !== 0
        // A run of one byte holds that byte once.
        return this.go("content", ((value >>> 1) & 3) === 1 ? 1 : value >>> 3)
      case "content":
        if (!this.isLast) return this.go("blockHeader", 3)
        return this.hasChecksum ? this.go("checksum", 4) : this.go("magic", 4)
      case "checksum":
        return this.go("magic", 4)
    }
  }
}
