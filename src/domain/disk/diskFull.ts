import { IoFailure } from "../failures.ts"

/** What the system says where no space, or no quota, is left. */
const fullCodes: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"])
/** A sync that fails has lost what it covered, whatever code it fails with: that is no matter of space any more. */
const syncOperations: ReadonlySet<string> = new Set(["datasync", "syncDirectory"])

/** Whether an operation found no room: a write, an open, a rename, and never a sync. Nothing is lost then, and the same may be tried again once there is room. */
export const isDiskFull = (cause: unknown): cause is IoFailure =>
  cause instanceof IoFailure && fullCodes.has(cause.code) && !syncOperations.has(cause.operation)

/**
 * Bytes that no file system makes shorter, to take room with: the same at every call (xorshift, period 2^32 - 1). `lengthBytes` is a multiple of 4.
 */
export const fillerBytes = (lengthBytes: number): Uint8Array => {
  const words = new Uint32Array(lengthBytes / 4)
  let x = 0x9e3779b9
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return new Uint8Array(words.buffer)
}
