import { randomBytes } from "node:crypto"
import { constants, zstdCompressSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { ZstdFrames } from "../../../src/runtime/cli/importing/ZstdFrames.ts"

const inputs: Record<string, Buffer> = {
  nothing: Buffer.alloc(0),
  "one byte": Buffer.from("x"),
  "a run of one byte": Buffer.alloc(300_000, 0x61),
  text: Buffer.from("the same line again and again\n".repeat(20_000)),
  "what cannot be compressed": randomBytes(200_000)
}

const compress = (bytes: Buffer, checksum: boolean) => zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0 } })

/** A frame that decoders pass over. */
const skippable = Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]), Buffer.from("hello")])

/** At which lengths the stream is complete. */
const ends = (stream: Uint8Array, pieceBytes: number): ReadonlyArray<number> => {
  const frames = new ZstdFrames()
  const found: Array<number> = []
  for (let at = 0; at < stream.length; at += pieceBytes) {
    frames.feed(stream.subarray(at, at + pieceBytes))
    if (frames.isComplete) found.push(Math.min(at + pieceBytes, stream.length))
  }
  return found
}

describe("the frames of a zstd stream", () => {
  for (const [name, bytes] of Object.entries(inputs)) {
    for (const checksum of [false, true]) {
      it(`${name}${checksum ? ", with a checksum" : ""}: end where they end, and nowhere before`, () => {
        const one = compress(bytes, checksum)
        expect(ends(one, 1)).toEqual([one.length])
        const two = Buffer.concat([one, skippable, compress(Buffer.from("more"), !checksum)])
        expect(ends(two, 1)).toEqual([one.length, one.length + skippable.length, two.length])
        expect(ends(two, 4096).at(-1)).toBe(two.length)
      })
    }
  }

  it("nothing is complete, and what is no zstd stream is for the decoder to tell", () => {
    const frames = new ZstdFrames()
    expect(frames.isComplete).toBe(true)
    frames.feed(Buffer.from("not"))
    expect(frames.isComplete).toBe(false)
    frames.feed(Buffer.from(" zstd"))
    expect(frames.isComplete).toBe(true)
  })
})
