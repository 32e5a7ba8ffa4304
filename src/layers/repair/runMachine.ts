import type { FileHandle, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { type FileKind, fileName } from "../../domain/manifest/fileNames.ts"
import type { StepMachine } from "../../domain/steps.ts"

/** Where a machine's inputs are, and where its outputs go. */
export interface MachineFiles {
  readonly open: (kind: FileKind, fileId: number) => FileHandle
  readonly output: { readonly disk: SyncDisk; readonly directory: string } | undefined
  readonly onRead: (bytes: number) => void
  /**
   * What a read that the device refuses, or that comes back short, is: "fail" throws `Damage` or `IoFailure` into the machine, "none" answers with what there is, so that a machine
   * which looks at damage goes on with the next block.
   */
  readonly unreadable: "fail" | "none"
}

/** Runs a machine step by step; its caller may do something else at each `yield`. Throws what the machine throws; outputs it has not finished are closed. */
export function* runMachine<A>(machine: StepMachine<A>, files: MachineFiles): Generator<void, A, void> {
  const inputs = new Map<string, FileHandle>()
  const outputs = new Map<number, FileHandle>()
  try {
    let step = machine.next()
    while (!step.done) {
      const request = step.value
      let answer: Uint8Array | undefined
      if (request.step === "read") {
        const name = fileName(request.kind, request.fileId)
        let handle = inputs.get(name)
        if (handle === undefined) {
          handle = files.open(request.kind, request.fileId)
          inputs.set(name, handle)
        }
        answer = readPart(handle, request.offset, request.length, files.unreadable)
        files.onRead(answer.length)
      } else if (request.step === "create") {
        const { directory, disk } = files.output!
        outputs.set(request.fileId, disk.open(`${directory}/${fileName(request.kind, request.fileId)}`, "create"))
      } else if (request.step === "write") outputs.get(request.fileId)!.writev(request.buffers, request.position)
      else if (request.step === "finish") {
        const handle = outputs.get(request.fileId)!
        handle.datasync()
        outputs.delete(request.fileId)
        handle.close()
      } else yield
      step = machine.next(answer)
    }
    return step.value
  } finally {
    for (const handle of [...inputs.values(), ...outputs.values()]) handle.close()
  }
}

const readPart = (handle: FileHandle, offset: number, length: number, unreadable: "fail" | "none"): Uint8Array => {
  const bytes = new Uint8Array(length)
  let count: number
  try {
    count = handle.readAt(bytes, offset)
  } catch (cause) {
    if (unreadable === "fail" || !(cause instanceof IoFailure) || cause.code !== "EIO") throw cause
    count = 0
  }
  if (count === length) return bytes
  if (unreadable === "fail") throw new Damage(handle.path, offset, "Truncated", `${count} of ${length} bytes`)
  return bytes.subarray(0, count)
}
