import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"

export const historyCommand = Command.make(
  "history",
  {
    key: Argument.String("key").pipe(Argument.withDescription("The key")),
    reverse: Flag.Boolean("reverse").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("The newest version first")),
    limit: Flag.Int("limit").pipe(Flag.withMetavar("<n>"), Flag.withDescription("At most this many versions"), Flag.optional)
  },
  (flags) =>
    runLazily(
      () => import("../verbs/history.ts"),
      ({ history }, shared) => history(shared, flags)
    )
).pipe(
  Command.withShortDescription("List the versions of a key"),
  Command.withDescription(
    "Lists the versions of a key, oldest first, as far back as the history of its keyspace is kept: sequence, what happened, value. Exit code 3 where there is none. Works beside a process that writes."
  ),
  Command.withExamples(
    examples(
      ["lightning history user/1", "What became of a key"],
      ["lightning history user/1 --keyspace people --reverse --limit 1 --json", "Its last change, for a script"]
    )
  )
)
