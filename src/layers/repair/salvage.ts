import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CorruptFile, DatabaseLocked, type OpenError } from "../../domain/errors.ts"
import { encodeCurrent } from "../../domain/manifest/current.ts"
import { currentFileName, fileName } from "../../domain/manifest/fileNames.ts"
import { encodeManifest } from "../../domain/manifest/manifestFile.ts"
import type { SalvageReport } from "../../domain/repair/RepairReport.ts"
import type { Database } from "../../services/Database.ts"
import { Disk } from "../../services/Disk.ts"
import { EngineClock } from "../../services/EngineClock.ts"
import { EngineOptions } from "../../services/EngineOptions.ts"
import { Entropy } from "../../services/Entropy.ts"
import { crc32 } from "../crc32.ts"
import { fromSyncDisk } from "../disk/fromSyncDisk.ts"
import { MemoryDisk } from "../disk/MemoryDisk.ts"
import { WorkCounter } from "../maintenance/WorkCounter.ts"
import { inSlices } from "./inSlices.ts"
import { firstOf } from "./OverlayDisk.ts"
import { type Rebuilt, rebuild, TooMuchToRebuild } from "./rebuild.ts"
import { repairError } from "./repairError.ts"
import { Salvaged } from "./SalvagedReads.ts"
import { type DirectorySurvey, surveyDirectory } from "./surveyDirectory.ts"

/** What has to be made anew is held in memory, and is no more than this. */
const memoryBytesMax = 256 << 20
/** How often it begins again because a writer changed what it was reading. */
const attemptsMax = 3

export const reportOf = (survey: DirectorySurvey, rebuilt: Rebuilt | undefined, keptFiles: number): SalvageReport => ({
  healthy: survey.isHealthy,
  sequence: rebuilt?.sequence ?? survey.run.through,
  losses: rebuilt?.losses ?? [],
  laterTransactions: rebuilt?.laterTransactions ?? 0,
  read: {
    tables: survey.tables.size,
    valueFiles: survey.values.size + survey.damagedValues.size,
    logSegments: survey.log.segments,
    bytes: survey.bytesRead
  },
  made: {
    keptFiles,
    rewrittenTables: rebuilt?.rewrittenTables ?? 0,
    mergedTables: rebuilt?.mergedTables ?? 0,
    movedValues: rebuilt?.movedValues ?? 0,
    replayedTransactions: rebuilt?.replayedTransactions ?? 0,
    rebuiltFrom: rebuilt?.rebuiltFrom
  },
  namedKeyspaces: rebuilt?.namedKeyspaces ?? []
})

/** What tells one state of the directory from the next: a writer replaces CURRENT when it opens, and appends to log and manifest. */
const stampOf = (disk: Disk["Service"], directory: string): string =>
  disk.sync
    .list(directory)
    .filter((name) => /^(?:CURRENT|.*\.(?:log|manifest|table|values))$/.test(name))
    .sort()
    .map((name) => {
      const stat = disk.sync.stat(`${directory}/${name}`)
      return `${name} ${stat?.inode} ${stat?.sizeBytes}`
    })
    .join("\n")

/** The disk of a directory of which only what can be read is shown, and the report on it. Takes no lock and writes nothing. */
const salvaged = Effect.gen(function* () {
  const disk = yield* Disk
  const clock = yield* EngineClock
  const entropy = yield* Entropy
  const { memtableBytes, path: directory } = yield* EngineOptions
  for (let attempt = 1; ; attempt++) {
    const before = yield* Effect.try({ try: () => stampOf(disk, directory), catch: (cause) => repairError(directory, cause) })
    const counter = new WorkCounter()
    const made = yield* inSlices(
      directory,
      function* () {
        const survey = yield* surveyDirectory(disk.sync, directory, counter)
        if (survey.isHealthy) return { sync: disk.sync, report: reportOf(survey, undefined, 0) }
        const memory = new MemoryDisk()
        memory.makeDirectory(directory)
        let keptFiles = 0
        const rebuilt = yield* rebuild(
          survey,
          { disk: memory, directory, keep: () => void keptFiles++, bytesMax: memoryBytesMax },
          {
            randomBytes: entropy.bytes,
            memtableBytes,
            raiseTime: (ms) => {
              clock.raise(ms)
              return clock.nowMs()
            }
          }
        )
        const write = (name: string, bytes: Uint8Array) => {
          const handle = memory.open(`${directory}/${name}`, "create")
          handle.writev([bytes], 0)
          handle.close()
        }
        write(fileName("manifest", rebuilt.manifestId), encodeManifest(crc32, rebuilt.manifestId, rebuilt.state).bytes)
        write(currentFileName, encodeCurrent(crc32, rebuilt.manifestId))
        return { sync: firstOf(memory, directory, disk.sync, directory), report: reportOf(survey, rebuilt, keptFiles) }
      },
      counter
    ).pipe(
      Effect.catchDefect((defect) =>
        defect instanceof TooMuchToRebuild
          ? Effect.fail(
              new CorruptFile({
                file: directory,
                offsetBytes: 0,
                reason: "Unexpected",
                detail: `more than ${memoryBytesMax >> 20} MiB would have to be made anew in memory: repair it into another directory, and open that`
              })
            )
          : Effect.die(defect)
      )
    )
    const after = yield* Effect.try({ try: () => stampOf(disk, directory), catch: (cause) => repairError(directory, cause) })
    if (after === before) return made
    if (attempt === attemptsMax)
      return yield* new DatabaseLocked({ path: directory, detail: "it is being written to; salvage reads what nobody writes" })
  }
})

/** A reader over what can be salvaged. */
export const layer = <R>(
  reader: Layer.Layer<Database, OpenError, Disk | R>
): Layer.Layer<Database, OpenError, Disk | EngineOptions | EngineClock | Entropy | R> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const disk = yield* Disk
      const { report, sync } = yield* salvaged
      const { durable, kind, lock } = disk
      const shown = sync === disk.sync ? disk : fromSyncDisk(sync, { kind, durable, lock, sharedWithWorkers: false })
      return reader.pipe(Layer.provide(Layer.succeedContext(Context.make(Disk, shown).pipe(Context.add(Salvaged, report)))))
    })
  )
