import { Damage } from "../failures.ts"
import type { Crc32 } from "../seams.ts"
import { fileName, parseFileName } from "./fileNames.ts"

/**
 * The file `CURRENT`: the name of the manifest file and a newline, then the CRC-32 of that line as eight lower-case hexadecimal digits and a newline.
 * Text, so that people can read it; nothing but these exact bytes is accepted.
 */
export const encodeCurrent = (crc32: Crc32, manifestId: number): Uint8Array => {
  const line = `${fileName("manifest", manifestId)}\n`
  const sum = crc32(ascii(line))
  return ascii(`${line}${sum.toString(16).padStart(8, "0")}\n`)
}

/** The id of the manifest file that `CURRENT` names. Throws `Damage`: `Truncated` where it is empty, otherwise `ChecksumMismatch`. */
export const decodeCurrent = (crc32: Crc32, path: string, bytes: Uint8Array): number => {
  if (bytes.length === 0) throw new Damage(path, 0, "Truncated", "empty")
  const newline = bytes.indexOf(0x0a)
  const named = parseFileName(String.fromCharCode(...bytes.subarray(0, Math.min(Math.max(newline, 0), 64))))
  if (named === undefined || named.kind !== "manifest") throw new Damage(path, 0, "ChecksumMismatch", "no manifest file is named")
  const expected = encodeCurrent(crc32, named.id)
  if (bytes.length !== expected.length || bytes.some((byte, i) => byte !== expected[i])) throw new Damage(path, 0, "ChecksumMismatch")
  return named.id
}

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))
