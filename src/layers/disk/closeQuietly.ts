import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"

/** Of a file that is given up, or of which everything that counts was said by its `datasync`. */
export const closeQuietly = (handle: FileHandle): void => {
  try {
    handle.close()
  } catch (cause) {
    if (!(cause instanceof IoFailure)) throw cause
  }
}
