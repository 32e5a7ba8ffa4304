import * as Effect from "effect/Effect"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { StepMachine } from "../../domain/steps.ts"
import { type TableOpening, TableReader } from "../../domain/table/TableReader.ts"
import { type TableVerification, verifyTable } from "../../domain/table/verifyTable.ts"
import { walkValueFile } from "../../domain/values/walkValueFile.ts"
import type { VerifyReport } from "../../services/Database.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Tables } from "../../services/Tables.ts"
import { codecs } from "../codecs.ts"
import { crc32 } from "../crc32.ts"
import { JobFiles } from "../jobs/JobFiles.ts"

/** Runs a machine that only reads, a slice per turn of the event loop. */
const drive = <A>(disk: Disk["Service"], directory: string, machine: StepMachine<A>): Effect.Effect<A, IoFailure | Damage> =>
  Effect.suspend(() => {
    const files = new JobFiles(disk.sync, directory)
    return Effect.gen(function* () {
      let answer: Uint8Array | undefined
      for (;;) {
        const step = machine.next(answer)
        if (step.done) return step.value
        answer = files.perform(step.value)
        yield* Effect.yieldNow
      }
    }).pipe(
      Effect.catchDefect((cause) => (cause instanceof IoFailure || cause instanceof Damage ? Effect.fail(cause) : Effect.die(cause))),
      Effect.ensuring(Effect.sync(() => files.close(false)))
    )
  })

function* openAndVerify(opening: TableOpening): StepMachine<TableVerification> {
  return yield* verifyTable(opening.crc32, yield* TableReader.opening(opening))
}

/**
 * Reads every block of every table and every record of every value file of the current version, past all caches, and checks them against their parents and against each
 * other. Ends at the first damage, with its file and offset.
 */
export const verifyVersion = (parts: {
  readonly disk: Disk["Service"]
  readonly directory: string
  readonly tables: Tables["Service"]
}): Effect.Effect<VerifyReport, IoFailure | Damage> =>
  Effect.acquireUseRelease(
    Effect.sync(parts.tables.pin),
    ({ state }) =>
      Effect.gen(function* () {
        const { directory, disk } = parts
        const report = { tables: 0, valueFiles: 0, blocks: 0, entries: 0, bytes: 0 }
        for (const table of state.tables.values()) {
          const path = `${directory}/${fileName("table", table.fileId)}`
          const opening = { crc32, codecs, fileId: table.fileId, path, fileBytes: table.fileBytes, root: table.root, uuid: state.uuid }
          const found = yield* drive(disk, directory, openAndVerify(opening))
          report.tables++
          report.blocks += found.leafCount
          report.entries += found.entryCount
          report.bytes += table.fileBytes
        }
        for (const file of state.valueFiles.values()) {
          const path = `${directory}/${fileName("values", file.fileId)}`
          const found = yield* drive(
            disk,
            directory,
            walkValueFile({ crc32, codecs, fileId: file.fileId, path, fileBytes: file.fileBytes, uuid: state.uuid })
          )
          report.valueFiles++
          report.blocks += found.recordCount
          report.bytes += file.fileBytes
        }
        return report
      }),
    (version) => Effect.sync(() => parts.tables.unpin(version))
  )
