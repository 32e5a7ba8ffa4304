import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { examples, run } from "../command.ts"
import { get } from "../verbs/get.ts"

export const getCommand = Command.make(
  "get",
  {
    key: Argument.String("key").pipe(Argument.withDescription("The key"))
  },
  (flags) => run((shared) => get(shared, flags))
).pipe(
  Command.withShortDescription("Print the value of a key"),
  Command.withDescription("Prints the value of a key, byte for byte. Exit code 3 where there is no such key."),
  Command.withExamples(
    examples(
      ["lightning get user/1", "Print a value"],
      ["lightning get logo.png > logo.png", "Write a value to a file"],
      ["lightning get --keyspace meta README.md --json", "From a keyspace, as JSON"]
    )
  )
)
