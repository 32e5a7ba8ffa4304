/** What an import is asked to do, checked before anything is opened. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import type { Durability } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { realPath, type Shared, usage } from "../shared.ts"
import { type Compression, compressionOfName } from "./compression.ts"
import { keyspaceFault } from "./entry.ts"
import type { Input, TextFormat } from "./input.ts"
import { type Mapping, parseMapping } from "./mapping.ts"
import type { ImportIdentity } from "./resume.ts"

export interface ImportFlags {
  /** Directories, files of lines or rows, or `-` for standard input. */
  readonly sources: ReadonlyArray<string>
  readonly format: Option.Option<TextFormat | "tree">
  readonly compress: Option.Option<Compression>
  readonly keyField: Option.Option<string>
  readonly map: ReadonlyArray<string>
  readonly keyPrefix: string
  readonly extensions: ReadonlyArray<string>
  readonly metadata: Option.Option<string>
  readonly onError: "stop" | "skip"
  readonly dryRun: boolean
  readonly restart: boolean
  readonly durability: Durability
}

export interface ImportPlan {
  readonly inputs: ReadonlyArray<Input>
  readonly mapping: Mapping
  /** `undefined` where it cannot go on: standard input and pipes are read once. */
  readonly identity: ImportIdentity | undefined
  /** Of all inputs together, where it is known beforehand. */
  readonly bytes: number | undefined
}

const formatOfStem = (stem: string): TextFormat => {
  const name = stem.toLowerCase()
  return name.endsWith(".csv") ? "csv" : name.endsWith(".tsv") ? "tsv" : "jsonl"
}

const unreadable = (file: string, reason: string): CliFailure =>
  new CliFailure({
    tag: "InputUnreadable",
    message: `${file} cannot be read: ${reason}`,
    hint: "Give a directory, a file of JSON lines, CSV or TSV, or - for standard input.",
    exitCode: ExitCode.failure,
    details: { file }
  })

const inspect = (name: string, flags: ImportFlags): Effect.Effect<Input, CliFailure> =>
  Effect.suspend((): Effect.Effect<Input, CliFailure> => {
    const said = Option.getOrUndefined(flags.compress)
    const wanted = Option.getOrUndefined(flags.format)
    const isStdin = name === "-"
    let stat: fs.Stats
    try {
      stat = isStdin ? fs.fstatSync(0) : fs.statSync(name)
    } catch (error) {
      return Effect.fail(unreadable(name, ioReason(error)))
    }
    if (stat.isDirectory() && !isStdin) {
      if (wanted !== undefined && wanted !== "tree") return Effect.fail(usage(`${name} is a directory, not ${wanted}`, "Leave out --format."))
      const path = realPath(name)
      return Effect.succeed<Input>({ type: "tree", name, path, identity: { path } })
    }
    if (wanted === "tree") return Effect.fail(usage(`${isStdin ? "Standard input" : name} is not a directory`, "--format tree reads directories."))
    const { compression, stem } = compressionOfName(isStdin ? "" : name)
    const path = isStdin ? undefined : realPath(name)
    return Effect.succeed<Input>({
      type: "text",
      name: isStdin ? "standard input" : name,
      path,
      format: wanted ?? formatOfStem(stem),
      compression: said ?? compression,
      bytes: stat.isFile() ? stat.size : undefined,
      identity: path !== undefined && stat.isFile() ? { path, size: stat.size, mtimeMs: stat.mtimeMs } : undefined
    })
  })

const mappingOf = (flags: ImportFlags): Mapping | string => {
  const mapping = parseMapping(flags.map)
  if (typeof mapping === "string" || Option.isNone(flags.keyField)) return mapping
  if (mapping.key !== undefined) return "--key-field and --map key= both say what the key is"
  return { ...mapping, key: { type: "field", name: flags.keyField.value }, value: mapping.value ?? { type: "whole" } }
}

/** Flags that say something about what is not there are mistakes. */
const contradiction = (shared: Shared, flags: ImportFlags, inputs: ReadonlyArray<Input>): readonly [string, string?] | undefined => {
  const trees = inputs.some((input) => input.type === "tree")
  if (!trees) {
    if (flags.extensions.length > 0) return ["--ext applies to directories only"]
    if (Option.isSome(flags.metadata)) return ["--metadata applies to directories only"]
    if (flags.keyPrefix !== "") return ["--key-prefix applies to directories only"]
  } else {
    if (inputs.some((input) => input.type === "text")) return ["Directories and files of lines cannot be mixed in one import"]
    if (Option.isSome(flags.keyField)) return ["--key-field applies to JSON lines and CSV only"]
    if (flags.map.length > 0) return ["--map applies to JSON lines and CSV only"]
    if (Option.isSome(flags.compress)) return ["--compress applies to JSON lines and CSV only"]
  }
  if (inputs.filter((input) => input.type === "text" && input.path === undefined).length > 1) return ["Standard input is named twice"]
  if (Option.isSome(flags.metadata) && Option.isSome(shared.keyspace) && flags.metadata.value === shared.keyspace.value)
    return ["--metadata and --keyspace name the same keyspace", "The content and its metadata would overwrite each other."]
  return undefined
}

export const planImport = Effect.fnUntraced(function* (shared: Shared, flags: ImportFlags): Effect.fn.Return<ImportPlan, CliFailure> {
  if (shared.hex) return yield* usage("--hex does not apply to import", 'Lines may give a key as "keyHex" or "keyBase64", and CSV a column key:hex.')
  const mapping = mappingOf(flags)
  if (typeof mapping === "string")
    return yield* usage(mapping, "For example: --map key=order.id --map value=payload, or --map 'key=user/{country}/{id}'.")
  for (const name of [shared.keyspace, flags.metadata]) {
    const fault = Option.isSome(name) ? keyspaceFault(name.value) : undefined
    if (fault !== undefined) return yield* usage(fault)
  }
  const inputs = yield* Effect.forEach(flags.sources, (name) => inspect(name, flags))
  const wrong = contradiction(shared, flags, inputs)
  if (wrong !== undefined) return yield* usage(...wrong)
  const sources = inputs.flatMap(({ identity }) => (identity === undefined ? [] : [identity]))
  const { compress, extensions, keyPrefix, metadata } = flags
  return {
    inputs,
    mapping,
    identity:
      sources.length < inputs.length
        ? undefined
        : {
            sources,
            keyspace: Option.getOrElse(shared.keyspace, () => ""),
            options: JSON.stringify([
              inputs.map((input) => (input.type === "text" ? input.format : "tree")),
              mapping,
              Option.getOrNull(compress),
              extensions,
              keyPrefix,
              Option.getOrNull(metadata)
            ])
          },
    bytes: inputs.reduce<number | undefined>(
      (sum, input) => (sum === undefined || input.type === "tree" || input.bytes === undefined ? undefined : sum + input.bytes),
      0
    )
  }
})
