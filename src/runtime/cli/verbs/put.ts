import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import type { Durability } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain, ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatBytes, formatDuration } from "../format/numbers.ts"
import { openWriter, parseKey, printResult, type Shared, usage } from "../shared.ts"
import { durationFlag } from "../timeText.ts"

export interface PutOptions {
  readonly key: string
  /** `-`: standard input. */
  readonly value: Option.Option<string>
  readonly file: Option.Option<string>
  readonly ttl: Option.Option<string>
  readonly ifAbsent: boolean
  readonly durability: Durability
}

const readInput = (name: string): Effect.Effect<Uint8Array, CliFailure> =>
  Effect.callback((resume) => {
    const finish = (error: NodeJS.ErrnoException | null, bytes?: Buffer): void =>
      resume(
        error === null && bytes !== undefined
          ? Effect.succeed(bytes)
          : Effect.fail(
              new CliFailure({
                tag: "InputUnreadable",
                message: `${name === "-" ? "Standard input" : name} cannot be read: ${ioReason(error)}`,
                exitCode: ExitCode.failure,
                details: { file: name }
              })
            )
      )
    if (name === "-") {
      const chunks: Array<Buffer> = []
      process.stdin.on("data", (chunk: Buffer) => chunks.push(chunk))
      process.stdin.once("end", () => finish(null, Buffer.concat(chunks)))
      process.stdin.once("error", (error) => finish(error))
    } else fs.readFile(name, finish)
  })

export const put = Effect.fnUntraced(function* (shared: Shared, options: PutOptions) {
  const key = yield* parseKey(shared, options.key)
  const given = [options.value, options.file].filter(Option.isSome).length
  if (given === 0) return yield* usage("No value is given", "Give it after the key, as - for standard input, or with --file.")
  if (given === 2) return yield* usage("A value and --file are both given", "Give one of them.")
  const ttl = Option.isSome(options.ttl) ? yield* durationFlag("--ttl", options.ttl.value) : undefined
  const value = Option.isSome(options.file)
    ? yield* readInput(options.file.value)
    : Option.getOrThrow(options.value) === "-"
      ? yield* readInput("-")
      : Option.getOrThrow(options.value)
  const { target } = yield* openWriter(shared, { create: true, durability: options.durability })
  // Nobody else writes as long as the database is open here: nothing comes between the two.
  if (options.ifAbsent && (yield* Effect.mapError(target.has(key), explain))) {
    return yield* new CliFailure({
      tag: "KeyExists",
      message: `There is a value under ${JSON.stringify(options.key)} already`,
      hint: "Nothing was changed. Leave out --if-absent to replace it.",
      exitCode: ExitCode.failure,
      details: { key: options.key }
    })
  }
  const written = target.put(key, value, { durability: options.durability, ...(ttl === undefined ? {} : { ttl }) })
  const result = yield* Effect.mapError(written, explain)
  const bytes = Buffer.byteLength(value)
  const until = ttl === undefined ? "" : `, for ${formatDuration(ttl)}`
  yield* printResult(
    shared,
    [`stored ${JSON.stringify(options.key)}, ${formatBytes(bytes)}, sequence ${result.sequence}, ${result.durability}${until}`],
    {
      key: options.key,
      bytes,
      ...(ttl === undefined ? {} : { ttlMs: ttl }),
      sequence: result.sequence,
      durability: result.durability
    }
  )
})
