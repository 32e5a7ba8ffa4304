/** Everything that ever happened to each of a few keys, by the change feed of a database that keeps its whole log. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Change } from "../../src/services/Changes.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { Version } from "../../src/services/History.ts"

const utf8 = new TextDecoder()
export const keys = Array.from({ length: 20 }, (_, i) => `key-${String(i).padStart(2, "0")}`)

const valueText = (value: Uint8Array): string => utf8.decode(value).replace(/\.+$/, "")

/** `sequence type value`. */
export const textOf = ({ sequence, type, value }: Version): string => `${sequence} ${type}${value === undefined ? "" : ` ${valueText(value)}`}`

export class EveryVersion {
  private readonly spaces = new Map<string, Map<string, Array<string>>>()

  static of(db: DatabaseShape) {
    return Effect.map(Stream.runCollect(db.changes({ from: 0, live: false })), (changes) => {
      const every = new EveryVersion()
      for (const change of changes) every.apply(change)
      return every
    })
  }

  /** Oldest first. */
  of(keyspace: string | undefined, key: string): ReadonlyArray<string> {
    return this.spaces.get(keyspace ?? "default")?.get(key) ?? []
  }

  private apply({ operations, sequence }: Change): void {
    // A range delete stands before the puts of its transaction, which come to one version with it.
    for (const one of operations) {
      if (one.type === "createKeyspace") this.spaces.set(one.keyspace, new Map())
      else if (one.type === "deleteRange") {
        for (const key of keys) if (key >= utf8.decode(one.gte) && key < utf8.decode(one.lt)) this.note(one.keyspace, key, sequence, "delete")
      } else if ("key" in one) {
        this.note(one.keyspace, utf8.decode(one.key), sequence, one.type === "put" ? `put ${valueText(one.value)}` : one.type)
      }
    }
  }

  private note(keyspace: string, key: string, sequence: number, what: string): void {
    const space = this.spaces.get(keyspace) ?? new Map<string, Array<string>>()
    this.spaces.set(keyspace, space)
    const versions = space.get(key) ?? []
    space.set(key, versions)
    if (versions.at(-1)?.startsWith(`${sequence} `) === true) versions.pop()
    versions.push(`${sequence} ${what}`)
  }
}
