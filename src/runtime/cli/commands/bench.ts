import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"

export const benchCommand = Command.make(
  "bench",
  {
    dir: Flag.String("dir").pipe(
      Flag.withMetavar("<directory>"),
      Flag.withDescription("Measure on the disk of this directory (default: that in which the database lies)"),
      Flag.optional
    ),
    seconds: Flag.Int("seconds").pipe(Flag.withMetavar("<n>"), Flag.withDefault(10), Flag.withDescription("About how long, 1 to 600 (default: 10)"))
  },
  (flags) =>
    runLazily(
      () => import("../verbs/bench.ts"),
      ({ bench }, shared) => bench(shared, flags)
    )
).pipe(
  Command.withShortDescription("Measure this machine"),
  Command.withDescription(
    "Measures this machine in a few seconds: how long a sync of the disk takes, durable commits by one caller and by many, batched puts, random gets and scans, and says what is slow and why. It works on a database of its own in a temporary directory, up to some 300 MB, which it removes; yours is not opened."
  ),
  Command.withExamples(
    examples(["lightning bench", "The disk on which ./data lies"], ["lightning bench --dir . --seconds 2 --json", "Briefly, for a script"])
  )
)
