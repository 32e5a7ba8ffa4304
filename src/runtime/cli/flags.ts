/** Flags that several verbs share. Every flag says what happens without it. */
import * as Flag from "effect/cli/Flag"

export const path = Flag.String("path").pipe(
  Flag.withDefault("./data"),
  Flag.withMetavar("<directory>"),
  Flag.withDescription("The database (default: ./data)")
)

export const keyspace = Flag.String("keyspace").pipe(
  Flag.withMetavar("<name>"),
  Flag.withDescription("A named keyspace instead of the default one"),
  Flag.optional
)

export const json = Flag.Boolean("json").pipe(
  Flag.withDefault(false),
  Flag.withoutNegation,
  Flag.withDescription("Print JSON: results on standard output, errors on standard error")
)

export const hex = Flag.Boolean("hex").pipe(
  Flag.withDefault(false),
  Flag.withoutNegation,
  Flag.withDescription("Keys are hexadecimal, on the command line and in the output")
)

const bound = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar("<key>"), Flag.withDescription(description), Flag.optional)

export const bounds = {
  gte: bound("gte", "From this key on, including it"),
  gt: bound("gt", "From this key on, without it"),
  lte: bound("lte", "Up to this key, including it"),
  lt: bound("lt", "Up to this key, without it"),
  prefix: bound("prefix", "Only keys that begin with this")
}

export const durability = Flag.Literals("durability", ["sync", "buffered"]).pipe(
  Flag.withMetavar("<level>"),
  Flag.withDefault("sync"),
  Flag.withDescription("What stored means: sync survives a power cut (default), buffered a killed process")
)

export const points = Flag.String("dir").pipe(
  Flag.withMetavar("<directory>"),
  Flag.withDescription("Where the restore points are (default: the path of the database and .checkpoints)"),
  Flag.optional
)

export const unverified = Flag.Boolean("unverified").pipe(
  Flag.withDefault(false),
  Flag.withoutNegation,
  Flag.withDescription("Do not read and check every block first")
)

export const salvage = Flag.Boolean("salvage").pipe(
  Flag.withDefault(false),
  Flag.withoutNegation,
  Flag.withDescription("Of a damaged database read what can be read, and say on standard error what is lost")
)
