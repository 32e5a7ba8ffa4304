import * as Command from "effect/cli/Command"
import { examples, run } from "../command.ts"
import { verify } from "../verbs/verify.ts"

export const verifyCommand = Command.make("verify", {}, () => run(verify)).pipe(
  Command.withShortDescription("Check every block of every file"),
  Command.withDescription("Reads the whole database and checks every checksum. Exit code 5, with file and offset, where bytes are damaged."),
  Command.withExamples(examples(["lightning verify", "Check ./data"], ["lightning verify --path ./backup --json", "Check a copy, for a program"]))
)
