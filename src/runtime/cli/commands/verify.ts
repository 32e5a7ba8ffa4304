import * as Command from "effect/cli/Command"
import { examples, runLazily } from "../command.ts"

export const verifyCommand = Command.make("verify", {}, () =>
  runLazily(
    () => import("../verbs/verify.ts"),
    ({ verify }, shared) => verify(shared)
  )
).pipe(
  Command.withShortDescription("Check every block of every file"),
  Command.withDescription(
    "Reads the whole database and checks every checksum, and every file against the manifest. It goes on behind damage, also where the database does not open any more: exit code 5, " +
      "with file and offset of every damaged file. `lightning inspect` shows what of such a file can still be read. Works beside a process that writes."
  ),
  Command.withExamples(examples(["lightning verify", "Check ./data"], ["lightning verify --path ./backup --json", "Check a copy, for a program"]))
)
