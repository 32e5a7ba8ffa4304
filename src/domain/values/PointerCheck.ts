import { readU32 } from "../bytes/fixed.ts"
import { MalformedBytes, varintBytes, varintBytesMax } from "../bytes/varint.ts"
import { Damage } from "../failures.ts"
import { compareBytes } from "../keys/compareBytes.ts"
import type { Crc32 } from "../seams.ts"
import type { StepMachine } from "../steps.ts"
import { decodeRecordHead, recordStartBytes, valueFooterBytes, valueHeaderBytes } from "./valueFormat.ts"
import type { ValuePointer } from "./ValuePointer.ts"

/** An entry whose value lies in a value file. */
interface PointedAt {
  readonly pointer: ValuePointer
  readonly keyspace: number
  readonly key: Uint8Array
  /** 0 where it was elided. */
  readonly sequence: number
  readonly expiresAt: number
  /** Of the leaf that holds the pointer. */
  readonly leafOffset: number
}

/** How many pointers are gathered before they are followed, in the order of the files: so much memory, whatever the size of the table. */
const batchSize = 4096

/**
 * Follows the pointers of one table to the *heads* of the records they name: each must be there, whole, and of that very key, sequence, expiry and length. The values themselves are
 * verified by the walk through their file, against the sums in the heads, which must be those of the pointers.
 */
export class PointerCheck {
  readonly #crc32: Crc32
  /** Of the table. */
  readonly #path: string
  /** The value files of the version, by id, with their lengths. */
  readonly #files: ReadonlyMap<number, { readonly fileBytes: number }>
  /** Whether the file was found damaged: what is wrong there is known already. */
  readonly #isPassedOver: (fileId: number) => boolean
  #batch: Array<PointedAt> = []

  constructor(
    crc32: Crc32,
    path: string,
    files: ReadonlyMap<number, { readonly fileBytes: number }>,
    isPassedOver: (fileId: number) => boolean = () => false
  ) {
    this.#crc32 = crc32
    this.#path = path
    this.#files = files
    this.#isPassedOver = isPassedOver
  }

  /** `key` is not changed any more. */
  add(pointer: ValuePointer, keyspace: number, key: Uint8Array, sequence: number, expiresAt: number, leafOffset: number): void {
    this.#batch.push({ pointer, keyspace, key, sequence, expiresAt, leafOffset })
  }

  get isFull(): boolean {
    return this.#batch.length >= batchSize
  }

  /** Follows what was gathered. Throws `Damage` that names the table and the leaf of the pointer. */
  *follow(): StepMachine<void> {
    const batch = this.#batch.sort((a, b) => a.pointer.fileId - b.pointer.fileId || a.pointer.offset - b.pointer.offset)
    this.#batch = []
    for (const one of batch) {
      const { fileId, offset, storedLength } = one.pointer
      if (this.#isPassedOver(fileId)) continue
      const file = this.#files.get(fileId)
      if (file === undefined) throw this.#wrong(one, "which the manifest does not name")
      if (offset + storedLength > file.fileBytes - valueFooterBytes) throw this.#wrong(one, "beyond the end of its records")
      if (!(yield* this.#isThere(one))) throw this.#wrong(one, "where no record of its key, sequence and length stands")
    }
  }

  *#isThere({ expiresAt, key, keyspace, pointer, sequence }: PointedAt): StepMachine<boolean> {
    const { codec, fileId, offset, rawLength, storedLength, sum } = pointer
    const known =
      recordStartBytes + 1 + varintBytes(keyspace) + varintBytes(expiresAt) + varintBytes(storedLength) + varintBytes(rawLength) + 4 + key.length
    // A table may have given up the sequence, which the record still has: then its head is one of a few lengths.
    const shortest = known + (sequence === 0 ? 1 : varintBytes(sequence))
    const longest = Math.min(known + (sequence === 0 ? varintBytesMax : varintBytes(sequence)), offset - valueHeaderBytes)
    if (longest < shortest) return false
    const bytes = (yield { step: "read", kind: "values", fileId, offset: offset - longest, length: longest })!
    for (let length = shortest; length <= longest; length++) {
      const head = bytes.subarray(longest - length)
      if (readU32(head, 4) !== length || readU32(head, 0) !== this.#crc32(head.subarray(4))) continue
      try {
        const record = decodeRecordHead(head)
        if (
          record.keyspace === keyspace &&
          compareBytes(record.key, key) === 0 &&
          (sequence === 0 || record.sequence === sequence) &&
          record.expiresAt === expiresAt &&
          record.storedLength === storedLength &&
          record.rawLength === rawLength &&
          record.codec === codec &&
          record.sum === sum
        )
          return true
      } catch (cause) {
        if (!(cause instanceof MalformedBytes)) throw cause
      }
    }
    return false
  }

  #wrong({ leafOffset, pointer }: PointedAt, what: string): Damage {
    return new Damage(this.#path, leafOffset, "Unexpected", `a pointer to byte ${pointer.offset} of value file ${pointer.fileId}, ${what}`)
  }
}
