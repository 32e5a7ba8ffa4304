import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const getCommand = Command.make(
  "get",
  {
    key: Argument.String("key").pipe(Argument.withDescription("The key")),
    format: Flag.Literals("format", ["raw", "hex", "json", "pretty"]).pipe(
      Flag.withMetavar("<format>"),
      Flag.withDescription(
        "raw: bytes as they are, also on a terminal; hex: a dump; json: as --json; pretty: a JSON value indented (default: raw in a pipe, text on a terminal)"
      ),
      Flag.optional
    ),
    at: Flag.String("at").pipe(
      Flag.withMetavar("<moment>"),
      Flag.withDescription("As it was then: a sequence, 2026-11-21T18:00:00Z, '10m ago'; as far back as history is kept (default: now)"),
      Flag.optional
    ),
    salvage: Flags.salvage
  },
  (flags) =>
    runLazily(
      () => import("../verbs/get.ts"),
      ({ get }, shared) => get(shared, flags)
    )
).pipe(
  Command.withShortDescription("Print the value of a key"),
  Command.withDescription("Prints the value of a key, byte for byte. Exit code 3 where there is no such key. Works beside a process that writes."),
  Command.withExamples(
    examples(
      ["lightning get user/1", "Print a value"],
      ["lightning get logo.png > logo.png", "Write a value to a file"],
      ["lightning get --keyspace meta README.md --json", "From a keyspace, as JSON"],
      ["lightning get logo.png --format hex", "Look at bytes that are not text"]
    )
  )
)
