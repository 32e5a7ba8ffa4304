import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

const load = () => import("../verbs/points.ts")

const reference = Argument.String("name").pipe(Argument.withDescription("The restore point: nightly, or with its version nightly@2"))

const createCommand = Command.make(
  "create",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Letters, digits, . _ and -; a name that is taken gets its next version")),
    reason: Flag.String("reason").pipe(Flag.withMetavar("<text>"), Flag.withDescription("Why, for whoever reads the list"), Flag.optional),
    keep: Flag.Int("keep").pipe(
      Flag.withMetavar("<count>"),
      Flag.withDescription("Keep only so many of the newest of this name (default: all)"),
      Flag.optional
    ),
    dir: Flags.points
  },
  (flags) => runLazily(load, ({ createPoint }, shared) => createPoint(shared, flags))
).pipe(
  Command.withShortDescription("Make a restore point"),
  Command.withDescription(
    "Makes a restore point of the database as it is now: a checkpoint with a name, a version and a reason. It works beside a process that writes. Tables are linked where the file system can, so that it takes no space at first. It is there whole or not at all."
  ),
  Command.withExamples(
    examples(
      ['lightning points create before-import --reason "orders of May"', "Before something that may go wrong"],
      ["lightning points create nightly --keep 7", "Every night, for a week"]
    )
  )
)

const verifyCommand = Command.make("verify", { name: reference, dir: Flags.points }, (flags) =>
  runLazily(load, ({ verifyPoint }, shared) => verifyPoint(shared, flags))
).pipe(
  Command.withShortDescription("Check every block of a restore point"),
  Command.withDescription(
    "Reads all of a restore point and checks every checksum, and its files against each other. It goes on behind damage: exit code 5, with every damaged file. Exit code 3 where there is no such restore point."
  ),
  Command.withExamples(
    examples(["lightning points verify nightly", "The newest of that name"], ["lightning points verify nightly@2 --json", "For a program"])
  )
)

const removeCommand = Command.make(
  "remove",
  {
    name: Argument.String("name").pipe(Argument.withDescription("The restore point; with its version, where there are several")),
    dir: Flags.points
  },
  (flags) => runLazily(load, ({ removePoint }, shared) => removePoint(shared, flags))
).pipe(
  Command.withShortDescription("Remove a restore point"),
  Command.withDescription(
    "Removes one restore point, and gives back the space that neither the database nor another one shares. Exit code 3 where there is no such restore point."
  ),
  Command.withExamples(
    examples(["lightning points remove before-import", "One that is not needed any more"], ["lightning points remove nightly@1", "One of several"])
  )
)

export const pointsCommand = Command.make("points", { dir: Flags.points }, (flags) =>
  runLazily(load, ({ listPoints }, shared) => listPoints(shared, flags))
).pipe(
  Command.withShortDescription("List, make, verify and remove restore points"),
  Command.withDescription(
    "Lists the restore points of the database, the oldest first. They are kept in a directory beside it; the database itself may be gone, damaged, or in use. `lightning restore` makes a new database of one, `lightning rollback` sets the database back to it."
  ),
  Command.withExamples(examples(["lightning points", "Of ./data"], ["lightning points --json | jq -r '.points[].id'", "Names for a script"])),
  Command.withSubcommands([createCommand, verifyCommand, removeCommand])
)
