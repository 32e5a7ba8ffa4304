/** Reading files for `inspect`: single ones, wherever they lie, with positional reads; nothing is locked and nothing written. */
import { Damage, IoFailure } from "../../../domain/failures.ts"
import { type FileKind, parseFileName } from "../../../domain/manifest/fileNames.ts"
import { isManifest } from "../../../domain/manifest/walkManifest.ts"
import { isTable, tableFooterBytes } from "../../../domain/table/tableFormat.ts"
import { isValueFile } from "../../../domain/values/valueFormat.ts"
import type { SegmentSource } from "../../../domain/wal/SegmentSource.ts"
import { isSegment } from "../../../domain/wal/walkSegment.ts"
import { nodeDisk } from "../../../layers/disk/nodeDisk.ts"
import type { Items } from "./Item.ts"

/** An open file with the size it had when it was opened: a writer may go on appending to it. */
export interface Source extends SegmentSource {
  readonly name: string
}

export const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/** The items of a file that is open while they are made. */
export function* withFile(path: string, items: (source: Source) => Items): Items {
  const handle = nodeDisk.open(path, "read")
  try {
    const sizeBytes = handle.sizeBytes()
    yield* items({ path, name: baseName(path), sizeBytes: () => sizeBytes, readAt: (into, position) => handle.readAt(into, position) })
  } finally {
    handle.close()
  }
}

/** Exactly these bytes. Throws `Damage` "Truncated" where the file ends before. */
export const readExact = (source: Source, offset: number, length: number): Uint8Array => {
  if (offset < 0 || offset + length > source.sizeBytes())
    throw new Damage(source.path, Math.max(0, offset), "Truncated", `${length} bytes in a file of ${source.sizeBytes()}`)
  const bytes = new Uint8Array(length)
  const count = source.readAt(bytes, offset)
  if (count !== length) throw new Damage(source.path, offset, "Truncated", `${count} of ${length} bytes`)
  return bytes
}

/** As much of it as there is, from the beginning. */
export const readHead = (source: Source, length: number): Uint8Array => {
  const bytes = new Uint8Array(Math.min(length, source.sizeBytes()))
  return bytes.subarray(0, source.readAt(bytes, 0))
}

export type Kind = FileKind | "current"

/** What a file is: by what it begins or ends with, else by its name. `undefined` where it is none of a database's. */
export const recogniseKind = (source: Source): Kind | undefined => {
  const head = readHead(source, 8)
  if (head.length === 8) {
    if (isSegment(head)) return "log"
    if (isManifest(head)) return "manifest"
    if (isTable(head)) return "table"
    if (isValueFile(head)) return "values"
  }
  // Tables and value files end as they begin.
  const size = source.sizeBytes()
  const foot = size < tableFooterBytes ? new Uint8Array(0) : readExact(source, size - tableFooterBytes, 8)
  if (foot.length === 8) {
    if (isTable(foot)) return "table"
    if (isValueFile(foot)) return "values"
  }
  if (source.name === "CURRENT" || source.name === "CURRENT.tmp" || source.name === "CURRENT.checkpoint") return "current"
  return parseFileName(source.name)?.kind
}

/** What `run` throws as `Damage`, as a value. */
export const orDamage = <A>(run: () => A): A | Damage => {
  try {
    return run()
  } catch (cause) {
    if (cause instanceof Damage) return cause
    throw cause
  }
}

export const isGone = (cause: unknown): boolean => cause instanceof IoFailure && cause.code === "ENOENT"
