/** Keys and values as text that is safe on a terminal and exact in JSON. */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text whose UTF-8 bytes these are, or `undefined` where they are not UTF-8. */
export const decodeText = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const hexDigits = "0123456789abcdef"

/** "0x00ff…" of at most `bytesMax` bytes. */
export const formatHex = (bytes: Uint8Array, bytesMax = Number.POSITIVE_INFINITY): string => {
  const end = Math.min(bytes.length, bytesMax)
  let out = "0x"
  for (let i = 0; i < end; i++) out += hexDigits[bytes[i]! >> 4]! + hexDigits[bytes[i]! & 15]!
  return end < bytes.length ? `${out}…` : out
}

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" }

/**
 * Escapes what would break a line or steer a terminal: C0 and C1 controls, the backslash, bidirectional overrides, line separators.
 * One entry stays one line, and a value read from a file cannot move the cursor.
 */
export const escapeText = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u001f\u007f-\u009f\\\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
    const short = shortEscapes[character]
    if (short !== undefined) return short
    const code = character.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`
  })

/** One line: the escaped text, or hexadecimal with a leading 0x where the bytes are not UTF-8. */
export const formatLine = (bytes: Uint8Array): string => {
  const text = decodeText(bytes)
  return text === undefined ? formatHex(bytes) : escapeText(text)
}

/**
 * One line of at most `columns` characters; a cut one ends in "…". Only the bytes that can be shown are decoded, so a value of megabytes costs no more than a short one.
 */
export const formatLineCut = (bytes: Uint8Array, columns: number): string => {
  // A character is at most four bytes; a cut in the middle of one must not turn text into hexadecimal.
  let end = Math.min(bytes.length, columns * 4)
  if (end < bytes.length) while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  const line = formatLine(bytes.subarray(0, end))
  if (line.length <= columns && end === bytes.length) return line
  const kept = line.slice(0, Math.max(0, columns - 1))
  // Half of a surrogate pair at the cut would print as a replacement character.
  return `${/[\ud800-\udbff]$/.test(kept) ? kept.slice(0, -1) : kept}…`
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

/**
 * A field of a JSON object: `{ [name]: text }`, or `{ [nameBase64]: … }` where the bytes are not UTF-8, so that nothing is lost. `lightning import` reads both back.
 */
export const jsonField = <Name extends string>(name: Name, bytes: Uint8Array): Record<string, string> => {
  const text = decodeText(bytes)
  return text === undefined ? { [`${name}Base64`]: base64(bytes) } : { [name]: text }
}
