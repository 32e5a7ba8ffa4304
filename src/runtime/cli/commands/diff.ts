import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

const flag = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription(description))
const at = (side: "a" | "b") =>
  Flag.Int(`at-${side}`).pipe(
    Flag.withMetavar("<sequence>"),
    Flag.withDescription(`${side.toUpperCase()} as it was after this commit, as far back as its history is kept`),
    Flag.optional
  )

export const diffCommand = Command.make(
  "diff",
  {
    a: Argument.String("a").pipe(Argument.withDescription("The directory of a database or a checkpoint")),
    b: Argument.String("b").pipe(Argument.withDescription("Another one, or the same with --at-a or --at-b")),
    ...Flags.bounds,
    atA: at("a"),
    atB: at("b"),
    summary: flag("summary", "Only how many entries were added, removed and changed"),
    keysOnly: flag("keys-only", "Without the values; they are compared all the same"),
    full: flag("full", "Values whole on a terminal too, instead of cut to its width")
  },
  (flags) =>
    runLazily(
      () => import("../verbs/diff.ts"),
      ({ diff }, shared) => diff(shared, flags)
    )
).pipe(
  Command.withShortDescription("Compare two databases or checkpoints"),
  Command.withDescription(
    "Compares two databases or checkpoints in key order, over all keyspaces or the one of --keyspace, each as of one moment: + key value is only in B, - only in A, ~ key has one value in A " +
      "and another in B. It reads both and changes neither, works beside a process that writes, and holds a few blocks in memory whatever their size. A value that expires at another time is changed too. --path is not used.\n\n" +
      "  Exit codes as of diff(1): 0 they are the same, 1 they differ, 2 and above there is no answer (2 wrong command line or failed, 3 keyspace in neither, 5 damaged bytes)."
  ),
  Command.withExamples(
    examples(
      ["lightning diff ./data ./backup", "What ./backup has more (+), less (-) and otherwise (~)"],
      ["lightning diff ./data ./backup --summary --json", "Only the counts, for a program"],
      ["lightning diff ./data ./backup --prefix user/ --keys-only", "Which users differ"]
    )
  )
)
