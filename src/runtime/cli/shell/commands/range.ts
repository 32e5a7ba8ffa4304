import * as Effect from "effect/Effect"
import type { Key, ScanRange } from "../../../../services/Database.ts"
import type { CliFailure } from "../../CliFailure.ts"
import { usage } from "../../shared.ts"
import { type Arguments, keyOf, numberOf, type OptionKind } from "../arguments.ts"
import type { Session } from "../Session.ts"

export const boundOptions = { gte: "key", gt: "key", lte: "key", lt: "key" } satisfies Record<string, OptionKind>

/** The prefix that stands by itself, and the bounds. */
export const rangeOf = Effect.fnUntraced(function* (session: Session, { options, positions }: Arguments): Effect.fn.Return<ScanRange, CliFailure> {
  if (options.has("gte") && options.has("gt")) return yield* usage("--gte and --gt are both given", "Give one lower bound.")
  if (options.has("lte") && options.has("lt")) return yield* usage("--lte and --lt are both given", "Give one upper bound.")
  const range: { -readonly [Name in keyof ScanRange]?: ScanRange[Name] } = {}
  const [prefix] = positions
  if (prefix !== undefined && prefix.value !== "") range.prefix = yield* keyOf(session, prefix, "prefix")
  for (const name of ["gte", "gt", "lte", "lt"] as const) {
    const word = options.get(name)
    if (word !== undefined) range[name] = (yield* keyOf(session, word, `bound --${name}`)) satisfies Key
  }
  if (options.has("reverse")) range.reverse = true
  const limit = options.get("limit")
  if (limit !== undefined) range.limit = yield* numberOf(limit, "--limit")
  return range
})
