import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"

const flag = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription(description))

export const shellCommand = Command.make(
  "shell",
  {
    command: Flag.String("command").pipe(
      Flag.withMetavar("<text>"),
      Flag.withDescription("Run this and end; may be given several times"),
      Flag.atLeast(0)
    ),
    readOnly: flag("read-only", "Only read, also where the database could be opened for writing"),
    create: flag("create", "Make the database (and the keyspace of --keyspace) where there is none"),
    keepGoing: flag("keep-going", "In a script: go on after a mistake"),
    noHistory: flag("no-history", "Neither read nor write the history of what is typed")
  },
  (flags) =>
    runLazily(
      () => import("../verbs/shell.ts"),
      ({ shell }, shared) => shell(shared, flags)
    )
).pipe(
  Command.withShortDescription("Type commands and JavaScript at a prompt"),
  Command.withDescription(
    "Opens the database once for many commands: at a terminal with history, completion and paging, or as a script on standard input. It opens for writing where no other process " +
      "does, and else only reads; it says which. .help lists the commands. A script stops at the first mistake, names its line, and ends with its exit code."
  ),
  Command.withExamples(
    examples(
      ["lightning shell", "Begin"],
      ["lightning shell --command 'count' --command 'scan user/ --limit 3'", "Two commands, then end"],
      ["lightning shell --read-only --json < commands.txt", "A script, with results as JSON"]
    )
  )
)
