/** Compressed output in members: each is complete in itself, and one after the other they are a valid file of gzip or zstd. */
import * as zlib from "node:zlib"
import type { Transform } from "node:stream"
import type { Compression } from "./destination.ts"

/** Chunks of output, in order. */
type Chunks = Array<Uint8Array>

export interface Compressor {
  /** Takes `chunk`, which is free again when the promise settles; the chunks are what can go out so far. */
  readonly write: (chunk: Uint8Array) => Promise<Chunks>
  /** Ends the member: the rest of it. The next `write` begins another one. */
  readonly endMember: () => Promise<Chunks>
  readonly close: () => void
}

/** Where a second member would not be read: brotli has no such thing, so that a file of it is one. */
export const hasMembers = (compression: Compression): boolean => compression !== "brotli"

const { constants } = zlib

const streamOf = (compression: Exclude<Compression, "none">, level: number | undefined): Transform => {
  switch (compression) {
    case "gzip":
      return zlib.createGzip(level === undefined ? {} : { level })
    case "zstd":
      return zlib.createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: level ?? 3, [constants.ZSTD_c_checksumFlag]: 1 } })
    case "brotli":
      // The highest level, which is the library's default, takes a hundred times as long.
      return zlib.createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: level ?? 5 } })
  }
}

export const makeCompressor = (compression: Exclude<Compression, "none">, level: number | undefined): Compressor => {
  let stream: Transform | undefined
  let ready: Chunks = []
  const take = (): Chunks => {
    const chunks = ready
    ready = []
    return chunks
  }
  const open = (): Transform => {
    const opened = streamOf(compression, level)
    opened.on("data", (chunk: Uint8Array) => ready.push(chunk))
    // Every failure is told to the one who waits; without a listener it would end the process.
    opened.on("error", () => {})
    return opened
  }
  return {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        stream ??= open()
        stream.write(chunk, (error) => (error === null || error === undefined ? resolve(take()) : reject(error)))
      }),
    endMember: () =>
      new Promise((resolve, reject) => {
        // Nothing at all is one empty member: an empty file is not a valid one.
        const ending = stream ?? open()
        stream = undefined
        ending.once("end", () => resolve(take()))
        ending.once("error", reject)
        ending.end()
      }),
    close: () => stream?.destroy()
  }
}
