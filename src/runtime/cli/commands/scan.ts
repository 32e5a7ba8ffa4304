import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, runLazily } from "../command.ts"
import * as Flags from "../flags.ts"

export const scanCommand = Command.make(
  "scan",
  {
    ...Flags.bounds,
    reverse: Flag.Boolean("reverse").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("From the last key to the first")),
    limit: Flag.Int("limit").pipe(Flag.withMetavar("<n>"), Flag.withDescription("At most this many entries"), Flag.optional),
    keysOnly: Flag.Boolean("keys-only").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("Without the values")),
    format: Flag.Literals("format", ["table", "json", "raw", "hex"]).pipe(
      Flag.withMetavar("<format>"),
      Flag.withDescription("table: aligned columns; json: as --json; raw: bytes as they are; hex: a dump of each value (default: escaped lines)"),
      Flag.optional
    ),
    separator: Flag.String("separator").pipe(
      Flag.withMetavar("<text>"),
      Flag.withDescription("With --format raw, between key and value: text, \\t, \\n, \\0 or \\x1f (default: a tab)"),
      Flag.optional
    ),
    nul: Flag.Boolean("null").pipe(
      Flag.withDefault(false),
      Flag.withoutNegation,
      Flag.withDescription("With --format raw, end each entry with a zero byte instead of a line break")
    ),
    salvage: Flags.salvage
  },
  (flags) =>
    runLazily(
      () => import("../verbs/scan.ts"),
      ({ scan }, shared) => scan(shared, flags)
    )
).pipe(
  Command.withShortDescription("List entries in key order"),
  Command.withDescription(
    "Lists entries in key order, as of one moment: key, tab, value on one line each, with control characters escaped. With --json one object a line, which import reads. --format raw escapes nothing, so that a tab or line break within a value is not told from those around it: use --json where that matters. Works beside a process that writes."
  ),
  Command.withExamples(
    examples(
      ["lightning scan --prefix user/ --limit 10", "The first ten keys that begin with user/"],
      ["lightning scan --lt user/2 --reverse --limit 1", "The last entry before user/2"],
      ["lightning scan --format table", "Columns that fit the terminal"],
      ["lightning scan --json | jq -r .key", "Keys for a script"],
      ["lightning scan --keys-only --format raw --null | xargs -0 -n 1 echo", "Keys for a program that takes any byte"]
    )
  )
)
