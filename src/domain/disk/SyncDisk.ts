/**
 * The file system as the engine sees it: plain synchronous calls, no Effect, no `node:` import.
 *
 * The node, memory, simulated and faulty disks implement these interfaces; the worker entry uses the node one directly. Every method throws
 * `IoFailure` (see `failures.ts`) and nothing else. Paths are absolute or relative as the implementation decides; names inside a database
 * directory are plain file names joined with "/".
 */
export interface FileHandle {
  readonly path: string
  /** Fills `into` from byte `position`; returns the count, which is short only at the end of the file. Short reads of the system are continued. */
  readonly readAt: (into: Uint8Array, position: number) => number
  /** Writes all buffers, one after the other, from byte `position`. Short writes of the system are continued; a write without progress throws. */
  readonly writev: (buffers: ReadonlyArray<Uint8Array>, position: number) => void
  /** Returns once the file's bytes and its length are on stable storage. Never call again on a handle whose datasync threw. */
  readonly datasync: () => void
  readonly sizeBytes: () => number
  readonly truncate: (lengthBytes: number) => void
  /** The file is closed whatever the system says, and nobody is told what it says: what counts was said by `datasync`. Throws only where it was closed already. */
  readonly close: () => void
}

/** `read`: must exist. `create`: must not exist, read and write. `write`: must exist, read and write. */
export type OpenMode = "read" | "create" | "write"

export interface SyncDisk {
  readonly open: (path: string, mode: OpenMode) => FileHandle
  /** Names in the directory, in no particular order. */
  readonly list: (directory: string) => ReadonlyArray<string>
  /** `undefined` where nothing is there. */
  readonly stat: (path: string) => { readonly kind: "file" | "directory"; readonly sizeBytes: number; readonly inode: number } | undefined
  /** Creates the directory and its parents; existing ones are fine. */
  readonly makeDirectory: (path: string) => void
  readonly rename: (from: string, to: string) => void
  readonly remove: (path: string) => void
  /** Hard link; throws `IoFailure` with code EXDEV or EPERM where the file system has none. */
  readonly link: (from: string, to: string) => void
  /** Makes creates, renames, links and removes in the directory durable. */
  readonly syncDirectory: (path: string) => void
  /** Bytes that this process may still write there; `undefined` (or the method missing) where that cannot be told. Quotas may leave less. */
  readonly freeBytes?: ((path: string) => number | undefined) | undefined
}
