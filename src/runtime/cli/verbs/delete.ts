import * as Effect from "effect/Effect"
import type { Durability, WriteOperation } from "../../../services/Database.ts"
import { explain } from "../explain.ts"
import { formatNoun } from "../format/numbers.ts"
import { openWriter, parseKey, printResult, type Shared } from "../shared.ts"

/** Deletes the keys in one atomic write. A key that is not there is no failure: the outcome is what was asked for; the answer says how many there were. */
export const del = Effect.fnUntraced(function* (shared: Shared, options: { readonly keys: ReadonlyArray<string>; readonly durability: Durability }) {
  const keys: Array<string | Uint8Array> = []
  for (const text of options.keys) keys.push(yield* parseKey(shared, text))
  const { target } = yield* openWriter(shared, { create: false, durability: options.durability })
  const present = new Set<string>()
  for (const [i, key] of keys.entries()) if (yield* Effect.mapError(target.has(key), explain)) present.add(options.keys[i]!)
  const operations = keys.map((key): WriteOperation => ({ type: "delete", key }))
  const result = yield* Effect.mapError(target.write(operations, { durability: options.durability }), explain)
  const missing = options.keys.filter((key) => !present.has(key))
  yield* printResult(
    shared,
    [
      `deleted ${formatNoun(present.size, "key")}, sequence ${result.sequence}, ${result.durability}`,
      ...missing.map((key) => `was not there: ${JSON.stringify(key)}`)
    ],
    { deleted: present.size, missing, sequence: result.sequence, durability: result.durability }
  )
})
