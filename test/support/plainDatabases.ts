/** What the tests of the Promise facade share. */
import { afterEach } from "vitest"
import type { MemoryOptions } from "../../src/domain/options/Options.ts"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import { openPlain, type PlainDatabase } from "../../src/runtime/plain/PlainDatabase.ts"
import type { PlainTransaction } from "../../src/runtime/plain/PlainTransaction.ts"

export const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : new TextDecoder().decode(bytes))

export const texts = (entries: Iterable<readonly [Uint8Array, Uint8Array]>): Array<string> =>
  [...entries].map(([key, value]) => `${text(key)}=${text(value)}`)

/** What the promise rejects with, or the call throws. */
export const refusal = async (run: () => unknown): Promise<unknown> => {
  try {
    await run()
  } catch (error) {
    return error
  }
  return "nothing was refused"
}

/** Databases in memory with these options, closed after each test of the file that asks for this; what is pushed to `cleanup` runs then too, the last first. */
export const plainDatabases = (options?: MemoryOptions) => {
  const cleanup: Array<() => unknown> = []
  afterEach(async () => {
    for (const clean of cleanup.splice(0).toReversed()) await clean()
  })
  const openMemory = async (): Promise<PlainDatabase> => {
    const db = await openPlain(LightningDb.layerMemory(options))
    cleanup.push(db.close)
    return db
  }
  return { cleanup, openMemory }
}

/** Everything that can be done with a transaction. */
export const uses = (tx: PlainTransaction): Record<string, () => unknown> => ({
  get: () => tx.get("a"),
  getText: () => tx.getText("a"),
  getMany: () => tx.getMany(["a"]),
  has: () => tx.has("a"),
  entries: () => [...tx.entries()],
  put: () => tx.put("a", "1"),
  delete: () => tx.delete("a"),
  deleteRange: () => tx.deleteRange({ prefix: "a" }),
  write: () => tx.write([{ type: "delete", key: "a" }]),
  keyspace: () => tx.keyspace("users"),
  savepoint: () => tx.savepoint("s"),
  rollbackTo: () => tx.rollbackTo("s"),
  addReadConflict: () => tx.addReadConflict({ prefix: "a" }),
  addWriteConflict: () => tx.addWriteConflict({ prefix: "a" }),
  annotate: () => tx.annotate("note"),
  lock: () => tx.lock(["a"])
})

/** What each use is refused with; every use must be. */
export const refusals = async (tx: PlainTransaction): Promise<Set<unknown>> => {
  const tags = new Set<unknown>()
  for (const use of Object.values(uses(tx))) {
    const error = await refusal(use)
    tags.add(typeof error === "object" && error !== null && "_tag" in error ? error._tag : error)
  }
  return tags
}

/** Moves `key` on by one, from outside of every transaction. */
export const interfere = async (db: PlainDatabase, key: string): Promise<void> => {
  await db.put(key, String(Number((await db.getText(key)) ?? "0") + 1))
}
