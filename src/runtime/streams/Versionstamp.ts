/**
 * Places in the commit order, as the ten bytes that `versionstampedKey` and `versionstampedValue` write: the sequence of the commit (8 bytes) and the index in its batch
 * (2 bytes), both big-endian, so that the order of the bytes is the order of the commits.
 */
import { InvalidValue } from "../../domain/errors.ts"
import { sequenceMax } from "../../domain/keys/kinds.ts"
import { versionstampBytes, versionstampIndexMax, withVersionstamp } from "../../domain/transaction/atomic.ts"
import { readU64 } from "./readU64.ts"

export interface Versionstamp {
  readonly sequence: number
  readonly index: number
}

export const bytesLength = versionstampBytes

/** Throws `RangeError` where a number is none that a commit can have. */
export const encode = ({ sequence, index }: Versionstamp): Uint8Array => {
  if (!Number.isInteger(sequence) || sequence < 0 || sequence > sequenceMax) throw new RangeError(`${sequence} is not a sequence`)
  if (!Number.isInteger(index) || index < 0 || index > versionstampIndexMax) throw new RangeError(`${index} is not an index in a batch`)
  return withVersionstamp(new Uint8Array(0), sequence, index)
}

/** Reads the ten bytes at `offset`. Throws `InvalidValue` where there are fewer. */
export const decode = (bytes: Uint8Array, offset = 0): Versionstamp => {
  if (offset < 0 || offset + bytesLength > bytes.length)
    throw new InvalidValue({ reason: "WrongType", found: `no versionstamp: ${Math.max(0, bytes.length - offset)} bytes` })
  return { sequence: readU64(bytes, offset), index: (bytes[offset + 8]! << 8) | bytes[offset + 9]! }
}

/** Negative where `a` comes before `b`. */
export const compare = (a: Versionstamp, b: Versionstamp): number => a.sequence - b.sequence || a.index - b.index
