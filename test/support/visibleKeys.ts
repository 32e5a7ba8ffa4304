import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { DatabaseShape } from "../../src/services/Database.ts"

/** Every entry of every keyspace, as text: to compare two databases as a whole. */
export const visibleKeys = (db: DatabaseShape) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const names = (yield* db.keyspaces).map(({ name }) => name).sort()
    const spaces = [db, ...(yield* Effect.forEach(names, (name) => db.keyspace(name)))]
    for (const [index, space] of spaces.entries()) {
      yield* Stream.runForEach(space.scan(), ({ key, value }) =>
        Effect.sync(() => lines.push(`${index} ${Buffer.from(key).toString()} ${Buffer.from(value).toString("base64")}`))
      )
    }
    return lines
  })
