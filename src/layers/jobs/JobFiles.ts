import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { StepRequest } from "../../domain/steps.ts"

/** Inputs that are open at a time: a job over a whole database has more of them than a process may have files. */
const openInputsMax = 32

/** The files of one job: inputs opened when first read (again, where they were not read for long), outputs created on request. No Effect here: the worker entry loads it. */
export class JobFiles {
  private readonly disk: SyncDisk
  private readonly directory: string
  /** Those that were read last are last. */
  private readonly inputs = new Map<number, FileHandle>()
  private readonly outputs = new Map<number, FileHandle>()
  private readonly created: Array<string> = []
  private readonly progress: BigInt64Array | undefined

  /** `progress`, shared memory, counts the bytes read in its first word and, where it has another, the requests served there. */
  constructor(disk: SyncDisk, directory: string, progress?: BigInt64Array) {
    this.disk = disk
    this.directory = directory
    this.progress = progress
  }

  /** Does what the machine asks for. Throws `IoFailure` or `Damage`. */
  perform(request: StepRequest): Uint8Array | undefined {
    const { progress } = this
    if (progress !== undefined && progress.length > 1) Atomics.add(progress, 1, 1n)
    switch (request.step) {
      case "read": {
        const handle = this.input(request.kind, request.fileId)
        const bytes = new Uint8Array(request.length)
        const count = handle.readAt(bytes, request.offset)
        if (count !== request.length) throw new Damage(handle.path, request.offset, "Truncated", `${count} of ${request.length} bytes`)
        if (progress !== undefined) Atomics.add(progress, 0, BigInt(count))
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

  private input(kind: "table" | "values", fileId: number): FileHandle {
    let handle = this.inputs.get(fileId)
    if (handle !== undefined) this.inputs.delete(fileId)
    else {
      for (const [other, longUnread] of this.inputs) {
        if (this.inputs.size < openInputsMax) break
        this.inputs.delete(other)
        longUnread.close()
      }
      handle = this.disk.open(`${this.directory}/${fileName(kind, fileId)}`, "read")
    }
    this.inputs.set(fileId, handle)
    return handle
  }

  /** What a machine throws about a file, which it knows by name only: with the path of the file. */
  located(cause: unknown): unknown {
    if (!(cause instanceof Damage) || cause.file.includes("/")) return cause
    return new Damage(`${this.directory}/${cause.file}`, cause.offsetBytes, cause.reason, cause.detail)
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
