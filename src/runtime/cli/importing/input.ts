/** The sources of an import as they are on disk, and text among them as decoded bytes from any place on. */
import * as fs from "node:fs"
import { ioReason } from "../explain.ts"
import type { ImportEvent } from "./batches.ts"
import { type Compression, decompress } from "./compression.ts"
import { InputFault } from "./InputFault.ts"

export type TextFormat = "jsonl" | "csv" | "tsv"

/** What tells that a source is the one it was. */
export interface SourceIdentity {
  /** Without links. */
  readonly path: string
  readonly size?: number | undefined
  readonly mtimeMs?: number | undefined
}

export interface TextInput {
  readonly type: "text"
  /** As given; in messages. */
  readonly name: string
  /** `undefined`: standard input. */
  readonly path: string | undefined
  readonly format: TextFormat
  /** `undefined`: what its first bytes say. */
  readonly compression: Compression | undefined
  /** Of the input as it is, where that is known. */
  readonly bytes: number | undefined
  /** Of a regular file: something else cannot be read twice. */
  readonly identity: SourceIdentity | undefined
}

export interface TreeInput {
  readonly type: "tree"
  readonly name: string
  readonly path: string
  readonly identity: SourceIdentity
}

export type Input = TextInput | TreeInput

/** Bytes taken from the input so far: read by progress, written by the source. */
export interface InputMeter {
  bytes: number
}

const chunkBytes = 64 * 1024

async function* metered(source: AsyncIterable<Uint8Array>, meter: InputMeter): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    yield chunk
    meter.bytes += chunk.length
  }
}

/** What begins with these is compressed, whatever it is called. */
const isPlain = (path: string): boolean => {
  const head = Buffer.alloc(4)
  const file = fs.openSync(path, "r")
  try {
    fs.readSync(file, head, 0, 4, 0)
  } finally {
    fs.closeSync(file)
  }
  return head.readUInt16BE(0) !== 0x1f8b && head.readUInt32BE(0) !== 0x28b52ffd
}

/** The decoded bytes of a text from `end` on. A file that is not compressed is entered there; anything else is read through, which is still far quicker than storing it. */
export async function* openText(input: TextInput, end: number, meter: InputMeter): AsyncGenerator<Uint8Array, void, undefined> {
  const seeks = end > 0 && input.path !== undefined && (input.compression === "none" || (input.compression === undefined && isPlain(input.path)))
  if (seeks) meter.bytes += end
  const raw: AsyncIterable<Uint8Array> =
    input.path === undefined ? process.stdin : fs.createReadStream(input.path, { highWaterMark: chunkBytes, start: seeks ? end : 0 })
  const text = decompress(metered(raw, meter), seeks ? "none" : input.compression, input.name)
  let skip = seeks ? 0 : end
  for await (const chunk of text) {
    if (skip >= chunk.length) skip -= chunk.length
    else {
      yield skip === 0 ? chunk : chunk.subarray(skip)
      skip = 0
    }
  }
}

/** A source that cannot be read on is a problem that ends the import; a fault of our own goes on as it is. */
export async function* faultsAsProblems(
  source: AsyncIterable<ReadonlyArray<ImportEvent>>,
  file: string
): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
  try {
    yield* source
  } catch (error) {
    if (error instanceof InputFault) yield [{ type: "problem", file: error.file, line: error.line, reason: error.reason, fatal: true }]
    else if (error instanceof Error && "code" in error) yield [{ type: "problem", file, reason: `reading failed: ${ioReason(error)}`, fatal: true }]
    else throw error
  }
}
