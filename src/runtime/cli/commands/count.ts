import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const countCommand = Command.make(
  "count",
  {
    ...Flags.bounds,
    estimate: Flag.Boolean("estimate").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("About how many, at once: from the index of each table, without reading entries")
    ),
    salvage: Flags.salvage
  },
  (flags) =>
    runLazily(
      () => import("../verbs/count.ts"),
      ({ count }, shared) => count(shared, flags)
    )
).pipe(
  Command.withShortDescription("Count entries"),
  Command.withDescription(
    "Counts the entries within the bounds exactly, as of one moment; of the values nothing is read. With --estimate it reads no entries at all: each bound is off by at most one block per table, and keys that were overwritten or deleted since the last compaction may count twice or not at all. Works beside a process that writes."
  ),
  Command.withExamples(
    examples(
      ["lightning count", "All entries of the default keyspace"],
      ["lightning count --prefix user/", "Those that begin with user/"],
      ["lightning count --estimate --json", "About how many, and how many bytes they take"]
    )
  )
)
