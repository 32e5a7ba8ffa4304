import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"

const load = () => import("../verbs/keyspaces.ts")

const createCommand = Command.make(
  "create",
  {
    name: Argument.String("name").pipe(Argument.withDescription("The keyspace")),
    history: Flag.String("history").pipe(
      Flag.withMetavar("<duration>"),
      Flag.withDescription("How far back its past can be read: 30m, 12h, 7d, unlimited (default: as the database keeps it)"),
      Flag.optional
    )
  },
  (flags) => runLazily(load, ({ createKeyspace }, shared) => createKeyspace(shared, flags))
).pipe(
  Command.withShortDescription("Create a keyspace, or change its history"),
  Command.withDescription(
    "Creates a keyspace, and the database where there is none. One that is there stays as it is, but for its history where --history is given. put and import create keyspaces, too."
  ),
  Command.withExamples(
    examples(
      ["lightning keyspaces create people", "Create one"],
      ["lightning keyspaces create audit --history unlimited", "Create one whose every version is kept"]
    )
  )
)

const dropCommand = Command.make(
  "drop",
  {
    name: Argument.String("name").pipe(Argument.withDescription("The keyspace")),
    yes: Flag.Boolean("yes").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("Do not ask (without it, somebody at a terminal has to type the name)")
    )
  },
  (flags) => runLazily(load, ({ dropKeyspace }, shared) => dropKeyspace(shared, flags))
).pipe(
  Command.withShortDescription("Drop a keyspace and all it holds"),
  Command.withDescription(
    "Drops a keyspace and all it holds, in one step. Asks for the name to be typed; where nobody can be asked, it refuses without --yes. Exit code 3 where there is no such keyspace."
  ),
  Command.withExamples(
    examples(
      ["lightning keyspaces drop people --yes", "Drop one without being asked"],
      ["lightning keyspaces drop people --yes --json", "For a script, with the sequence of the drop"]
    )
  )
)

export const keyspacesCommand = Command.make("keyspaces", {}, () => runLazily(load, ({ listKeyspaces }, shared) => listKeyspaces(shared))).pipe(
  Command.withShortDescription("List, create and drop keyspaces"),
  Command.withDescription(
    "Lists the keyspaces with about how many entries they have, the bytes these take, and how far back their past can be read where that is their own. Works beside a process that writes."
  ),
  Command.withExamples(
    examples(["lightning keyspaces", "Of ./data"], ["lightning keyspaces --json | jq -r '.keyspaces[].name'", "Names for a script"])
  ),
  Command.withSubcommands([createCommand, dropCommand])
)
