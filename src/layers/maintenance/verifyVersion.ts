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
import { readCurrentManifest } from "../recovery/readState.ts"
import { verifyOwnLog, verifyReaderLog, verifySegments } from "./verifyLog.ts"
import { WorkCounter } from "./WorkCounter.ts"

/** How a verification is followed. */
export interface VerifyWatch {
  readonly counter: WorkCounter
  /** Hears of each damaged file; the verification goes on. Without it the first damage ends it. */
  readonly onDamage?: ((damage: Damage) => void) | undefined
  /** Called when it is known how much there is to read. */
  readonly onStart?: (() => void) | undefined
}

/** Where the files of a version are read from. */
interface Files {
  readonly open: (path: string) => FileHandle
  readonly close: (handle: FileHandle) => void
}

/** Runs a machine that only reads one file, a slice per turn of the event loop. */
const drive = <A>(files: Files, path: string, counter: WorkCounter, machine: StepMachine<A>): Effect.Effect<A, IoFailure | Damage> =>
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
            counter.done += count
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
const verifyFiles = (files: Files, directory: string, state: ManifestState, { counter, onDamage, onStart }: VerifyWatch) =>
  Effect.gen(function* () {
    const report = { tables: 0, valueFiles: 0, blocks: 0, entries: 0, bytes: 0 }
    for (const { fileBytes } of [...state.tables.values(), ...state.valueFiles.values()]) counter.total += fileBytes
    onStart?.()
    /** One file, which counts as read however far it could be. Undefined where it is damaged and that is no end. */
    const verified = <A>(path: string, fileBytes: number, machine: StepMachine<A>): Effect.Effect<A | undefined, IoFailure | Damage> => {
      const before = counter.done
      const run = drive(files, path, counter, machine)
      return Effect.tap(
        onDamage === undefined
          ? run
          : Effect.catchIf(
              run,
              (error) => error instanceof Damage,
              (damage) =>
                Effect.sync(() => {
                  onDamage(damage)
                  return undefined
                })
            ),
        () =>
          Effect.sync(() => {
            counter.done = before + fileBytes
          })
      )
    }
    for (const table of state.tables.values()) {
      const path = `${directory}/${fileName("table", table.fileId)}`
      const opening = { crc32, codecs, fileId: table.fileId, path, fileBytes: table.fileBytes, root: table.root, uuid: state.uuid }
      const found = yield* verified(path, table.fileBytes, openAndVerify(opening))
      if (found === undefined) continue
      report.tables++
      report.blocks += found.leafCount
      report.entries += found.entryCount
      report.bytes += table.fileBytes
    }
    for (const file of state.valueFiles.values()) {
      const path = `${directory}/${fileName("values", file.fileId)}`
      const found = yield* verified(
        path,
        file.fileBytes,
        walkValueFile({ crc32, codecs, fileId: file.fileId, path, fileBytes: file.fileBytes, uuid: state.uuid })
      )
      if (found === undefined) continue
      report.valueFiles++
      report.blocks += found.recordCount
      report.bytes += file.fileBytes
    }
    return report
  })

/**
 * Verifies the files of the current version, the manifest, and the log as far as it is visible. Ends at the first damage, with its file and offset; with `onDamage` it goes on with the
 * next file.
 */
export const verifyVersion = (
  parts: {
    readonly disk: Disk["Service"]
    readonly directory: string
    readonly tables: Tables["Service"]
    readonly manifest: Manifest["Service"]
    readonly wal: Wal["Service"]
  },
  watch: VerifyWatch = { counter: new WorkCounter() }
): Effect.Effect<VerifyReport, IoFailure | Damage> => {
  const { directory, disk, tables } = parts
  const files: Files = {
    open: (path) => {
      try {
        return disk.sync.open(path, "read")
      } catch (cause) {
        // The version is pinned: nobody has let go of it.
        throw cause instanceof IoFailure && cause.code === "ENOENT" ? new Damage(path, 0, "Missing", "the manifest names this file") : cause
      }
    },
    close: (handle) => handle.close()
  }
  return Effect.acquireUseRelease(
    Effect.sync(tables.pin),
    ({ state }) =>
      Effect.flatMap(verifyFiles(files, directory, state, watch), (report) =>
        Effect.map(verifyOwnLog(parts, watch.onDamage), (log) => ({ ...report, ...log }))
      ),
    (version) => Effect.sync(() => tables.unpin(version))
  )
}

