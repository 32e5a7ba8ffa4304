/** What a write of a script asks of the engine, and what it makes of a state: the second is written from the documentation alone. */
import type { WriteOperation } from "../../src/services/Database.ts"
import type { SimulatedWrite } from "./script.ts"

export interface SimulatedEntry {
  /** Bytes as Latin-1. */
  readonly value: string
  /** Engine time in ms; `Infinity`: never. */
  readonly expiresAt: number
}

export type SpaceState = Map<string, SimulatedEntry>
/** By name of the keyspace. */
export type State = Map<string, SpaceState>

export const emptyState = (): State => new Map([["default", new Map()]])

const latin1 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"))

/** Told apart from every other value of a run by its beginning. */
export const valueOf = (id: string, index: number, bytes: number): string => {
  const mark = `${id}/${index}:`
  return mark.length >= bytes ? mark : mark + "abcdefghijklmnop".repeat(Math.ceil((bytes - mark.length) / 16)).slice(0, bytes - mark.length)
}

const int64 = (n: bigint): string => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(n)
  return bytes.toString("latin1")
}
const readInt64 = (text: string): bigint => Buffer.from(text, "latin1").readBigInt64LE()

const fillKey = (index: number): string => `f${String(index).padStart(2, "0")}`

/** Every write but a fill, which is many. */
type SingleWrite = Exclude<SimulatedWrite, { readonly fill: number }>

export const singleWrites = (writes: ReadonlyArray<SimulatedWrite>): ReadonlyArray<SingleWrite> =>
  writes.flatMap((write): ReadonlyArray<SingleWrite> =>
    "fill" in write ? Array.from({ length: write.fill }, (_, i) => ({ ...inSpace(write), put: fillKey(i), bytes: write.bytes })) : [write]
  )

const inSpace = ({ space }: SimulatedWrite) => (space === undefined ? {} : { space })

export const operationsOf = (id: string, writes: ReadonlyArray<SimulatedWrite>): ReadonlyArray<WriteOperation> =>
  singleWrites(writes).map((write, index): WriteOperation => {
    const keyspace = write.space
    if ("put" in write) return { type: "put", key: write.put, value: valueOf(id, index, write.bytes), keyspace, ttl: write.ttlMs }
    if ("delete" in write) return { type: "delete", key: write.delete, keyspace }
    if ("from" in write) return { type: "deleteRange", gte: write.from, lt: write.to, keyspace }
    if ("add" in write) return { type: "add", key: write.add, value: write.by, keyspace }
    if ("max" in write) return { type: "max", key: write.max, value: write.by, keyspace }
    if ("append" in write) return { type: "append", key: write.append, value: latin1(`${id};`), keyspace }
    return { type: "setOnce", key: write.setOnce, value: valueOf(id, index, 0), keyspace }
  })

/** Applies the writes. Returns what is wrong, where they cannot be applied. `expiresAt`: when what was put at the key with a time to live ends. */
export const applyWrites = (
  state: State,
  id: string,
  writes: ReadonlyArray<SimulatedWrite>,
  expiresAt: (space: string, key: string) => number
): string | undefined => {
  for (const [index, write] of singleWrites(writes).entries()) {
    const name = write.space ?? "default"
    const space = state.get(name)
    if (space === undefined) return `${id} writes to the keyspace ${name}, which is not there`
    const set = (key: string, value: string, ends = Infinity) => space.set(key, { value, expiresAt: ends })
    if ("put" in write) set(write.put, valueOf(id, index, write.bytes), write.ttlMs === undefined ? Infinity : expiresAt(name, write.put))
    else if ("delete" in write) space.delete(write.delete)
    else if ("from" in write) {
      for (const key of space.keys()) if (key >= write.from && key < write.to) space.delete(key)
    } else if ("add" in write) {
      const before = space.get(write.add)
      set(write.add, int64((before === undefined ? 0n : readInt64(before.value)) + BigInt(write.by)))
    } else if ("max" in write) {
      const before = space.get(write.max)
      if (before === undefined || readInt64(before.value) < BigInt(write.by)) set(write.max, int64(BigInt(write.by)))
    } else if ("append" in write) set(write.append, `${space.get(write.append)?.value ?? ""}${id};`)
    else if (!space.has(write.setOnce)) set(write.setOnce, valueOf(id, index, 0))
  }
  return undefined
}
