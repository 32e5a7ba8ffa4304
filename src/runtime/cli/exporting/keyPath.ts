/** Keys as relative paths of files, and why some cannot be one. */
import { decodeText } from "../format/bytesText.ts"

/** Of one name on every file system there is. */
const nameBytesMax = 255

/** A key as a path of the platform, or the reason why it is none. Pure: nothing is looked at. */
export const pathOfKey = (key: Uint8Array, windows: boolean): { readonly path: string } | { readonly reason: string } => {
  const text = decodeText(key)
  if (text === undefined) return { reason: "it is not UTF-8" }
  if (text.includes("\0")) return { reason: "it holds a NUL" }
  if (text.startsWith("/")) return { reason: "it begins with a slash" }
  if (text.endsWith("/")) return { reason: "it ends with a slash" }
  for (const name of text.split("/")) {
    const reason = nameProblem(name, windows)
    if (reason !== undefined) return { reason }
  }
  return { path: text }
}

/** Why a segment cannot be the name of a file or directory. */
export const nameProblem = (name: string, windows: boolean): string | undefined => {
  if (name === "") return "it has an empty segment"
  if (name === "." || name === "..") return `it has the segment "${name}"`
  if (name.length > nameBytesMax / 4 && Buffer.byteLength(name) > nameBytesMax) return `it has a segment of more than ${nameBytesMax} bytes`
  if (!windows) return undefined
  // A backslash or a colon would lead elsewhere, the reserved names are devices, and the ends below are cut off without a word.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0001-\u001f<>:"\\|?*]/.test(name)) return "it holds a character that Windows does not allow in names"
  if (/^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i.test(name)) return "it has a segment that Windows keeps for devices"
  return /[ .]$/.test(name) ? "it has a segment that ends with a dot or a space" : undefined
}

/**
 * Finds keys below the path of another key ("a" and "a/b": a file and a directory of one name). Given the paths in the byte order of their keys, it remembers only those that
 * the present one begins with.
 */
export class FileConflicts {
  private files: Array<string> = []

  /** The file that stands in the way of this path, if any. Else the path becomes a file itself. */
  add(path: string): string | undefined {
    // "a" is over when keys no longer begin with it; "a-b" lies between "a" and "a/b" and does.
    while (this.files.length > 0 && !path.startsWith(this.files[this.files.length - 1]!)) this.files.pop()
    for (const file of this.files) if (path.charCodeAt(file.length) === 0x2f) return file
    this.files.push(path)
    return undefined
  }
}
