import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

const no = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription(description))

export const exportCommand = Command.make(
  "export",
  {
    destination: Argument.String("destination").pipe(
      Argument.withDescription(
        "A file (.jsonl, .csv or .tsv; .gz, .zst or .br after it to compress), a directory (with a slash at its end), or - for standard output"
      )
    ),
    format: Flag.Literals("format", ["jsonl", "csv", "tsv", "tree"]).pipe(
      Flag.withMetavar("<format>"),
      Flag.withDescription("Instead of what the name says (for -: jsonl)"),
      Flag.optional
    ),
    compress: Flag.Literals("compress", ["gzip", "zstd", "brotli", "none"]).pipe(
      Flag.withMetavar("<codec>"),
      Flag.withDescription("Compress standard output (default: none); a file is compressed by its extension"),
      Flag.optional
    ),
    level: Flag.Int("level").pipe(
      Flag.withMetavar("<n>"),
      Flag.withDescription("How hard to compress: gzip 0 to 9 (default: 6), zstd 1 to 22 (3), brotli 0 to 11 (5)"),
      Flag.optional
    ),
    fields: Flag.String("fields").pipe(
      Flag.withMetavar("<a,b.c,…>"),
      Flag.withDescription(
        "CSV and TSV: these columns: key, value, keyspace, expiresAt, or fields of values that are JSON objects; :text, :number, :boolean, :json, :base64 or :hex " +
          "after a name gives its type. Loses what is not named"
      ),
      Flag.optional
    ),
    ...Flags.bounds,
    all: no("all", "Every keyspace: with its name in each entry, or a directory for each"),
    at: Flag.String("at").pipe(
      Flag.withMetavar("<sequence|time>"),
      Flag.withDescription("As it was after this commit, or at this time (2026-01-31T12:00:00Z), where history is kept"),
      Flag.optional
    ),
    onError: Flag.Literals("on-error", ["stop", "skip"]).pipe(
      Flag.withMetavar("<action>"),
      Flag.withDefault("stop"),
      Flag.withDescription("At an entry that the format cannot hold: stop (default), or skip and count it")
    ),
    ignoreExpiry: no("ignore-expiry", "Directory: write entries that expire, which files do not"),
    overwrite: no("overwrite", "Replace the file, or files of the directory, that are there"),
    restart: no("restart", "Start again instead of going on after an export that was stopped"),
    dryRun: no("dry-run", "Count, and name problems, without writing"),
    salvage: Flags.salvage
  },
  (flags) =>
    runLazily(
      () => import("../verbs/export.ts"),
      ({ exportVerb }, shared) => exportVerb(shared, flags)
    )
).pipe(
  Command.withShortDescription("Write entries to JSON lines, CSV or a directory tree"),
  Command.withDescription(
    "Writes entries to JSON lines, CSV, TSV or a directory tree (key -> path, value -> content), all as of one moment, which the result names by its sequence. Works beside a " +
      "process that writes. JSON lines and CSV hold every entry, and when it expires; import reads them back. CSV takes a look at all entries first: where some bytes are not " +
      "UTF-8, the column is base64.\n\n" +
      "  A file has its name only when it is complete: until then it is <name>.part. After an export that was stopped the same command goes on, as long as its moment can be read " +
      "(nothing was committed since, or history is kept); else it starts again and says why. Brotli and standard output always start again."
  ),
  Command.withExamples(
    examples(
      ["lightning export backup.jsonl.zst --all", "Everything, compressed"],
      ["lightning export orders.csv --prefix order/ --fields key,total,customer.name", "A table of orders whose values are JSON objects"],
      ["lightning export ./files/", "Each value as a file"],
      ["lightning export - | lightning import - --path ./copy", "Copy a database through a pipe"]
    )
  )
)
