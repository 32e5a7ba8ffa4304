import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Key, ScanRange } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { parseKey, type Shared, usage } from "../shared.ts"

export interface BoundFlags {
  readonly gte: Option.Option<string>
  readonly gt: Option.Option<string>
  readonly lte: Option.Option<string>
  readonly lt: Option.Option<string>
  readonly prefix: Option.Option<string>
}

const names = ["gte", "gt", "lte", "lt", "prefix"] as const

/** The bounds given on the command line. Contradictions are refused before anything is opened. */
export const boundsOf = Effect.fnUntraced(function* (shared: Shared, flags: BoundFlags): Effect.fn.Return<ScanRange, CliFailure> {
  if (Option.isSome(flags.gte) && Option.isSome(flags.gt)) return yield* usage("--gte and --gt are both given", "Give one lower bound.")
  if (Option.isSome(flags.lte) && Option.isSome(flags.lt)) return yield* usage("--lte and --lt are both given", "Give one upper bound.")
  const range: { -readonly [Name in (typeof names)[number]]?: Key } = {}
  for (const name of names) {
    const text = flags[name]
    // An empty prefix is every key, as an empty lower bound is: a script's variable may well be empty.
    if (Option.isSome(text) && text.value !== "") range[name] = yield* parseKey(shared, text.value, `bound --${name}`)
    else if (Option.isSome(text) && (name === "lte" || name === "lt"))
      return yield* usage(`The bound --${name} is empty`, "No key is below the empty key.")
  }
  return range
})
