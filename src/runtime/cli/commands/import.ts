import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"
import { compressionNames } from "../importing/compressionNames.ts"

export const importCommand = Command.make(
  "import",
  {
    sources: Argument.String("source").pipe(
      Argument.withDescription("A directory (path -> content), a file of JSON lines, CSV or TSV, or - for standard input"),
      Argument.variadic({ min: 1 })
    ),
    format: Flag.Literals("format", ["jsonl", "csv", "tsv", "tree"]).pipe(
      Flag.withMetavar("<format>"),
      Flag.withDescription("How the input is written (default: as its name says; else jsonl)"),
      Flag.optional
    ),
    compress: Flag.Literals("compress", compressionNames).pipe(
      Flag.withMetavar("<codec>"),
      Flag.withDescription("How the input is compressed (default: as its name .gz, .zst or .br says; gzip and zstd are also recognised)"),
      Flag.optional
    ),
    keyField: Flag.String("key-field").pipe(
      Flag.withMetavar("<field>"),
      Flag.withDescription("This field is the key and the whole record the value; dots lead into objects"),
      Flag.optional
    ),
    map: Flag.String("map").pipe(
      Flag.withMetavar("<target=field>"),
      Flag.withDescription(
        "Which field is key, value, keyspace or expiresAt; {…} puts fields into text, . is the whole record; may be given several times"
      ),
      Flag.atLeast(0)
    ),
    ext: Flag.String("ext").pipe(
      Flag.withMetavar("<.md>"),
      Flag.withDescription("Directory: only files that end in this; may be given several times"),
      Flag.atLeast(0)
    ),
    keyPrefix: Flag.String("key-prefix").pipe(
      Flag.withMetavar("<text>"),
      Flag.withDefault(""),
      Flag.withDescription("Directory: put before each path to make the key")
    ),
    metadata: Flag.String("metadata").pipe(
      Flag.withMetavar("<keyspace>"),
      Flag.withDescription("Directory: store size, time and lines of each file in this keyspace, in the same write"),
      Flag.optional
    ),
    onError: Flag.Literals("on-error", ["stop", "skip"]).pipe(
      Flag.withMetavar("<action>"),
      Flag.withDefault("stop"),
      Flag.withDescription("At a malformed record or an unreadable file: stop (default), or skip and count it")
    ),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Read and check everything, show what would be stored, write nothing")
    ),
    restart: Flag.Boolean("restart").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Begin again where an earlier run of the same import was stopped")
    ),
    durability: Flags.durability
  },
  (flags) =>
    runLazily(
      () => import("../verbs/import.ts"),
      ({ importVerb }, shared) => importVerb(shared, { ...flags, extensions: flags.ext })
    )
).pipe(
  Command.withShortDescription("Store a directory tree, JSON lines, CSV or TSV"),
  Command.withDescription(
    'Stores a directory tree (path -> content), JSON lines ({"key": …, "value": …}), or CSV and TSV with a header. Entries that exist are overwritten. An import of files or ' +
      "directories that was stopped, however it was, goes on where it was when it is run again. Symbolic links are not followed."
  ),
  Command.withExamples(
    examples(
      ["lightning import ./docs --ext .md --metadata meta", "Every .md file below ./docs, with its metadata in the keyspace meta"],
      ["lightning import orders.jsonl --key-field order.id", "One order a line: its id is the key, the line the value"],
      ["lightning import people.csv.gz --map 'key=person/{country}/{id}' --map value=. --dry-run", "Look at what rows would become"],
      ["lightning scan --json | lightning import - --path ./copy", "Copy a database through a pipe"]
    )
  )
)
