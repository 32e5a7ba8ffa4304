import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, run } from "../command.ts"
import * as Flags from "../flags.ts"
import { put } from "../verbs/put.ts"

export const putCommand = Command.make(
  "put",
  {
    key: Argument.String("key").pipe(Argument.withDescription("The key")),
    value: Argument.String("value").pipe(Argument.withDescription("The value, or - for standard input"), Argument.optional),
    file: Flag.String("file").pipe(Flag.withMetavar("<file>"), Flag.withDescription("Take the value from this file"), Flag.optional),
    durability: Flags.durability
  },
  (flags) => run((shared) => put(shared, flags))
).pipe(
  Command.withShortDescription("Store one value"),
  Command.withDescription("Stores a value under a key, and creates the database and the keyspace where they do not exist."),
  Command.withExamples(
    examples(
      ['lightning put user/1 \'{"name":"Ada"}\'', "Store a value"],
      ["lightning put logo.png --file logo.png", "Store the content of a file"],
      ["date | lightning put now -", "Store what comes through a pipe"]
    )
  )
)
