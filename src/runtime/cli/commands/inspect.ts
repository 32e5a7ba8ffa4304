import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"

const number = (name: string, description: string) => Flag.Int(name).pipe(Flag.withMetavar("<n>"), Flag.withDescription(description), Flag.optional)

export const inspectCommand = Command.make(
  "inspect",
  {
    what: Argument.String("what").pipe(
      Argument.withDescription("manifest, log, table or values; or the path of a file or a directory (default: an overview of the database)"),
      Argument.optional
    ),
    which: Argument.String("which").pipe(Argument.withDescription("Which file of that kind: its number, its name or its path"), Argument.optional),
    record: number("record", "Of a manifest the edit, of a log segment the group, of a value file the record with this number, from 0"),
    from: number("from", "Log: from the transaction with this sequence on"),
    limit: number("limit", "At most this many: edits, transactions, blocks, records"),
    block: number("block", "Table: the entries of the block with this number, from 0"),
    key: Flag.String("key").pipe(
      Flag.withMetavar("<key>"),
      Flag.withDescription("Table: the entries with this key, in every keyspace"),
      Flag.optional
    ),
    entries: Flag.Boolean("entries").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("Table: the entries of all blocks")),
    full: Flag.Boolean("full").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Keys and values whole, instead of cut to the width")
    )
  },
  (flags) =>
    runLazily(
      () => import("../verbs/inspect.ts"),
      ({ inspect }, shared) => inspect(shared, flags)
    )
).pipe(
  Command.withShortDescription("Show what the files of a database hold"),
  Command.withDescription(
    "Shows what the files of a database hold: the manifest edit by edit, log segments group by group, tables block by block, value files record by record. It reads the files " +
      "themselves, changes nothing, needs no lock and works beside a process that writes, whose newest bytes may be in the middle of being written. A single file can lie anywhere.\n\n" +
      "  Damage is shown where it is (offset and reason), and the rest is shown as far as it goes; exit code 5 says that there was some. With --json one object a line."
  ),
  Command.withExamples(
    examples(
      ["lightning inspect", "What ./data consists of"],
      ["lightning inspect manifest --record 0", "The snapshot that the manifest begins with"],
      ["lightning inspect log --from 1 --limit 5", "Five transactions of the log, from sequence 1 on"],
      ["lightning inspect table --json", "The tables, one object a line"]
    )
  )
)
