import * as Command from "effect/cli/Command"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const compactCommand = Command.make(
  "compact",
  {
    gte: Flags.bounds.gte,
    lt: Flags.bounds.lt
  },
  (flags) =>
    runLazily(
      () => import("../verbs/compact.ts"),
      ({ compact }, shared) => compact(shared, flags)
    )
).pipe(
  Command.withShortDescription("Give space of deleted entries back"),
  Command.withDescription(
    "Rewrites the database, or a range of it, to its lowest level, which gives the space of deleted and overwritten entries back at once. It happens by itself in time."
  ),
  Command.withExamples(examples(["lightning compact", "All of ./data"], ["lightning compact --gte log/2024 --lt log/2025", "One range"]))
)
