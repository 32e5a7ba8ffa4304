import * as Command from "effect/cli/Command"
import { examples, run } from "../command.ts"
import * as Flags from "../flags.ts"
import { count } from "../verbs/count.ts"

export const countCommand = Command.make("count", Flags.bounds, (flags) => run((shared) => count(shared, flags))).pipe(
  Command.withShortDescription("Count entries"),
  Command.withDescription("Counts the entries within the bounds exactly, as of one moment."),
  Command.withExamples(
    examples(["lightning count", "All entries of the default keyspace"], ["lightning count --prefix user/", "Those that begin with user/"])
  )
)
