import { readFileSync } from "node:fs"

/**
 * The bytes of the worked example in docs/format/<name>.md: lines of offset, hexadecimal bytes and, after a bar, a remark. Offsets are hexadecimal; bytes
 * that no line names are zero; the line that ends the example has an offset only, the length.
 */
export const docExample = (name: string): Uint8Array => {
  const text = readFileSync(new URL(`../../../docs/format/${name}.md`, import.meta.url), "utf8")
  const block = /```hex\n([\s\S]*?)```/.exec(text)![1]!
  const lines = block
    .trim()
    .split("\n")
    .map((line) => line.split("|")[0]!.trim().split(/\s+/))
  const bytes = new Uint8Array(Number.parseInt(lines.at(-1)![0]!, 16))
  let written = 0
  for (const [offset, ...hex] of lines) {
    const at = Number.parseInt(offset!, 16)
    if (at < written) throw new Error(`the example goes back at ${offset}`)
    bytes.set(
      hex.map((byte) => Number.parseInt(byte, 16)),
      at
    )
    written = at + hex.length
  }
  return bytes
}
