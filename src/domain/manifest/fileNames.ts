/** The names of the files of a database directory. One counter gives the ids of all kinds, and none is ever used again. */

/** A kind is also the extension: `000042.table`. */
export const FileKind = { log: "log", manifest: "manifest", table: "table", values: "values" } as const
export type FileKind = (typeof FileKind)[keyof typeof FileKind]

/** Names the current manifest file. */
export const currentFileName = "CURRENT"
/** The next `CURRENT`, before it is renamed. */
export const currentTemporaryFileName = "CURRENT.tmp"
/** The `CURRENT` of a checkpoint that is being made: where it stands, no database is opened and none is begun. */
export const checkpointFileName = "CURRENT.checkpoint"
/** Held by the process that has the database open for writing. */
export const lockFileName = "LOCK"
/** Who holds the lock, for messages only. */
export const lockOwnerFileName = "LOCK.owner"

/** Room that is kept ready for a full disk: its content means nothing. */
export const reserveFileName = "RESERVE"
/** The next `RESERVE`, before it is whole. */
export const reserveTemporaryFileName = "RESERVE.tmp"

/** `fileName("log", 1)` is `000001.log`. Ids are integers from 1 to 2^53 - 1. */
export const fileName = (kind: FileKind, id: number): string => `${String(id).padStart(6, "0")}.${kind}`

const pattern = /^(\d{6,16})\.(log|manifest|table|values)$/

/** The kind and id of a file name of ours; `undefined` for any other name, also for another spelling of one of ours. */
export const parseFileName = (name: string): { readonly kind: FileKind; readonly id: number } | undefined => {
  const match = pattern.exec(name)
  if (match === null) return undefined
  const id = Number(match[1])
  const kind = match[2] as FileKind
  return id >= 1 && id <= Number.MAX_SAFE_INTEGER && fileName(kind, id) === name ? { kind, id } : undefined
}
