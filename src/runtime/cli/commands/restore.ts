import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const restoreCommand = Command.make(
  "restore",
  {
    from: Argument.String("from").pipe(
      Argument.withDescription("A restore point (nightly, nightly@2), or the path of a checkpoint: ./backups/monday")
    ),
    destination: Argument.String("destination").pipe(
      Argument.withDescription("A directory that is not there yet, or is empty (default: --path, where the database is gone)"),
      Argument.optional
    ),
    dir: Flags.points,
    unverified: Flags.unverified
  },
  (flags) =>
    runLazily(
      () => import("../verbs/restore.ts"),
      ({ restore }, shared) => restore(shared, flags)
    )
).pipe(
  Command.withShortDescription("Make a new database of a restore point"),
  Command.withDescription(
    "Makes a database in a new directory from a restore point, or from any checkpoint, which stays as it is. Every block is checked first: what is damaged is not restored from. To set the database itself back, use `lightning rollback`."
  ),
  Command.withExamples(
    examples(
      ["lightning restore nightly ./look", "Look at what was there"],
      ["lightning restore ./backups/monday --path ./data", "After ./data was lost"]
    )
  )
)
