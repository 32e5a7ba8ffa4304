import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"

export const repairCommand = Command.make(
  "repair",
  {
    directory: Argument.String("directory").pipe(
      Argument.withDescription("The directory of the damaged database (default: that of --path)"),
      Argument.optional
    ),
    into: Flag.String("into").pipe(
      Flag.withMetavar("<directory>"),
      Flag.withDescription("Make the repaired database here, in a directory that is not there yet; the damaged one stays as it is"),
      Flag.optional
    ),
    backup: Flag.String("backup").pipe(
      Flag.withMetavar("<directory>"),
      Flag.withDescription("Repair in place, after every file was put here first, in a directory that is not there yet"),
      Flag.optional
    ),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Only say what is damaged and what would be lost")
    )
  },
  (flags) =>
    runLazily(
      () => import("../verbs/repair.ts"),
      ({ repair }, shared) => repair(shared, flags)
    )
).pipe(
  Command.withShortDescription("Make a sound database of a damaged one"),
  Command.withDescription(
    "Reads every byte of a damaged database and keeps what is sound: whole files as they are, damaged tables without their damaged blocks, the log as far as it goes on without a hole, and " +
      "transactions of lost tables from the log where it still has them. What cannot be used goes to quarantine/, with an index. The report names every loss: keys, sequences, file and offset; nothing else is lost. " +
      "A sound database is left alone. Nobody may have the database open. Cut short, it leaves the database as it was, or repaired: run it again.\n\n" +
      "  Exit codes: 0 it is sound, or was repaired (whatever was lost), 5 with --dry-run where it is damaged."
  ),
  Command.withExamples(
    examples(
      ["lightning repair --dry-run", "What is damaged in ./data, and what would be lost"],
      ["lightning repair ./data --into ./repaired", "Make a sound database beside it"],
      ["lightning repair ./data --backup ./before --json", "In place, after a backup, for a program"]
    )
  )
)
