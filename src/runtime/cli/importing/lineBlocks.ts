/** Cuts a stream of bytes at line breaks into blocks of whole lines, holding at most one line and one chunk in memory. */

export interface LineBlock {
  /** Whole lines with their breaks; only the last one of the input may have none. Empty where `tooLong`. */
  readonly bytes: Uint8Array
  /** One line, longer than allowed, is left out here. */
  readonly tooLong: boolean
  /** Bytes of input that this block stands for. */
  readonly inputBytes: number
}

const lineFeed = 10
const none = new Uint8Array(0)

/** A view as a plain array: views of a Buffer are Buffers, which cost more to make. */
const plainView = (chunk: Uint8Array): Uint8Array => new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)

const block = (bytes: Uint8Array): LineBlock => ({ bytes, tooLong: false, inputBytes: bytes.length })

/**
 * The blocks keep their memory: nothing is written over it later. A line is counted with its break. The limit is there for the memory, so it is looked at where a line spans chunks: one that
 * lies within a chunk is never too long.
 */
export async function* lineBlocks(source: AsyncIterable<Uint8Array>, lineBytesMax: number): AsyncGenerator<LineBlock, void, undefined> {
  let pieces: Array<Uint8Array> = []
  /** Bytes of the unfinished line, also of what was thrown away of it. */
  let pending = 0
  const finish = (last: Uint8Array): LineBlock => {
    const inputBytes = pending + last.length
    const held = pieces
    pieces = []
    pending = 0
    if (inputBytes > lineBytesMax) return { bytes: none, tooLong: true, inputBytes }
    const bytes = new Uint8Array(inputBytes)
    let at = 0
    for (const piece of held) {
      bytes.set(piece, at)
      at += piece.length
    }
    bytes.set(last, at)
    return block(bytes)
  }

  for await (const given of source) {
    const chunk = plainView(given)
    let from = 0
    if (pending > 0) {
      const first = chunk.indexOf(lineFeed)
      if (first >= 0) {
        yield finish(chunk.subarray(0, first + 1))
        from = first + 1
      }
    }
    const end = pending > 0 ? from : chunk.lastIndexOf(lineFeed) + 1
    if (end > from) yield block(from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end))
    const rest = Math.max(from, end)
    if (rest === chunk.length) continue
    pending += chunk.length - rest
    // A line without an end must not fill the memory: past the limit only its length is kept.
    if (pending > lineBytesMax) pieces = []
    else pieces.push(chunk.subarray(rest))
  }
  if (pending > 0) yield finish(none)
}
