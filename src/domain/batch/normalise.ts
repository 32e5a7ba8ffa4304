import { InvalidBatch, InvalidKey, InvalidRange, InvalidValue } from "../errors.ts"
import { describeType } from "../keys/describeType.ts"
import { KeyEncoder } from "../keys/encodeKey.ts"
import { prefixSuccessor } from "../keys/KeyBounds.ts"
import { annotationOf, applyAtomic, type Atomic, isAtomicType, readAtomic, withVersionstamp } from "../transaction/atomic.ts"
import type { Batch } from "./Batch.ts"
import type { CommitHead } from "./CommitHead.ts"
import { expiresAtOf } from "./expiry.ts"

/** The id of a keyspace by its name; `undefined` is the one the write was called on. Throws its own typed errors. */
export type KeyspaceOf = (name: string | undefined) => number

/** An operation that nobody has checked yet: a `WriteOperation`, if its caller keeps to the types. */
export interface UncheckedOperation {
  readonly type?: unknown
  readonly key?: unknown
  readonly value?: unknown
  readonly gte?: unknown
  readonly lt?: unknown
  readonly prefix?: unknown
  readonly keyspace?: unknown
  readonly ttl?: unknown
  readonly expiresAt?: unknown
  readonly expected?: unknown
  readonly bytesMax?: unknown
  readonly suffix?: unknown
}

const prefixEncoder = new KeyEncoder()

const addDeleteRange = (batch: Batch, index: number, keyspace: number, operation: UncheckedOperation): void => {
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

const expiryOf = (index: number, operation: UncheckedOperation, head: CommitHead): number => {
  if (operation.ttl === undefined && operation.expiresAt === undefined) return 0
  const expiresAt = expiresAtOf(operation, head.commitTimeMs)
  if (typeof expiresAt === "string") throw new InvalidBatch({ index, detail: expiresAt })
  return expiresAt
}

/** Resolves the operation against what is there now. Its result never expires: of the value before only the bytes live on. */
const addAtomic = (batch: Batch, index: number, keyspace: number, key: unknown, atomic: Atomic, head: CommitHead): void => {
  const results = (batch.results ??= [])
  if (atomic.type === "versionstampedKey") {
    prefixEncoder.encode(key)
    const stamped = withVersionstamp(prefixEncoder.bytes.subarray(prefixEncoder.start, prefixEncoder.end), head.sequence, index, atomic.suffix)
    batch.addPutAnnotated(keyspace, stamped, atomic.value, annotationOf(atomic))
    results.push(stamped)
    return
  }
  if (atomic.type === "versionstampedValue") {
    const stamped = withVersionstamp(atomic.value, head.sequence, index)
    batch.addPutAnnotated(keyspace, key, stamped, annotationOf(atomic))
    results.push(stamped)
    return
  }
  const current = batch.look(keyspace, key, head)
  const value = applyAtomic(atomic, current, index)
  if (value === undefined) batch.addFoundDelete(annotationOf(atomic))
  else if (value !== current) batch.addFound(value, annotationOf(atomic))
  else batch.leaveFound(value.length)
  // Operands are the caller's memory, and a value that was found is only good for this step; what was made of both is new.
  const isNew = atomic.type !== "compareAndSet" && atomic.type !== "setOnce" && value !== current
  results.push(value === undefined || isNew ? value : new Uint8Array(value))
}

/**
 * Adds one operation as an application gave it to `batch`: the index-th of its transaction, in the keyspace with this id (its own `keyspace` is not looked at). The caller adds
 * all of them in order and then calls `batch.finish()`.
 *
 * **Details** Throws `InvalidBatch` (wrong shapes), `InvalidKey`, `InvalidValue`, `BatchTooLarge`, each naming the operation where one is to blame, `AtomicOperationFailed`, and
 * `NotAtHand` from `head.value`; the batch is then only good for `reset`. What atomic operations left is in `batch.results` then; see `batch.readHead` for when to answer.
 */
export const normaliseOne = (batch: Batch, index: number, keyspace: number, operation: UncheckedOperation, head: CommitHead): void => {
  try {
    addOperation(batch, index, keyspace, operation, head)
  } catch (e) {
    throw inOperation(e, index)
  }
}

const addOperation = (batch: Batch, index: number, keyspace: number, operation: UncheckedOperation, head: CommitHead): void => {
  const type = operation.type
  if (type === "put") batch.addPut(keyspace, operation.key, operation.value, expiryOf(index, operation, head))
  else if (type === "delete") batch.addDelete(keyspace, operation.key)
  else if (type === "deleteRange") addDeleteRange(batch, index, keyspace, operation)
  else if (isAtomicType(type)) addAtomic(batch, index, keyspace, operation.key, readAtomic(type, operation, index, batch.valueBytesMax), head)
  else {
    const found = typeof type === "string" ? JSON.stringify(type.slice(0, 40)) : describeType(type)
    throw new InvalidBatch({
      index,
      detail:
        `its type is ${found}. Use "put", "delete", "deleteRange", "add", "min", "max", "and", "or", "xor", "append", "compareAndSet", "setOnce", ` +
        '"versionstampedKey" or "versionstampedValue".'
    })
  }
}

/** What was thrown, with the operation it speaks of. */
const inOperation = (e: unknown, index: number): unknown => {
  if (e instanceof InvalidKey) return new InvalidKey({ reason: e.reason, lengthBytes: e.lengthBytes, found: e.found, index })
  if (e instanceof InvalidValue)
    return new InvalidValue({ reason: e.reason, lengthBytes: e.lengthBytes, bytesMax: e.bytesMax, found: e.found, index })
  if (e instanceof InvalidRange) return new InvalidBatch({ index, detail: e.detail })
  return e
}

/**
 * Fills an empty `batch` from operations as an application gives them, and brings it to normal form.
 *
 * **Details** Throws what `normaliseOne` throws, `InvalidBatch` where the batch itself is no list, and what `keyspaceOf` throws; the batch is then only good for `reset`. Values
 * stay the caller's memory: they must not change until the batch has been written.
 */
export const normalise = (batch: Batch, operations: unknown, keyspaceOf: KeyspaceOf, head: CommitHead): void => {
  if (!Array.isArray(operations)) throw new InvalidBatch({ detail: `it is ${describeType(operations)}. Use an array of operations.` })
  const list: ReadonlyArray<unknown> = operations
  const ownKeyspace = keyspaceOf(undefined)
  let index = 0
  try {
    for (; index < list.length; index++) {
      const given = list[index]
      if (typeof given !== "object" || given === null)
        throw new InvalidBatch({ index, detail: `it is ${describeType(given)}. Use { type, key, … }.` })
      const operation: UncheckedOperation = given
      const name = operation.keyspace
      let keyspace = ownKeyspace
      if (name !== undefined) {
        if (typeof name !== "string") throw new InvalidBatch({ index, detail: `its keyspace is ${describeType(name)}. Use the name of a keyspace.` })
        keyspace = keyspaceOf(name)
      }
      addOperation(batch, index, keyspace, operation, head)
    }
  } catch (e) {
    throw inOperation(e, index)
  }
  batch.finish()
}
