/** What the directory around a file says about it: the current manifest, as far as it can be read, and whether somebody writes. */
import * as fs from "node:fs"
import * as os from "node:os"
import { Damage } from "../../../domain/failures.ts"
import { decodeCurrent } from "../../../domain/manifest/current.ts"
import { currentFileName, fileName, lockOwnerFileName } from "../../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../../domain/manifest/ManifestState.ts"
import { walkManifest } from "../../../domain/manifest/walkManifest.ts"
import { crc32 } from "../../../layers/crc32.ts"
import { nodeDisk } from "../../../layers/disk/nodeDisk.ts"
import { readWhole } from "../../../layers/recovery/readState.ts"
import { isGone } from "./files.ts"

export interface Surroundings {
  readonly directory: string
  /** Whether there is a `CURRENT`. */
  readonly isDatabase: boolean
  readonly manifestId: number | undefined
  /** As of the last record that could be read; undefined where none could. */
  readonly state: ManifestState | undefined
  /** What is wrong with `CURRENT` or the manifest. */
  readonly damages: ReadonlyArray<Damage>
  /** The process that says it has the database open for writing. */
  readonly writerPid: number | undefined
}

/** Reads what is there. Throws `IoFailure` where reading fails, never `Damage`. */
export const surroundingsOf = (directory: string): Surroundings => {
  const currentPath = `${directory}/${currentFileName}`
  const damages: Array<Damage> = []
  const writerPid = writerOf(directory)
  const blank = { directory, damages, writerPid, manifestId: undefined, state: undefined }
  let manifestId: number
  try {
    manifestId = decodeCurrent(crc32, currentPath, readWhole(nodeDisk, currentPath))
  } catch (cause) {
    if (isGone(cause)) return { ...blank, isDatabase: false }
    if (!(cause instanceof Damage)) throw cause
    damages.push(cause)
    return { ...blank, isDatabase: true }
  }
  const manifestPath = `${directory}/${fileName("manifest", manifestId)}`
  let bytes: Uint8Array
  try {
    bytes = readWhole(nodeDisk, manifestPath)
  } catch (cause) {
    if (!isGone(cause)) throw cause
    damages.push(new Damage(manifestPath, 0, "Missing", "CURRENT names this manifest"))
    return { ...blank, manifestId, isDatabase: true }
  }
  let state: ManifestState | undefined
  for (const part of walkManifest(crc32, manifestPath, bytes)) {
    if (part.type === "damagedHeader") damages.push(part.problem)
    else if (part.type === "gap" && part.laterRecords)
      damages.push(new Damage(manifestPath, part.offset, "ChecksumMismatch", "no valid record, and one follows"))
    else if (part.type === "record") {
      state = part.state ?? state
      if (part.problem !== undefined) damages.push(part.problem)
    }
  }
  if (state === undefined && damages.length === 0) damages.push(new Damage(manifestPath, 4096, "Truncated", "no snapshot"))
  return { directory, isDatabase: true, manifestId, state, damages, writerPid }
}

/** The note beside the lock is for messages only; a process that is gone has left it behind. */
const writerOf = (directory: string): number | undefined => {
  try {
    const [pidText, host] = fs.readFileSync(`${directory}/${lockOwnerFileName}`, "utf8").split("\n")
    const pid = Number(pidText)
    if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
    if (host === os.hostname()) process.kill(pid, 0)
    return pid
  } catch {
    return undefined
  }
}
