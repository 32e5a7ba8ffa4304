/** Splits a stream of bytes into lines, with their numbers, holding at most one line and one chunk in memory. */

export interface Line {
  /** From 1, counting every line, empty ones too: what an editor shows. */
  readonly number: number
  /** Without its line break (LF or CRLF). A view of the chunk it came in: valid until the next group of lines is asked for. */
  readonly bytes: Uint8Array
  /** The line was longer than allowed and is left out; `bytes` is empty. */
  readonly tooLong: boolean
}

const lineFeed = 10
const carriageReturn = 13
const empty = new Uint8Array(0)

const withoutReturn = (bytes: Uint8Array): Uint8Array =>
  bytes.length > 0 && bytes[bytes.length - 1] === carriageReturn ? bytes.subarray(0, -1) : bytes

const startsWithMark = (bytes: Uint8Array): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf

/** Yields the lines of each chunk together. A byte order mark at the start is dropped; the last line needs no line break. */
export async function* splitLines(source: AsyncIterable<Uint8Array>, lineBytesMax: number): AsyncGenerator<ReadonlyArray<Line>, void, undefined> {
  let number = 0
  let pieces: Array<Uint8Array> = []
  let piecesBytes = 0
  let overflowing = false

  const finish = (last: Uint8Array): Line => {
    number++
    const tooLong = overflowing || piecesBytes + last.length > lineBytesMax
    let bytes = last
    if (tooLong) bytes = empty
    else if (pieces.length > 0) {
      bytes = new Uint8Array(piecesBytes + last.length)
      let at = 0
      for (const piece of pieces) {
        bytes.set(piece, at)
        at += piece.length
      }
      bytes.set(last, at)
    }
    pieces = []
    piecesBytes = 0
    overflowing = false
    if (number === 1 && startsWithMark(bytes)) bytes = bytes.subarray(3)
    return { number, bytes: withoutReturn(bytes), tooLong }
  }

  for await (const chunk of source) {
    const lines: Array<Line> = []
    let from = 0
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, from)) {
      lines.push(finish(chunk.subarray(from, at)))
      from = at + 1
    }
    if (from < chunk.length) {
      // A line without an end must not fill the memory: past the limit only its line number is kept.
      if (overflowing || piecesBytes + chunk.length - from > lineBytesMax) {
        overflowing = true
        pieces = []
        piecesBytes = 0
      } else {
        pieces.push(chunk.subarray(from))
        piecesBytes += chunk.length - from
      }
    }
    if (lines.length > 0) yield lines
  }
  if (piecesBytes > 0 || overflowing) yield [finish(empty)]
}
