/** Where lines go: compressed or not, to standard output, to a pipe or device with a name, or to a file beside its final name. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as net from "node:net"
import type { Writable } from "node:stream"
import { type CliFailure, OutputClosed } from "../CliFailure.ts"
import { Output } from "../Output.ts"
import type { Compression } from "./destination.ts"
import { type Compressor, hasMembers, makeCompressor } from "./compression.ts"
import { attempt, codeOf, operation, unwritable } from "./io.ts"

export interface TextSink {
  /** Takes the chunk, which is free again when this succeeds. */
  readonly write: (chunk: Uint8Array) => Effect.Effect<void, CliFailure | OutputClosed>
  /** Makes all that was written durable and complete in itself, and answers how many bytes that are; undefined where this cannot be taken up again. */
  readonly cut: Effect.Effect<number | undefined, CliFailure | OutputClosed>
  readonly finish: Effect.Effect<void, CliFailure | OutputClosed>
  /** Bytes given out. */
  readonly bytes: () => number
}

interface Raw {
  readonly write: (chunk: Uint8Array) => Effect.Effect<void, CliFailure | OutputClosed>
  readonly sync: Effect.Effect<boolean, CliFailure>
}

/** Puts the compression before the bytes. `startBytes` are there already, and end a member. */
const compressed = (raw: Raw, compressor: Compressor | undefined, compression: Compression, startBytes: number, name: string): TextSink => {
  let bytes = startBytes
  let within = false
  const out = (chunk: Uint8Array) => {
    bytes += chunk.length
    return raw.write(chunk)
  }
  if (compressor === undefined) {
    return { write: out, cut: Effect.map(raw.sync, (kept) => (kept ? bytes : undefined)), finish: Effect.asVoid(raw.sync), bytes: () => bytes }
  }
  const compress = (run: () => Promise<ReadonlyArray<Uint8Array>>) =>
    Effect.uninterruptible(Effect.tryPromise({ try: run, catch: (error) => unwritable(name, error, false) })).pipe(
      Effect.flatMap((chunks) => (chunks.length === 0 ? Effect.void : Effect.forEach(chunks, out, { discard: true })))
    )
  const endMember = Effect.suspend(() => {
    if (!within && bytes > 0) return Effect.void
    within = false
    return compress(compressor.endMember)
  })
  return {
    write: (chunk) => {
      within = true
      return compress(() => compressor.write(chunk))
    },
    cut: hasMembers(compression)
      ? Effect.andThen(
          endMember,
          Effect.map(raw.sync, (kept) => (kept ? bytes : undefined))
        )
      : Effect.undefined,
    finish: Effect.andThen(endMember, Effect.asVoid(raw.sync)),
    bytes: () => bytes
  }
}

const withCompression = (raw: Raw, compression: Compression, level: number | undefined, startBytes: number, name: string) =>
  Effect.gen(function* () {
    if (compression === "none") return compressed(raw, undefined, compression, startBytes, name)
    const compressor = yield* Effect.acquireRelease(
      Effect.sync(() => makeCompressor(compression, level)),
      (made) => Effect.sync(made.close)
    )
    return compressed(raw, compressor, compression, startBytes, name)
  })

export interface SinkOptions {
  readonly compression: Compression
  readonly level: number | undefined
}

export const stdoutSink = (options: SinkOptions): Effect.Effect<TextSink, never, Output | Scope.Scope> =>
  Effect.gen(function* () {
    const output = yield* Output
    return yield* withCompression({ write: output.write, sync: Effect.succeed(false) }, options.compression, options.level, 0, "standard output")
  })

/** A named pipe or a device. Nobody is there to read any more: as for standard output, that is no error. */
export const streamSink = (path: string, options: SinkOptions): Effect.Effect<TextSink, CliFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const fail = (error: unknown) => unwritable(path, error, false)
    const fd = (yield* operation<number>((done) => fs.open(path, fs.constants.O_WRONLY, done), fail))!
    const stream = yield* Effect.acquireRelease(
      Effect.sync((): Writable => {
        // A socket waits for a slow reader outside the thread pool, so that Ctrl-C does not wait for it too.
        const made = fs.fstatSync(fd).isFIFO() ? new net.Socket({ fd, readable: false, writable: true }) : fs.createWriteStream("", { fd })
        made.on("error", () => {})
        return made
      }),
      (made) => Effect.sync(() => made.destroy())
    )
    const write = (chunk: Uint8Array) =>
      Effect.callback<void, CliFailure | OutputClosed>((resume) => {
        stream.write(chunk, (error) =>
          resume(error === null || error === undefined ? Effect.void : Effect.fail(codeOf(error) === "EPIPE" ? new OutputClosed() : fail(error)))
        )
      })
    return yield* withCompression({ write, sync: Effect.succeed(false) }, options.compression, options.level, 0, path)
  })

/** The file at `path`: a new one, or the first `keepBytes` of the one that is there. */
export const fileSink = (path: string, keepBytes: number | undefined, options: SinkOptions): Effect.Effect<TextSink, CliFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const fail = (error: unknown) => unwritable(path, error, true)
    const { O_CREAT, O_EXCL, O_NOFOLLOW = 0, O_RDWR, O_WRONLY } = fs.constants
    const fd = yield* Effect.acquireRelease(
      attempt(() => {
        if (keepBytes === undefined) return fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL, 0o666)
        const opened = fs.openSync(path, O_RDWR | O_NOFOLLOW)
        try {
          fs.ftruncateSync(opened, keepBytes)
        } catch (error) {
          fs.closeSync(opened)
          throw error
        }
        return opened
      }, fail),
      (opened) => Effect.sync(() => fs.closeSync(opened))
    )
    let position = keepBytes ?? 0
    const write = (chunk: Uint8Array): Effect.Effect<void, CliFailure> =>
      Effect.flatMap(
        operation<number>((done) => fs.write(fd, chunk, 0, chunk.length, position, done), fail),
        (written = 0) => {
          position += written
          return written < chunk.length ? write(chunk.subarray(written)) : Effect.void
        }
      )
    const sync = Effect.as(
      operation<void>((done) => fs.fdatasync(fd, done), fail),
      true
    )
    return yield* withCompression({ write, sync }, options.compression, options.level, position, path)
  })

/** Counts, for `--dry-run`. */
export const countingSink = (): TextSink => {
  let bytes = 0
  return {
    write: (chunk) =>
      // Nothing here waits for anything, and the collector finishes its work between turns.
      Effect.suspend(() => {
        bytes += chunk.length
        return Effect.yieldNow
      }),
    cut: Effect.undefined,
    finish: Effect.void,
    bytes: () => bytes
  }
}
