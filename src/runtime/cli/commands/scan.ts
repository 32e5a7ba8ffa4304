import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { examples, run } from "../command.ts"
import * as Flags from "../flags.ts"
import { scan } from "../verbs/scan.ts"

export const scanCommand = Command.make(
  "scan",
  {
    ...Flags.bounds,
    reverse: Flag.Boolean("reverse").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("From the last key to the first")),
    limit: Flag.Int("limit").pipe(Flag.withMetavar("<n>"), Flag.withDescription("At most this many entries"), Flag.optional),
    keysOnly: Flag.Boolean("keys-only").pipe(Flag.withDefault(false), Flag.withoutNegation, Flag.withDescription("Without the values"))
  },
  (flags) => run((shared) => scan(shared, flags))
).pipe(
  Command.withShortDescription("List entries in key order"),
  Command.withDescription(
    "Lists entries in key order, as of one moment: key, tab, value on one line each, with control characters escaped. With --json one object a line, which import reads."
  ),
  Command.withExamples(
    examples(
      ["lightning scan --prefix user/ --limit 10", "The first ten keys that begin with user/"],
      ["lightning scan --lt user/2 --reverse --limit 1", "The last entry before user/2"],
      ["lightning scan --json | jq -r .key", "Keys for a script"]
    )
  )
)
