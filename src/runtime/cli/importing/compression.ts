/** Compressed input: by the ending of its name, by what it begins with, or as it is said; several members or frames one after the other are one input. */
import * as zlib from "node:zlib"
import { formatCount } from "../format/numbers.ts"
import type { compressionNames } from "./compressionNames.ts"
import { InputFault } from "./InputFault.ts"
import { ZstdFrames } from "./ZstdFrames.ts"

export type Compression = (typeof compressionNames)[number]

const endings: Readonly<Record<string, Compression>> = { ".gz": "gzip", ".zst": "zstd", ".br": "brotli" }

/** A name without the ending that says how the file is compressed, and what that is. */
export const compressionOfName = (name: string): { readonly stem: string; readonly compression: Compression | undefined } => {
  const dot = name.lastIndexOf(".")
  const compression = dot < 0 ? undefined : endings[name.slice(dot).toLowerCase()]
  return { stem: compression === undefined ? name : name.slice(0, dot), compression }
}

/** gzip and zstd begin with bytes that no text begins with; brotli cannot be told from others. */
const compressionOfBytes = (head: Uint8Array): Compression => {
  if (head[0] === 0x1f && head[1] === 0x8b) return "gzip"
  return head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd ? "zstd" : "none"
}

type Decoder = zlib.Gunzip | zlib.ZstdDecompress | zlib.BrotliDecompress

const outputBytes = 64 * 1024

const decoderOf = (compression: Exclude<Compression, "none">): Decoder => {
  const options = { chunkSize: outputBytes }
  switch (compression) {
    case "gzip":
      return zlib.createGunzip(options)
    case "zstd":
      return zlib.createZstdDecompress(options)
    case "brotli":
      return zlib.createBrotliDecompress(options)
  }
}

/** Handed to a decoder at a time: damage is reported within so many bytes. */
const pieceBytes = 32 * 1024

/** One member or frame: takes pieces until one is not used up, which is how a decoder says that what it reads has ended. */
class Member {
  readonly #decoder: Decoder
  #fed = 0
  #error: Error | undefined
  #ended = false
  #taken = true
  #wake: () => void = () => {}

  constructor(compression: Exclude<Compression, "none">) {
    this.#decoder = decoderOf(compression)
    this.#decoder.on("error", (error) => this.#signal(() => (this.#error = error)))
    this.#decoder.on("end", () => this.#signal(() => (this.#ended = true)))
    this.#decoder.on("readable", () => this.#signal(() => {}))
  }

  #signal(change: () => void): void {
    change()
    this.#wake()
  }

  /** Yields what the piece decodes to, no faster than it is taken; `left` then says how many of its bytes come after the end of the member. */
  async *feed(piece: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    this.#taken = false
    this.#fed += piece.length
    this.#decoder.write(piece, () => this.#signal(() => (this.#taken = true)))
    yield* this.#drain(() => this.#taken)
  }

  get left(): number {
    return this.#fed - this.#decoder.bytesWritten
  }

  /** The input is over: yields the rest. */
  async *finish(): AsyncGenerator<Uint8Array, void, undefined> {
    this.#decoder.end()
    yield* this.#drain(() => false)
  }

  async *#drain(enough: () => boolean): AsyncGenerator<Uint8Array, void, undefined> {
    while (true) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      const chunk: Buffer | null = this.#decoder.read()
      if (chunk !== null) yield chunk
      else if (this.#error !== undefined) throw this.#error
      else if (this.#ended || enough()) return
      else await woken
    }
  }

  close(): void {
    this.#decoder.destroy()
  }
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "")

/** The decoded bytes of a compressed input. Damage is an `InputFault` that says where in the input it is; what was decoded before it is yielded. */
async function* decoded(
  source: AsyncIterable<Uint8Array>,
  compression: Exclude<Compression, "none">,
  file: string
): AsyncGenerator<Uint8Array, void, undefined> {
  let member = new Member(compression)
  /** Bytes of the input before the piece, of the piece, and before the member. */
  let before = 0
  let size = 0
  let memberFrom = 0
  let produced = 0
  const counted = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      produced += chunk.length
      yield chunk
    }
  }
  const frames = compression === "zstd" ? new ZstdFrames() : undefined
  const tooEarly = () => new InputFault(file, `the ${compression} stream ends too early, at byte ${formatCount(before)}`)
  const fault = (error: unknown): InputFault => {
    const reason = error instanceof Error ? error.message : String(error)
    if (codeOf(error) === "Z_BUF_ERROR") return tooEarly()
    if (produced === 0 && /header|frame descriptor/i.test(reason)) return new InputFault(file, `it is no ${compression} stream (${reason} at byte 0)`)
    return new InputFault(
      file,
      `the ${compression} stream is damaged between bytes ${formatCount(before)} and ${formatCount(before + size)} (${reason})`
    )
  }
  try {
    for await (const chunk of source) {
      frames?.feed(chunk)
      for (let at = 0; at < chunk.length;) {
        const piece = chunk.subarray(at, at + pieceBytes)
        size = piece.length
        yield* counted(member.feed(piece))
        const { left } = member
        at += size - left
        before += size - left
        if (left === 0) continue
        // gzip files may be filled up with zeros.
        if (compression === "gzip" && chunk.subarray(at).every((byte) => byte === 0)) {
          before += chunk.length - at
          at = chunk.length
        }
        member.close()
        member = new Member(compression)
        memberFrom = before
      }
    }
    // After a member that was complete there need not be another.
    if (before > 0 && before === memberFrom) return
    yield* counted(member.finish())
    // Nothing at all is no stream.
    if (frames !== undefined && (!frames.isComplete || before === 0)) throw tooEarly()
  } catch (error) {
    // What a decoder says; other failures are those of reading.
    if (!/^(?:Z_|ERR_|ZSTD)/.test(codeOf(error))) throw error
    throw fault(error)
  } finally {
    member.close()
  }
}

const none = new Uint8Array(0)

/** The input as text, decompressed as said; where nothing is said, as its first bytes say. */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  said: Compression | undefined,
  file: string
): AsyncGenerator<Uint8Array, void, undefined> {
  if (said === "none") return yield* source
  if (said !== undefined) return yield* decoded(source, said, file)
  const rest = source[Symbol.asyncIterator]()
  try {
    let head: Uint8Array = none
    let done = false
    while (head.length < 4 && !done) {
      const next = await rest.next()
      done = next.done === true
      if (next.done !== true) head = head.length === 0 ? next.value : Buffer.concat([head, next.value])
    }
    const all = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      if (head.length > 0) yield head
      while (!done) {
        const next = await rest.next()
        if (next.done === true) return
        yield next.value
      }
    }
    const compression = compressionOfBytes(head)
    yield* compression === "none" ? all() : decoded(all(), compression, file)
  } finally {
    await rest.return?.()
  }
}
