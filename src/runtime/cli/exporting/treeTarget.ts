import * as Effect from "effect/Effect"
import type { ExportEntry } from "./encoder.ts"
import { attempt } from "./io.ts"
import { FileConflicts, nameProblem, pathOfKey } from "./keyPath.ts"
import type { ExportTarget } from "./target.ts"
import type { TreeWriter } from "./treeWriter.ts"
import type { CliFailure } from "../CliFailure.ts"

/** Entries between two points to go on from, and the bytes of their values. What lies after such a point may have been written by a run that was stopped. */
const cutEntries = 1000
const cutBytes = 16 * 1024 * 1024

export interface TreeTargetOptions {
  /** Undefined: `--dry-run`. */
  readonly writer: TreeWriter | undefined
  /** A directory for each keyspace. */
  readonly all: boolean
  readonly ignoreExpiry: boolean
  /** Paths that are not the export's: of the database, and of its own work. */
  readonly reserved: ReadonlyArray<string>
  readonly bytesBefore: number
  readonly onError: (error: unknown) => CliFailure
}

/** Entries as files: key -> relative path, value -> content. */
export const treeTarget = (options: TreeTargetOptions): ExportTarget => {
  const { all, ignoreExpiry, reserved, writer } = options
  const windows = process.platform === "win32"
  let bytes = options.bytesBefore
  let sinceCut = 0
  let bytesSinceCut = 0
  let space: { readonly name: string | undefined; readonly conflicts: FileConflicts; readonly refused: string | undefined } | undefined

  const spaceOf = (name: string | undefined) => {
    if (space !== undefined && space.name === name) return space
    const problem = name === undefined ? undefined : name.includes("/") ? "a slash is in it" : nameProblem(name, windows)
    space = {
      name,
      conflicts: new FileConflicts(),
      refused: problem === undefined ? undefined : `its keyspace cannot be a directory: ${problem.replace(/^it/, "its name")}`
    }
    return space
  }

  const place = (entry: ExportEntry): { readonly path: string } | { readonly reason: string } => {
    const { conflicts, refused } = spaceOf(entry.keyspace)
    if (refused !== undefined) return { reason: refused }
    const found = pathOfKey(entry.key, windows)
    if ("reason" in found) return found
    if (entry.expiresAt !== undefined && !ignoreExpiry)
      return { reason: `it expires at ${new Date(entry.expiresAt).toISOString()}, which a file cannot; --ignore-expiry writes it all the same` }
    const full = all ? `${entry.keyspace ?? "default"}/${found.path}` : found.path
    for (const path of reserved)
      if (full === path || full.startsWith(`${path}/`)) return { reason: "its file would lie within the database, or the work of this export" }
    const file = conflicts.add(found.path)
    return file === undefined ? { path: full } : { reason: `the key ${JSON.stringify(file)} is a file, so that nothing can lie below it` }
  }

  const flush = Effect.suspend(() => writer?.flush ?? Effect.void)

  return {
    take: (entry) => {
      // Those that are refused count too: a run that is resumed meets them again.
      sinceCut++
      const found = place(entry)
      if ("reason" in found) return found.reason
      const written = attempt(() => writer?.write(found.path, entry.value), options.onError)
      return Effect.flatMap(written, (refused) => {
        if (refused !== undefined) return Effect.succeed(refused)
        bytes += entry.value.length
        bytesSinceCut += entry.value.length
        return Effect.undefined
      })
    },
    wantsCut: () => sinceCut >= cutEntries || bytesSinceCut >= cutBytes,
    cut: Effect.map(flush, () => {
      sinceCut = 0
      bytesSinceCut = 0
      // The run before wrote no further than this.
      writer?.endReplay()
      return bytes
    }),
    finish: flush,
    bytes: () => bytes
  }
}
