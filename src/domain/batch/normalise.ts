import { InvalidBatch, InvalidKey, InvalidRange, InvalidValue } from "../errors.ts"
import { describeType } from "../keys/describeType.ts"
import { KeyEncoder } from "../keys/encodeKey.ts"
import { prefixSuccessor } from "../keys/KeyBounds.ts"
import type { Batch } from "./Batch.ts"

/** The id of a keyspace by its name; `undefined` is the one the write was called on. Throws its own typed errors. */
export type KeyspaceOf = (name: string | undefined) => number

/** An operation that nobody has checked yet. */
interface Unchecked {
  readonly type?: unknown
  readonly key?: unknown
  readonly value?: unknown
  readonly gte?: unknown
  readonly lt?: unknown
  readonly prefix?: unknown
  readonly keyspace?: unknown
}

const prefixEncoder = new KeyEncoder()

const addDeleteRange = (batch: Batch, index: number, keyspace: number, operation: Unchecked): void => {
  const { gte, lt, prefix } = operation
  if (prefix === undefined) {
    if (gte === undefined || lt === undefined) throw new InvalidBatch({ index, detail: "a deleteRange needs both gte and lt, or a prefix." })
    return batch.addDeleteRange(keyspace, gte, lt)
  }
  if (gte !== undefined || lt !== undefined) throw new InvalidBatch({ index, detail: "a deleteRange has gte and lt, or a prefix, not both." })
  prefixEncoder.encode(prefix)
  const from = prefixEncoder.bytes.slice(prefixEncoder.start, prefixEncoder.end)
  const end = prefixSuccessor(from)
  if (end === undefined)
    throw new InvalidRange({ detail: "a deleteRange by a prefix of only 0xff bytes has no end. Use gte and lt, or drop the keyspace." })
  batch.addDeleteRange(keyspace, from, end)
}

/**
 * Fills an empty `batch` from operations as an application gives them, and brings it to normal form.
 *
 * **Details** Throws `InvalidBatch` (wrong shapes), `InvalidKey`, `InvalidValue`, `InvalidRange`, `BatchTooLarge`, each naming the operation where one is to blame, and what
 * `keyspaceOf` throws; the batch is then only good for `reset`. Values stay the caller's memory: they must not change until the batch has been written.
 */
export const normalise = (batch: Batch, operations: unknown, keyspaceOf: KeyspaceOf): void => {
  if (!Array.isArray(operations)) throw new InvalidBatch({ detail: `it is ${describeType(operations)}. Use an array of operations.` })
  const list: ReadonlyArray<unknown> = operations
  const ownKeyspace = keyspaceOf(undefined)
  let index = 0
  try {
    for (; index < list.length; index++) {
      const given = list[index]
      if (typeof given !== "object" || given === null)
        throw new InvalidBatch({ index, detail: `it is ${describeType(given)}. Use { type, key, … }.` })
      const operation: Unchecked = given
      const name = operation.keyspace
      let keyspace = ownKeyspace
      if (name !== undefined) {
        if (typeof name !== "string") throw new InvalidBatch({ index, detail: `its keyspace is ${describeType(name)}. Use the name of a keyspace.` })
        keyspace = keyspaceOf(name)
      }
      const type = operation.type
      if (type === "put") batch.addPut(keyspace, operation.key, operation.value)
      else if (type === "delete") batch.addDelete(keyspace, operation.key)
      else if (type === "deleteRange") addDeleteRange(batch, index, keyspace, operation)
      else {
        const found = typeof type === "string" ? JSON.stringify(type.slice(0, 40)) : describeType(type)
        throw new InvalidBatch({ index, detail: `its type is ${found}. Use "put", "delete" or "deleteRange".` })
      }
    }
  } catch (e) {
    if (e instanceof InvalidKey) throw new InvalidKey({ reason: e.reason, lengthBytes: e.lengthBytes, found: e.found, index })
    if (e instanceof InvalidValue)
      throw new InvalidValue({ reason: e.reason, lengthBytes: e.lengthBytes, bytesMax: e.bytesMax, found: e.found, index })
    if (e instanceof InvalidRange) throw new InvalidBatch({ index, detail: e.detail })
    throw e
  }
  batch.finish()
}
