import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { examples, runLazily } from "../command.ts"

export const checkpointCommand = Command.make(
  "checkpoint",
  { destination: Argument.String("destination").pipe(Argument.withDescription("A directory that is not there yet, or is empty")) },
  (flags) =>
    runLazily(
      () => import("../verbs/checkpoint.ts"),
      ({ checkpoint }, shared) => checkpoint(shared, flags)
    )
).pipe(
  Command.withShortDescription("Make a consistent copy"),
  Command.withDescription(
    "Makes a consistent copy of the database, as of one moment, which is a database of its own. It reads only, and works beside a process that writes, which it neither waits for nor holds up. Tables are linked where the file system can, so that the copy takes no space at first; on another disk they are copied. Until it is complete the copy cannot be opened; one that was cut short can be removed and made again."
  ),
  Command.withExamples(
    examples(
      ["lightning checkpoint ./backups/monday", "Copy ./data"],
      ["lightning checkpoint ./copy --path ./orders --json", "Of another database, for a script"]
    )
  )
)
