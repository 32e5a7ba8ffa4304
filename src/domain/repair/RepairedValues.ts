import { Damage } from "../failures.ts"
import type { ValueFileMeta } from "../manifest/TableMeta.ts"
import type { OutputPolicy } from "../compaction/JobSpec.ts"
import type { Codecs, Crc32 } from "../seams.ts"
import type { StepMachine } from "../steps.ts"
import { verifyStored } from "../table/storedBlock.ts"
import type { LeafEntry } from "../table/leafEntries.ts"
import { ValueFileWriter } from "../values/ValueFileWriter.ts"
import type { ValuePointer } from "../values/ValuePointer.ts"

/** A value file that is damaged, or not there at all. */
export interface DamagedValueFile {
  readonly path: string
  /** 0: it is not there. */
  readonly fileBytes: number
  readonly damage: Damage
}

const writeBytesMin = 256 * 1024

/** Moves values that can still be read out of damaged value files, into new ones. */
export class RepairedValues {
  readonly done: Array<ValueFileMeta> = []
  #count = 0
  readonly #damaged: ReadonlyMap<number, DamagedValueFile>
  readonly #outputId: () => number
  readonly #policy: OutputPolicy
  readonly #tools: { readonly crc32: Crc32; readonly codecs: Codecs }
  #writer: ValueFileWriter | undefined
  #fileId = 0
  #isCreated = false

  constructor(
    damaged: ReadonlyMap<number, DamagedValueFile>,
    outputId: () => number,
    policy: OutputPolicy,
    tools: { readonly crc32: Crc32; readonly codecs: Codecs }
  ) {
    this.#damaged = damaged
    this.#outputId = outputId
    this.#policy = policy
    this.#tools = tools
  }

  /** How many values were moved. */
  get count(): number {
    return this.#count
  }

  /** Where the value is from now on, or why there is none. A pointer into a sound file stays as it is. */
  *moved(pointer: ValuePointer, keyspace: number, entry: LeafEntry): StepMachine<ValuePointer | Damage> {
    const file = this.#damaged.get(pointer.fileId)
    if (file === undefined) return pointer
    const { codec, fileId, offset, rawLength, storedLength, sum } = pointer
    if (offset + storedLength > file.fileBytes) return file.fileBytes === 0 ? file.damage : new Damage(file.path, offset, "Truncated", "a value")
    const stored = (yield { step: "read", kind: "values", fileId, offset, length: storedLength })!
    try {
      verifyStored(this.#tools.crc32, this.#tools.codecs, file.path, pointer, stored)
    } catch (error) {
      if (error instanceof Damage) return error
      throw error
    }
    const writer = this.#open()
    const { expiresAt, key, sequence } = entry
    const place = writer.addStored(keyspace, key, 0, key.length, sequence, expiresAt, stored, rawLength, codec, sum)
    this.#count++
    if (writer.pendingBytes >= writeBytesMin) {
      const position = writer.outputPosition
      yield* this.#write(writer.takeOutput(), position)
    }
    if (writer.estimatedBytes >= this.#policy.valueFileBytesMax) yield* this.end()
    return place
  }

  /** Ends the file that is being written, if there is one. */
  *end(): StepMachine<void> {
    const writer = this.#writer
    if (writer === undefined) return
    this.#writer = undefined
    const { buffers, meta, position } = writer.finish()
    yield* this.#write(buffers, position)
    yield { step: "finish", fileId: this.#fileId }
    this.done.push(meta)
  }

  #open(): ValueFileWriter {
    if (this.#writer === undefined) {
      this.#fileId = this.#outputId()
      this.#isCreated = false
      this.#writer = new ValueFileWriter({ crc32: this.#tools.crc32, codec: undefined, uuid: this.#policy.uuid, fileId: this.#fileId })
    }
    return this.#writer
  }

  *#write(buffers: ReadonlyArray<Uint8Array>, position: number): StepMachine<void> {
    if (!this.#isCreated) yield { step: "create", kind: "values", fileId: this.#fileId }
    this.#isCreated = true
    yield { step: "write", fileId: this.#fileId, buffers, position }
  }
}
