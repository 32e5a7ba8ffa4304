import * as Effect from "effect/Effect"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { TableMeta, ValueFileMeta } from "../../domain/manifest/TableMeta.ts"
import type { StepFileKind, StepMachine } from "../../domain/steps.ts"
import { TableReader } from "../../domain/table/TableReader.ts"
import { verifyTable } from "../../domain/table/verifyTable.ts"
import { PointerCheck } from "../../domain/values/PointerCheck.ts"
import { walkValueFile } from "../../domain/values/walkValueFile.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"
import type { Pace } from "./verifyLog.ts"

/** Where the files of a version are read from. */
export interface Files {
  /** Throws `Damage` "Missing" for a file that is not there, `IoFailure`. */
  readonly open: (path: string) => FileHandle
  readonly close: (handle: FileHandle) => void
}

/** What was found in one sound file. */
export interface FileVerification {
  /** Leaves, or records. */
  readonly blocks: number
  readonly entries: number
}

/** A file of the version. */
export type Verifiable = { readonly kind: "table"; readonly meta: TableMeta } | { readonly kind: "values"; readonly meta: ValueFileMeta }

/** Value files first: what is wrong in one of them is found there, and not by the tables that point into it. */
export const verifiables = (state: ManifestState): ReadonlyArray<Verifiable> => [
  ...Array.from(state.valueFiles.values(), (meta) => ({ kind: "values" as const, meta })),
  ...Array.from(state.tables.values(), (meta) => ({ kind: "table" as const, meta }))
]

export const pathOf = (directory: string, { kind, meta }: Verifiable): string => `${directory}/${fileName(kind, meta.fileId)}`

function* tableMachine(path: string, meta: TableMeta, state: ManifestState, isDamaged: (fileId: number) => boolean): StepMachine<FileVerification> {
  const { fileBytes, fileId, root } = meta
  const table = yield* TableReader.opening({ crc32, codecs, fileId, path, fileBytes, root, uuid: state.uuid })
  const pointers = new PointerCheck(crc32, path, state.valueFiles, isDamaged)
  const found = yield* verifyTable(crc32, table, { expected: { meta, state }, pointers })
  return { blocks: found.leafCount, entries: found.entryCount }
}

function* valuesMachine(path: string, meta: ValueFileMeta, state: ManifestState): StepMachine<FileVerification> {
  const { fileBytes, fileId, valueBytes } = meta
  const found = yield* walkValueFile({ crc32, codecs, fileId, path, fileBytes, uuid: state.uuid })
  if (found.valueBytes !== valueBytes)
    throw new Damage(path, fileBytes, "Unexpected", `${found.valueBytes} bytes of values, the manifest says ${valueBytes}`)
  return { blocks: found.recordCount, entries: 0 }
}

/**
 * Reads the file whole, past all caches, and checks it against its parents, itself, the manifest, and the files it points into. At most two files are open at a time. `onRead` hears
 * how much of the file itself was read.
 */
export const verifyFile = (
  {
    directory,
    files,
    isDamaged,
    state
  }: {
    readonly files: Files
    readonly directory: string
    readonly state: ManifestState
    /** Whether the value file is known to be damaged: pointers into it are not followed. */
    readonly isDamaged: (fileId: number) => boolean
  },
  file: Verifiable,
  pace: Pace,
  onRead: (bytes: number) => void
): Effect.Effect<FileVerification, IoFailure | Damage> =>
  Effect.suspend(() => {
    const path = pathOf(directory, file)
    let other: { readonly fileId: number; readonly handle: FileHandle } | undefined
    const closeOther = () => {
      if (other !== undefined) files.close(other.handle)
      other = undefined
    }
    return Effect.acquireUseRelease(
      Effect.sync(() => files.open(path)),
      (handle) =>
        Effect.gen(function* () {
          const { fileBytes, fileId } = file.meta
          const size = handle.sizeBytes()
          if (size !== fileBytes)
            throw new Damage(path, Math.min(size, fileBytes), size < fileBytes ? "Truncated" : "Unexpected", `${size} bytes instead of ${fileBytes}`)
          const handleOf = (kind: StepFileKind, id: number): FileHandle => {
            if (kind === file.kind && id === fileId) return handle
            if (other?.fileId !== id) {
              closeOther()
              other = { fileId: id, handle: files.open(`${directory}/${fileName(kind, id)}`) }
            }
            return other.handle
          }
          const machine = file.kind === "table" ? tableMachine(path, file.meta, state, isDamaged) : valuesMachine(path, file.meta, state)
          let answer: Uint8Array | undefined
          for (;;) {
            const step = machine.next(answer)
            if (step.done === true) return step.value
            answer = undefined
            if (step.value.step !== "read") {
              yield* Effect.yieldNow
              continue
            }
            const { length, offset } = step.value
            yield* pace(length)
            const source = handleOf(step.value.kind, step.value.fileId)
            answer = new Uint8Array(length)
            const count = source.readAt(answer, offset)
            if (count !== length) throw new Damage(source.path, offset, "Truncated", `${count} of ${length} bytes`)
            if (source === handle) onRead(length)
          }
        }),
      (handle) =>
        Effect.sync(() => {
          closeOther()
          files.close(handle)
        })
    ).pipe(Effect.catchDefect((cause) => (cause instanceof IoFailure || cause instanceof Damage ? Effect.fail(cause) : Effect.die(cause))))
  })
