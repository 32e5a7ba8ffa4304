import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const deleteCommand = Command.make(
  "delete",
  {
    keys: Argument.String("key").pipe(Argument.withDescription("The keys to delete"), Argument.variadic({ min: 1 })),
    durability: Flags.durability
  },
  (flags) =>
    runLazily(
      () => import("../verbs/delete.ts"),
      ({ del }, shared) => del(shared, flags)
    )
).pipe(
  Command.withShortDescription("Delete keys"),
  Command.withDescription("Deletes keys in one atomic write. A key that is not there is reported, and is no failure."),
  Command.withExamples(
    examples(["lightning delete user/1", "Delete one key"], ["lightning delete user/1 user/2 --keyspace people", "Delete two, both or neither"])
  )
)
