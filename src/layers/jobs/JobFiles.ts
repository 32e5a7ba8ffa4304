import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { StepRequest } from "../../domain/steps.ts"

/** The files of one job: inputs opened when first read, outputs created on request. No Effect here: the worker entry loads it. */
export class JobFiles {
  private readonly disk: SyncDisk
  private readonly directory: string
  private readonly inputs = new Map<number, FileHandle>()
  private readonly outputs = new Map<number, FileHandle>()
  private readonly created: Array<string> = []
  private readonly bytesRead: BigInt64Array | undefined

  /** `bytesRead`, one word of shared memory, counts what is read. */
  constructor(disk: SyncDisk, directory: string, bytesRead?: BigInt64Array) {
    this.disk = disk
    this.directory = directory
    this.bytesRead = bytesRead
  }

  /** Does what the machine asks for. Throws `IoFailure` or `Damage`. */
  perform(request: StepRequest): Uint8Array | undefined {
    switch (request.step) {
      case "read": {
        let handle = this.inputs.get(request.fileId)
        if (handle === undefined) {
          handle = this.disk.open(`${this.directory}/${fileName(request.kind, request.fileId)}`, "read")
          this.inputs.set(request.fileId, handle)
        }
        const bytes = new Uint8Array(request.length)
        const count = handle.readAt(bytes, request.offset)
        if (count !== request.length) throw new Damage(handle.path, request.offset, "Truncated", `${count} of ${request.length} bytes`)
        if (this.bytesRead !== undefined) Atomics.add(this.bytesRead, 0, BigInt(count))
        return bytes
      }
      case "create": {
        const path = `${this.directory}/${fileName(request.kind, request.fileId)}`
        this.outputs.set(request.fileId, this.disk.open(path, "create"))
        this.created.push(path)
        return undefined
      }
      case "write":
        this.outputs.get(request.fileId)!.writev(request.buffers, request.position)
        return undefined
      case "finish": {
        const handle = this.outputs.get(request.fileId)!
        handle.datasync()
        // Taken out first: were its close to fail, it must not be closed a second time.
        this.outputs.delete(request.fileId)
        handle.close()
        return undefined
      }
      case "pause":
        return undefined
    }
  }

  /** After the machine is done: the names of the outputs become durable. */
  syncDirectory(): void {
    if (this.created.length > 0) this.disk.syncDirectory(this.directory)
  }

  /**
   * Closes everything and never throws. With `discard`, the outputs are removed where that is possible; what stays is an orphan that the next open
   * removes.
   */
  close(discard: boolean): void {
    for (const handle of [...this.inputs.values(), ...this.outputs.values()]) quietly(() => handle.close())
    this.inputs.clear()
    this.outputs.clear()
    if (discard) for (const path of this.created) quietly(() => this.disk.remove(path))
  }
}

/** Why the job ended is known already, and what counts was said by `datasync`. */
const quietly = (run: () => void): void => {
  try {
    run()
  } catch {
    // See above.
  }
}
