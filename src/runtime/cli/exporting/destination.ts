/** Where an export goes and in which form, from the name it is given and its flags. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliFailure } from "../CliFailure.ts"
import { ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { realPath, usage } from "../shared.ts"

export const formats = ["jsonl", "csv", "tsv", "tree"] as const
export type Format = (typeof formats)[number]
export type TextFormat = Exclude<Format, "tree">

export const compressions = ["none", "gzip", "zstd", "brotli"] as const
export type Compression = (typeof compressions)[number]

export interface DestinationFlags {
  readonly destination: string
  readonly format: Option.Option<Format>
  readonly compress: Option.Option<Compression>
  readonly level: Option.Option<number>
  readonly overwrite: boolean
}

interface Text {
  readonly format: TextFormat
  readonly compression: Compression
  readonly level: number | undefined
}

/** `stream`: a pipe or a device that has a name. Nothing can be kept beside it or taken up again. */
export type Destination =
  | ({ readonly kind: "stdout"; readonly path: string } & Text)
  | ({ readonly kind: "stream"; readonly path: string } & Text)
  /** `replaces`: a file of that name is there, and may be replaced. */
  | ({ readonly kind: "file"; readonly path: string; readonly replaces: boolean } & Text)
  /** `into`: the directory is there and not empty, and files are written into it. */
  | { readonly kind: "tree"; readonly path: string; readonly format: "tree"; readonly into: boolean }

const compressionOf: Readonly<Record<string, Compression>> = { ".gz": "gzip", ".zst": "zstd", ".br": "brotli" }
const formatOf: Readonly<Record<string, TextFormat>> = { ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv" }
const levels: Readonly<Record<Exclude<Compression, "none">, readonly [number, number]>> = { gzip: [0, 9], zstd: [1, 22], brotli: [0, 11] }

/** What the extensions say: "orders.csv.gz" is CSV in gzip. */
export const byExtension = (name: string): { readonly format: TextFormat | undefined; readonly compression: Compression | undefined } => {
  const lower = name.toLowerCase()
  const outer = path.extname(lower)
  const compression = compressionOf[outer]
  return { format: formatOf[compression === undefined ? outer : path.extname(lower.slice(0, -outer.length))], compression }
}

const failure = (tag: string, message: string, hint: string, details: Readonly<Record<string, unknown>>): CliFailure =>
  new CliFailure({ tag, message, hint, exitCode: ExitCode.failure, details })

const exists = (name: string, what: string): CliFailure =>
  failure("DestinationExists", `${name} exists`, `Give another name, or --overwrite to ${what}.`, { path: name })

const statOf = (name: string): fs.Stats | undefined | CliFailure => {
  try {
    return fs.statSync(name, { throwIfNoEntry: false })
  } catch (error) {
    return failure("DestinationUnwritable", `${name} cannot be written: ${ioReason(error)}`, "Give another name.", { path: name })
  }
}

const checkLevel = (flags: DestinationFlags, compression: Compression): CliFailure | undefined => {
  if (Option.isNone(flags.level)) return undefined
  if (compression === "none") return usage("--level is given, and nothing is compressed", "Name the file .gz, .zst or .br, or give --compress.")
  const [least, most] = levels[compression]
  return flags.level.value >= least && flags.level.value <= most ? undefined : usage(`--level of ${compression} goes from ${least} to ${most}`)
}

const textOf = (flags: DestinationFlags, named: ReturnType<typeof byExtension>): Text | CliFailure => {
  const format = Option.getOrUndefined(flags.format) ?? named.format ?? "jsonl"
  if (format === "tree") return usage("A directory tree needs a directory as its destination", "End its name with a slash.")
  const compression = Option.getOrUndefined(flags.compress) ?? named.compression ?? "none"
  return checkLevel(flags, compression) ?? { format, compression, level: Option.getOrUndefined(flags.level) }
}

const resolve = (flags: DestinationFlags, databasePath: string): Destination | CliFailure => {
  const name = flags.destination
  if (name === "") return usage("The destination is empty", "Give a file, a directory, or - for standard output.")
  if (name === "-") {
    const text = textOf(flags, { format: undefined, compression: undefined })
    return text instanceof CliFailure ? text : { kind: "stdout", path: "-", ...text }
  }
  const stat = statOf(name)
  if (stat instanceof CliFailure) return stat
  const wanted = Option.getOrUndefined(flags.format)
  const named = byExtension(name)
  const target = realPath(name)
  const inside = path.relative(realPath(databasePath), target)
  if (inside === "" || (!inside.startsWith(`..${path.sep}`) && inside !== ".." && !path.isAbsolute(inside)))
    return usage(`${name} lies within the database`, "Its directory holds only what the database itself writes.")
  const parent = path.dirname(target)
  if (stat === undefined && !fs.existsSync(parent))
    return failure("DestinationUnwritable", `${name} cannot be written: there is no directory ${parent}`, "Make it first.", { path: name })
  const asTree = wanted === "tree" || (wanted === undefined && (/[/\\]$/.test(name) || stat?.isDirectory() === true))
  if (asTree) {
    if (Option.isSome(flags.compress) || Option.isSome(flags.level))
      return usage("A directory tree is not compressed", "Leave out --compress and --level.")
    if (stat !== undefined && !stat.isDirectory())
      return failure("DestinationExists", `${name} is not a directory`, "Give another name.", { path: name })
    const into = stat !== undefined && fs.readdirSync(name).length > 0
    if (into && !flags.overwrite) return exists(name, "replace those of its files that have the same path")
    return { kind: "tree", path: target, format: "tree", into }
  }
  if (stat?.isDirectory() === true) return failure("DestinationExists", `${name} is a directory`, "Give the name of a file.", { path: name })
  const isStream = stat !== undefined && !stat.isFile()
  if (wanted === undefined && named.format === undefined && !isStream)
    return usage(
      `${name} does not say in which format`,
      "End it in .jsonl, .csv or .tsv (with .gz, .zst or .br to compress) or in a slash, or give --format."
    )
  // What is read back by its extension must be what the extension says.
  if (!isStream && Option.isSome(flags.compress) && flags.compress.value !== (named.compression ?? "none"))
    return usage(`--compress ${flags.compress.value} and the name ${name} disagree`, "A file is compressed by its extension: .gz, .zst or .br.")
  const text = textOf(flags, named)
  if (text instanceof CliFailure) return text
  if (isStream) return { kind: "stream", path: path.resolve(name), ...text }
  if (stat !== undefined && !flags.overwrite) return exists(name, "replace it")
  return { kind: "file", path: target, replaces: stat !== undefined, ...text }
}

/** Looks at what is there, and changes nothing. */
export const resolveDestination = (flags: DestinationFlags, databasePath: string): Effect.Effect<Destination, CliFailure> =>
  Effect.suspend(() => {
    const resolved = resolve(flags, databasePath)
    return resolved instanceof CliFailure ? Effect.fail(resolved) : Effect.succeed(resolved)
  })
