import type { EntryCursor } from "../EntryCursor.ts"
import { Damage } from "../failures.ts"
import { fileName } from "../manifest/fileNames.ts"
import type { Crc32 } from "../seams.ts"
import type { StepMachine } from "../steps.ts"
import { decodeValuePointer } from "../values/ValuePointer.ts"
import type { ValuePlacer } from "./mergeRun.ts"
import type { OutputValues } from "./OutputValues.ts"
import type { ReadAhead } from "./ReadAhead.ts"
import type { ValueFileSummary } from "./TableSummary.ts"

/** Moves values out of dying value files: read, verified, written into a new file. Values of one flush lie in key order, so they are read ahead like leaves. */
export class ValueMover implements ValuePlacer {
  count = 0
  readonly #fileBytes: ReadonlyMap<number, number>
  readonly #values: OutputValues
  readonly #reads: ReadAhead
  readonly #crc32: Crc32

  constructor(files: ReadonlyArray<ValueFileSummary>, values: OutputValues, reads: ReadAhead, crc32: Crc32) {
    this.#fileBytes = new Map(files.map((file) => [file.fileId, file.fileBytes]))
    this.#values = values
    this.#reads = reads
    this.#crc32 = crc32
  }

  wants(entry: EntryCursor): boolean {
    return (
      entry.isPointer &&
      this.#fileBytes.size > 0 &&
      this.#fileBytes.has(decodeValuePointer(entry.valueBytes, entry.valueStart, entry.valueEnd).fileId)
    )
  }

  *place(entry: EntryCursor): StepMachine<Uint8Array> {
    const pointer = decodeValuePointer(entry.valueBytes, entry.valueStart, entry.valueEnd)
    const { fileId, offset, storedLength, sum } = pointer
    const held = this.#reads.held(fileId, offset, storedLength)
    const stored = held ?? (yield* this.#reads.read("values", fileId, offset, storedLength, this.#fileBytes.get(fileId)!))
    // Damage must not be given a new, valid sum.
    if (this.#crc32(stored) !== sum) throw new Damage(fileName("values", fileId), offset, "ChecksumMismatch", "a value that was to be moved")
    this.count++
    return yield* this.#values.addStored(entry, pointer, stored)
  }
}
