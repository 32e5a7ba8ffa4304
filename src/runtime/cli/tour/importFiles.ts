/** Step one of the tour: the text files of the installed dependencies, path -> content, and their metadata in a second keyspace. */
import * as Effect from "effect/Effect"
import { crc32 } from "node:zlib"
import type { DatabaseShape } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatProblem, type ImportEvent } from "../importing/batches.ts"
import { defaultBatch, importEvents, makeImportState } from "../importing/importing.ts"
import { type InputMeter, treeEvents } from "../importing/sources.ts"
import { withProgress } from "../progress.ts"
import { realPath } from "../shared.ts"

export const metadataKeyspace = "meta"
const extensions = [".d.ts", ".js", ".md", ".json", ".ts", ".mjs", ".cjs"]

export interface ImportedFiles {
  readonly files: number
  readonly bytes: number
  readonly milliseconds: number
  /** The files were cut off at the cap: there would have been more. */
  readonly capped: boolean
  /** Checksum of each file's content by key: what the database must hold, however it is killed. */
  readonly checksums: ReadonlyMap<string, number>
}

export const importFiles = Effect.fnUntraced(function* (
  db: DatabaseShape,
  options: { readonly root: string; readonly exclude: string; readonly bytesMax: number; readonly quiet: boolean }
) {
  yield* Effect.mapError(db.keyspace(metadataKeyspace), explain)
  const meter: InputMeter = { bytes: 0 }
  const checksums = new Map<string, number>()
  let capped = false
  const events = treeEvents(
    realPath(options.root),
    {
      extensions,
      exclude: [realPath(options.exclude)],
      // The binaries of Node itself: 190 MB, and their headers are not what the tour is about.
      skipDirectory: (name) => name.startsWith("node-linux-"),
      keyPrefix: "",
      metadata: metadataKeyspace,
      filesMax: 16,
      readBytesMax: 32 * 1024 * 1024
    },
    meter
  )
  const checked = async function* (): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
    for await (const group of events) {
      for (const event of group) {
        const put = event.type === "item" ? event.operations[0] : undefined
        if (put?.type === "put" && typeof put.key === "string") checksums.set(put.key, crc32(put.value))
      }
      yield group
      if (meter.bytes >= options.bytesMax) {
        capped = true
        return
      }
    }
  }
  const state = makeImportState()
  const startMs = performance.now()
  yield* withProgress(
    () => ({ verb: "importing", done: state.entries, noun: ["file", "files"], bytes: state.bytes, bytesTotal: undefined }),
    options.quiet,
    importEvents(db, checked(), { ...defaultBatch, durability: "sync", onError: "stop" }, meter, state, () => {})
  )
  if (state.stop !== undefined) {
    return yield* new CliFailure({ tag: "MalformedInput", message: formatProblem(state.stop), exitCode: ExitCode.failure })
  }
  const files: ImportedFiles = { files: state.entries, bytes: state.bytes, milliseconds: performance.now() - startMs, capped, checksums }
  return files
})
