/**
 * The value an operation replaced, where its keyspace asks the log to keep it: the value the key had after all that is logged before the operation, its own transaction's range
 * deletes included.
 *
 *     before-image  0 varint: there was no value | length + 1 varint, bytes
 */
import { MalformedBytes, readVarint, varintEnd } from "../bytes/varint.ts"

/** `null`: there was no value. `undefined`: it is not kept, which says nothing. */
export type BeforeImage = Uint8Array | null | undefined

/** Stands for the start of an image where there are no bytes of one. */
export const ImagePlace = { notKept: -1, none: -2 } as const

let imageEnd = 0

/** The offset after the image read last: take it before reading the next one. */
export const beforeImageEnd = (): number => imageEnd

/** Reads the image at `at`, which must end by `end`: where its bytes start, or `ImagePlace.none`. Throws `MalformedBytes`. */
export const readBeforeImage = (bytes: Uint8Array, at: number, end: number): number => {
  const given = readVarint(bytes, at, end)
  const start = varintEnd()
  if (given === 0) {
    imageEnd = start
    return ImagePlace.none
  }
  if (given - 1 > end - start) throw new MalformedBytes(`a before-image of ${given - 1} bytes runs past the end of its transaction`)
  imageEnd = start + given - 1
  return start
}

/** The image as a visitor is told it: a view. */
export const beforeImageView = (bytes: Uint8Array, start: number, end: number): BeforeImage =>
  start === ImagePlace.notKept ? undefined : start === ImagePlace.none ? null : bytes.subarray(start, end)
