import * as Command from "effect/cli/Command"
import { examples, run } from "../command.ts"
import { stats } from "../verbs/stats.ts"

export const statsCommand = Command.make("stats", {}, () => run(stats)).pipe(
  Command.withShortDescription("Show what the database consists of"),
  Command.withDescription("Shows sequences, space by part, levels, keyspaces and what opening found."),
  Command.withExamples(examples(["lightning stats", "Of ./data"], ["lightning stats --path ./orders --json", "All figures for a program"]))
)
