import { Damage } from "../../../src/domain/failures.ts"
import type { StepMachine } from "../../../src/domain/steps.ts"

/** Files of step machines, in memory: an output can be read only once finished, is written front to back, and never again. */
export class MemoryFiles {
  readonly files = new Map<number, Uint8Array>()
  readonly #open = new Map<number, { readonly pieces: Array<Uint8Array>; length: number }>()
  reads = 0
  writes = 0
  pauses = 0
  /** Called before each read; throws to make it fail. */
  beforeRead: (fileId: number) => void = () => {}

  read(fileId: number, offset: number, length: number): Uint8Array {
    const bytes = this.files.get(fileId)
    if (bytes === undefined) throw new Error(`file ${fileId} is not there`)
    if (offset + length > bytes.length) throw new Damage(String(fileId), offset, "Truncated")
    return bytes.slice(offset, offset + length)
  }

  /** Runs a machine to its end. */
  run<A>(machine: StepMachine<A>): A {
    let answer: Uint8Array | undefined
    for (;;) {
      const { done, value } = machine.next(answer)
      if (done === true) return value
      answer = undefined
      switch (value.step) {
        case "pause":
          this.pauses++
          break
        case "read": {
          this.reads++
          this.beforeRead(value.fileId)
          answer = this.read(value.fileId, value.offset, value.length)
          break
        }
        case "create":
          if (this.files.has(value.fileId) || this.#open.has(value.fileId)) throw new Error(`file ${value.fileId} exists`)
          this.#open.set(value.fileId, { pieces: [], length: 0 })
          break
        case "write": {
          const file = this.#open.get(value.fileId)
          if (file === undefined || file.length !== value.position)
            throw new Error(`write at ${value.position} of file ${value.fileId} (${file?.length})`)
          for (const buffer of value.buffers) {
            file.pieces.push(buffer.slice())
            file.length += buffer.length
          }
          this.writes++
          break
        }
        case "finish":
          this.files.set(value.fileId, new Uint8Array(Buffer.concat(this.#open.get(value.fileId)!.pieces)))
          this.#open.delete(value.fileId)
      }
    }
  }

  /** Outputs that were begun and never finished. */
  get unfinished(): number {
    return this.#open.size
  }
}
