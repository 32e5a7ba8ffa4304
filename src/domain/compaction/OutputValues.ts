import type { EntryCursor } from "../EntryCursor.ts"
import type { ValueFileMeta } from "../manifest/TableMeta.ts"
import type { StepMachine } from "../steps.ts"
import { ValueFileWriter } from "../values/ValueFileWriter.ts"
import { valuePointerBytesMax, writeValuePointer } from "../values/ValuePointer.ts"
import type { ValuePointer } from "../values/ValuePointer.ts"
import type { JobTools, OutputPolicy } from "./JobSpec.ts"
import type { OutputIds } from "./OutputIds.ts"

/** What is gathered before it is handed to the driver; a value file is full of large values, so this is soon reached. */
const writeBytesMin = 256 * 1024

/** The value files a job writes, one after the other. */
export class OutputValues {
  readonly done: Array<ValueFileMeta> = []
  bytesWritten = 0
  readonly #policy: OutputPolicy
  readonly #tools: JobTools
  readonly #ids: OutputIds
  /** The last pointer, encoded. */
  readonly #pointer = new Uint8Array(valuePointerBytesMax)
  #writer: ValueFileWriter | undefined = undefined
  #fileId = 0
  #isCreated = false

  constructor(policy: OutputPolicy, tools: JobTools, ids: OutputIds) {
    this.#policy = policy
    this.#tools = tools
    this.#ids = ids
  }

  /** Writes the value at the cursor and returns its encoded pointer, good until the next call. */
  *add(entry: EntryCursor): StepMachine<Uint8Array> {
    const { expiresAt, keyBytes, keyEnd, keyStart, keyspace, sequence, valueBytes, valueEnd, valueStart } = entry
    return yield* this.#added(this.#open().add(keyspace, keyBytes, keyStart, keyEnd, sequence, expiresAt, valueBytes, valueStart, valueEnd))
  }

  /** Writes a value of the cursor's entry as another file held it: `stored` are the verified bytes behind `pointer`. */
  *addStored(entry: EntryCursor, pointer: ValuePointer, stored: Uint8Array): StepMachine<Uint8Array> {
    const { expiresAt, keyBytes, keyEnd, keyStart, keyspace, sequence } = entry
    const { codec, rawLength, sum } = pointer
    return yield* this.#added(this.#open().addStored(keyspace, keyBytes, keyStart, keyEnd, sequence, expiresAt, stored, rawLength, codec, sum))
  }

  #open(): ValueFileWriter {
    if (this.#writer === undefined) {
      const { codec, uuid } = this.#policy
      this.#fileId = this.#ids.take()
      this.#isCreated = false
      this.#writer = new ValueFileWriter({ crc32: this.#tools.crc32, codec: this.#tools.codecs.get(codec), uuid, fileId: this.#fileId })
    }
    return this.#writer
  }

  *#added(pointer: ValuePointer): StepMachine<Uint8Array> {
    const writer = this.#open()
    if (writer.pendingBytes >= writeBytesMin) {
      const position = writer.outputPosition
      yield* this.#write(writer.takeOutput(), position)
    }
    if (writer.estimatedBytes >= this.#policy.valueFileBytesMax) yield* this.end()
    return this.#pointer.subarray(0, writeValuePointer(this.#pointer, 0, pointer))
  }

  /** Ends the current file, if there is one. */
  *end(): StepMachine<void> {
    const writer = this.#writer
    if (writer === undefined) return
    this.#writer = undefined
    const { buffers, meta, position } = writer.finish()
    yield* this.#write(buffers, position)
    yield { step: "finish", fileId: this.#fileId }
    this.done.push(meta)
    this.bytesWritten += meta.fileBytes
  }

  *#write(buffers: ReadonlyArray<Uint8Array>, position: number): StepMachine<void> {
    if (!this.#isCreated) yield { step: "create", kind: "values", fileId: this.#fileId }
    this.#isCreated = true
    yield { step: "write", fileId: this.#fileId, buffers, position }
  }
}
