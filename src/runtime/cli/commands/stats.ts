import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const statsCommand = Command.make(
  "stats",
  {
    watch: Flag.Boolean("watch").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Look again and again: a live view on a terminal (q ends it), otherwise a line or an object each time")
    ),
    interval: Flag.String("interval").pipe(
      Flag.withMetavar("<duration>"),
      Flag.withDescription("With --watch, how often: 500ms, 5s, 1m (default: 1s)"),
      Flag.optional
    ),
    count: Flag.Int("count").pipe(
      Flag.withMetavar("<n>"),
      Flag.withDescription("With --watch, end after so many looks (default: no end)"),
      Flag.optional
    ),
    salvage: Flags.salvage
  },
  (flags) =>
    runLazily(
      () => import("../verbs/stats.ts"),
      ({ stats }, shared) => stats(shared, flags)
    )
).pipe(
  Command.withShortDescription("Show what the database consists of"),
  Command.withDescription(
    "Shows sequences, space by part, levels, keyspaces, what opening found, the memory that this look takes, and files that are left alone after failures. It reads only, and works beside a process that writes; that one's memory, caches, write amplification, transactions and snapshots are counted within it and not visible from here."
  ),
  Command.withExamples(
    examples(
      ["lightning stats", "Of ./data"],
      ["lightning stats --path ./orders --json", "All figures for a program"],
      ["lightning stats --watch --interval 2s", "Watch a database that is written to"],
      ["lightning stats --watch --count 3 --json", "Three objects, a second apart"]
    )
  )
)
