import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const putCommand = Command.make(
  "put",
  {
    key: Argument.String("key").pipe(Argument.withDescription("The key")),
    value: Argument.String("value").pipe(Argument.withDescription("The value, or - for standard input"), Argument.optional),
    file: Flag.String("file").pipe(Flag.withMetavar("<file>"), Flag.withDescription("Take the value from this file"), Flag.optional),
    ttl: Flag.String("ttl").pipe(
      Flag.withMetavar("<duration>"),
      Flag.withDescription("The value goes by itself after this long: 500ms, 30s, 5m, 1h, 7d (default: never)"),
      Flag.optional
    ),
    ifAbsent: Flag.Boolean("if-absent").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Only where there is no value yet; otherwise exit code 1, and nothing is changed")
    ),
    durability: Flags.durability
  },
  (flags) =>
    runLazily(
      () => import("../verbs/put.ts"),
      ({ put }, shared) => put(shared, flags)
    )
).pipe(
  Command.withShortDescription("Store one value"),
  Command.withDescription("Stores a value under a key, and creates the database and the keyspace where they do not exist."),
  Command.withExamples(
    examples(
      ['lightning put user/1 \'{"name":"Ada"}\'', "Store a value"],
      ["lightning put logo.png --file logo.png", "Store the content of a file"],
      ["date | lightning put now -", "Store what comes through a pipe"],
      ["lightning put session/7 Ada --ttl 1h", "Store a value for an hour"],
      ["lightning put lock mine --if-absent", "Store a value unless there is one"]
    )
  )
)
