import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, run } from "../command.ts"
import * as Flags from "../flags.ts"
import { importVerb } from "../verbs/import.ts"

export const importCommand = Command.make(
  "import",
  {
    sources: Argument.String("source").pipe(
      Argument.withDescription("A directory (path -> content), a file of JSON lines, or - for standard input"),
      Argument.variadic({ min: 1 })
    ),
    keyField: Flag.String("key-field").pipe(
      Flag.withMetavar("<field>"),
      Flag.withDescription("JSON lines: this field is the key and the whole line the value; dots lead into objects"),
      Flag.optional
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
      Flag.withDefault("stop"),
      Flag.withDescription("At a malformed line or an unreadable file: stop (default), or skip and count it")
    ),
    durability: Flags.durability
  },
  (flags) => run((shared) => importVerb(shared, { ...flags, extensions: flags.ext }))
).pipe(
  Command.withShortDescription("Store a directory tree or JSON lines"),
  Command.withDescription(
    'Stores a directory tree (path -> content) or JSON lines ({"key": …, "value": …}). Entries that exist are overwritten, so an import that was stopped is ' +
      "resumed by running it again. Symbolic links are not followed."
  ),
  Command.withExamples(
    examples(
      ["lightning import ./docs --ext .md --metadata meta", "Every .md file below ./docs, with its metadata in the keyspace meta"],
      ["lightning import orders.jsonl --key-field order.id", "One order a line: its id is the key, the line the value"],
      ["lightning scan --json | lightning import - --path ./copy", "Copy a database through a pipe"]
    )
  )
)
