import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const rollbackCommand = Command.make(
  "rollback",
  {
    name: Argument.String("name").pipe(Argument.withDescription("The restore point: nightly, or with its version nightly@2")),
    discard: Flag.Boolean("discard-present").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Keep no restore point of what is there now: for a database that cannot be read any more")
    ),
    yes: Flag.Boolean("yes").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Do not ask (without it, somebody at a terminal has to type the name)")
    ),
    dir: Flags.points,
    unverified: Flags.unverified
  },
  (flags) =>
    runLazily(
      () => import("../verbs/rollback.ts"),
      ({ rollback }, shared) => rollback(shared, flags)
    )
).pipe(
  Command.withShortDescription("Set the database back to a restore point"),
  Command.withDescription(
    "Sets the database back to one of its restore points, as a whole or not at all, whenever it is interrupted. What is there now is kept as a restore point before-rollback-… first, so that it can be undone in the same way. The database must not be open elsewhere. Asks for the name to be typed; where nobody can be asked, it refuses without --yes."
  ),
  Command.withExamples(
    examples(
      ["lightning rollback before-import", "Undo what came after"],
      ["lightning rollback nightly@2 --yes --json", "For a script, with the restore point that was kept"]
    )
  )
)
