import * as Effect from "effect/Effect"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { StepMachine } from "../../domain/steps.ts"
import { type TableOpening, TableReader } from "../../domain/table/TableReader.ts"
import { type TableVerification, verifyTable } from "../../domain/table/verifyTable.ts"
import { walkValueFile } from "../../domain/values/walkValueFile.ts"
import type { VerifyReport } from "../../services/Database.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Manifest } from "../../services/Manifest.ts"
import type { Tables } from "../../services/Tables.ts"
import type { Wal } from "../../services/Wal.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"
import { verifyOwnLog, verifyReaderLog } from "./verifyLog.ts"

/** Where the files of a version are read from. */
interface Files {
  readonly open: (path: string) => FileHandle
  readonly close: (handle: FileHandle) => void
}

/** Runs a machine that only reads one file, a slice per turn of the event loop. */
const drive = <A>(files: Files, path: string, machine: StepMachine<A>): Effect.Effect<A, IoFailure | Damage> =>
  Effect.acquireUseRelease(
    Effect.sync(() => files.open(path)),
    (handle) =>
      Effect.gen(function* () {
        let answer: Uint8Array | undefined
        for (;;) {
          const step = machine.next(answer)
          if (step.done) return step.value
          answer = undefined
          if (step.value.step === "read") {
            const { length, offset } = step.value
            answer = new Uint8Array(length)
            const count = handle.readAt(answer, offset)
            if (count !== length) throw new Damage(path, offset, "Truncated", `${count} of ${length} bytes`)
          }
          yield* Effect.yieldNow
        }
      }),
    (handle) => Effect.sync(() => files.close(handle))
  ).pipe(Effect.catchDefect((cause) => (cause instanceof IoFailure || cause instanceof Damage ? Effect.fail(cause) : Effect.die(cause))))

function* openAndVerify(opening: TableOpening): StepMachine<TableVerification> {
  return yield* verifyTable(opening.crc32, yield* TableReader.opening(opening))
}

/** Reads every block of every table and every record of every value file of the version, past all caches, and checks them against their parents and against each other. */
const verifyFiles = (files: Files, directory: string, state: ManifestState) =>
  Effect.gen(function* () {
    const report = { tables: 0, valueFiles: 0, blocks: 0, entries: 0, bytes: 0 }
    for (const table of state.tables.values()) {
      const path = `${directory}/${fileName("table", table.fileId)}`
      const opening = { crc32, codecs, fileId: table.fileId, path, fileBytes: table.fileBytes, root: table.root, uuid: state.uuid }
      const found = yield* drive(files, path, openAndVerify(opening))
      report.tables++
      report.blocks += found.leafCount
      report.entries += found.entryCount
      report.bytes += table.fileBytes
    }
    for (const file of state.valueFiles.values()) {
      const path = `${directory}/${fileName("values", file.fileId)}`
      const found = yield* drive(
        files,
        path,
        walkValueFile({ crc32, codecs, fileId: file.fileId, path, fileBytes: file.fileBytes, uuid: state.uuid })
      )
      report.valueFiles++
      report.blocks += found.recordCount
      report.bytes += file.fileBytes
    }
    return report
  })

/** Verifies the files of the current version, the manifest, and the log as far as it is visible. Ends at the first damage, with its file and offset. */
export const verifyVersion = (parts: {
  readonly disk: Disk["Service"]
  readonly directory: string
  readonly tables: Tables["Service"]
  readonly manifest: Manifest["Service"]
  readonly wal: Wal["Service"]
}): Effect.Effect<VerifyReport, IoFailure | Damage> => {
  const { directory, disk, tables } = parts
  const files: Files = { open: (path) => disk.sync.open(path, "read"), close: (handle) => handle.close() }
  return Effect.acquireUseRelease(
    Effect.sync(tables.pin),
    ({ state }) =>
      Effect.flatMap(verifyFiles(files, directory, state), (report) => Effect.map(verifyOwnLog(parts), (log) => ({ ...report, ...log }))),
    (version) => Effect.sync(() => tables.unpin(version))
  )
}

/** The same beside a writer, of the version that is current now: its files are opened first, all of them, as the writer may remove them at any time. */
export const verifyAsReader = (parts: {
  readonly disk: Disk["Service"]
  readonly directory: string
  readonly memtableBytes: number
}): Effect.Effect<VerifyReport, IoFailure | Damage> =>
  Effect.suspend(() => {
    const { directory, disk } = parts
    const handles = new Map<string, FileHandle>()
    const letGo = () => {
      for (const handle of handles.values()) handle.close()
      handles.clear()
    }
    const take = (state: ManifestState) => {
      letGo()
      const open = (path: string) => handles.set(path, disk.sync.open(path, "read"))
      for (const { fileId } of state.tables.values()) open(`${directory}/${fileName("table", fileId)}`)
      for (const { fileId } of state.valueFiles.values()) open(`${directory}/${fileName("values", fileId)}`)
    }
    const files: Files = { open: (path) => handles.get(path)!, close: () => undefined }
    return Effect.flatMap(verifyReaderLog(parts, take), ({ log, state }) =>
      Effect.map(verifyFiles(files, directory, state), (report) => ({ ...report, ...log }))
    ).pipe(Effect.ensuring(Effect.sync(letGo)))
  })