/** The disk and the directory are all that a reader needs. */
export interface ReaderParts {
  readonly disk: Pick<Disk["Service"], "sync">
  readonly directory: string
  readonly memtableBytes: number
}

/** The same beside a writer, of the version that is current now: its files are opened first, all of them, as the writer may remove them at any time. */
export const verifyAsReader = (
  parts: ReaderParts,
  watch: VerifyWatch = { counter: new WorkCounter() }
): Effect.Effect<VerifyReport, IoFailure | Damage> =>
  Effect.suspend(() => {
    const { directory, disk } = parts
    const { onDamage } = watch
    const handles = new Map<string, FileHandle>()
    const missing = new Set<string>()
    const letGo = () => {
      for (const handle of handles.values()) handle.close()
      handles.clear()
      missing.clear()
    }
    const isGone = (cause: unknown) => cause instanceof IoFailure && cause.code === "ENOENT"
    const take = (state: ManifestState) => {
      letGo()
      const open = (path: string) => {
        try {
          handles.set(path, disk.sync.open(path, "read"))
        } catch (cause) {
          // One that is gone because the writer has moved on is not missed: then everything is taken anew. One that is still named is.
          if (onDamage === undefined || !isGone(cause) || !isStillNamed(parts, state)) throw cause
          missing.add(path)
        }
      }
      for (const { fileId } of state.tables.values()) open(`${directory}/${fileName("table", fileId)}`)
      for (const { fileId } of state.valueFiles.values()) open(`${directory}/${fileName("values", fileId)}`)
    }
    const files: Files = {
      open: (path) => {
        const handle = handles.get(path)
        if (handle === undefined) throw new Damage(path, 0, "Missing", "the manifest names this file")
        return handle
      },
      close: () => undefined
    }
    return Effect.flatMap(onDamage === undefined ? verifyReaderLog(parts, take) : readerLogGoingOn(parts, take, onDamage), ({ log, state }) =>
      Effect.map(verifyFiles(files, directory, state, watch), (report) => ({ ...report, ...log }))
    ).pipe(
      Effect.catchIf(
        (error): error is Damage => onDamage !== undefined && error instanceof Damage,
        (damage) =>
          Effect.sync(() => {
            // There is no list of files to go on with.
            onDamage?.(damage)
            return { tables: 0, valueFiles: 0, blocks: 0, entries: 0, bytes: 0, logSegments: 0, logBytes: 0 }
          })
      ),
      Effect.ensuring(Effect.sync(letGo))
    )
  })

/** Whether the manifest is still the one that made this state: the files it names were there to be taken. */
const isStillNamed = ({ directory, disk }: ReaderParts, state: ManifestState): boolean => {
  const now = readCurrentManifest(disk.sync, directory, "read")?.state
  return (
    now !== undefined &&
    now.epoch === state.epoch &&
    [...state.tables.keys()].every((id) => now.tables.has(id)) &&
    [...state.valueFiles.keys()].every((id) => now.valueFiles.has(id))
  )
}

/** Where the log is damaged, the manifest still says which files there are, and which other segments. */
const readerLogGoingOn = (parts: ReaderParts, take: (state: ManifestState) => void, onDamage: (damage: Damage) => void) =>
  Effect.catch(verifyReaderLog(parts, take, onDamage), (error) =>
    Effect.suspend(() => {
      if (!(error instanceof Damage)) return Effect.fail(error)
      try {
        const state = readCurrentManifest(parts.disk.sync, parts.directory, "read")?.state
        if (state === undefined) return Effect.fail(error)
        onDamage(error)
        take(state)
        return Effect.succeed({ log: verifySegments(parts, state, error.file, onDamage), state })
      } catch (cause) {
        return cause instanceof Damage || cause instanceof IoFailure ? Effect.fail(cause) : Effect.die(cause)
      }
    })
  )
