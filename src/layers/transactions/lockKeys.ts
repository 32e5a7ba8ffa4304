import * as Effect from "effect/Effect"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import {
  DatabaseClosed,
  DatabaseFailed,
  InvalidKey,
  InvalidOptions,
  KeyspaceNotFound,
  type LockError,
  LockTimeout,
  TooManySnapshots,
  TransactionFinished,
  TransactionTooOld
} from "../../domain/errors.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { defaultKeyspace } from "../../domain/keys/kinds.ts"
import { readDuration } from "../../domain/options/readDuration.ts"
import type { Transaction } from "../../services/Transaction.ts"
import type { OpenTransaction } from "./OpenTransaction.ts"

type Options = Parameters<Transaction["lock"]>[1]

const isTyped = (cause: unknown): cause is LockError | KeyspaceNotFound =>
  cause instanceof InvalidKey ||
  cause instanceof InvalidOptions ||
  cause instanceof TransactionTooOld ||
  cause instanceof TransactionFinished ||
  cause instanceof KeyspaceNotFound ||
  cause instanceof TooManySnapshots ||
  cause instanceof DatabaseClosed ||
  cause instanceof DatabaseFailed

const attempt = <A>(run: () => Effect.Effect<A, LockError | KeyspaceNotFound>): Effect.Effect<A, LockError | KeyspaceNotFound> =>
  Effect.suspend(() => {
    try {
      return run()
    } catch (cause) {
      if (isTyped(cause)) return Effect.fail(cause)
      throw cause
    }
  })

/** The names of the locks in the order of their keys, each once. Throws `InvalidKey`. */
const namesOf = (tx: OpenTransaction, keyspace: number, keys: unknown): ReadonlyArray<string> => {
  if (!Array.isArray(keys)) throw new InvalidKey({ reason: "WrongType", found: `${describeType(keys)} where a list of keys belongs` })
  const { encoder } = tx.shared.reads
  const encoded = keys.map((key: unknown) => {
    encoder.encode(key)
    return copyOf(encoder.bytes, encoder.start, encoder.end)
  })
  encoded.sort(compareBytes)
  const names = encoded.map((key) => `${keyspace}/${String.fromCharCode(...key.subarray(0, 4096))}${key.length > 4096 ? decodeRest(key) : ""}`)
  return names.filter((name, i) => name !== names[i - 1])
}

const decodeRest = (key: Uint8Array): string => {
  let text = ""
  for (let i = 4096; i < key.length; i += 4096) text += String.fromCharCode(...key.subarray(i, i + 4096))
  return text
}

/** How long a lock is waited for at most. Throws `InvalidOptions`. */
const timeoutMsOf = (given: unknown): number => {
  if (given === undefined) return Infinity
  const refuse = (problem: string) => new InvalidOptions({ problems: [problem] })
  if (typeof given !== "object" || given === null)
    throw refuse(`the options of a lock must be an object such as { timeout: "10 seconds" }, found ${describeType(given)}`)
  for (const name in given)
    if (name !== "timeout" && name !== "keyspace") throw refuse(`${JSON.stringify(name)} is not an option of a lock; there are timeout, keyspace`)
  const { timeout }: { readonly timeout?: unknown } = given
  if (timeout === undefined) return Infinity
  const ms = readDuration(timeout)
  if (!(ms >= 0)) throw refuse(`timeout must be a duration (a number of milliseconds, "5 minutes", a Duration), found ${describeType(timeout)}`)
  return ms
}

/** `tx.lock`: key after key, in their order, so that two calls of the same keys never wait for each other. */
export const lockKeys = (tx: OpenTransaction, keys: unknown, options: Options): Effect.Effect<void, LockError | KeyspaceNotFound> =>
  attempt(() => {
    tx.checkLockable()
    const { catalog, clock, locks } = tx.shared
    const timeoutMs = timeoutMsOf(options)
    const keyspace = options?.keyspace === undefined ? defaultKeyspace : catalog.idOf(options.keyspace)
    if (keyspace === undefined) throw new KeyspaceNotFound({ name: String(options?.keyspace) })
    const names = namesOf(tx, keyspace, keys)
    const startMs = clock.monotonicMs()
    const held = attempt(() => {
      tx.checkLockable()
      if (tx.isUntouched) tx.refresh()
      return Effect.void
    })
    tx.locked = true
    let free = 0
    while (free < names.length && locks.take(tx, names[free]!)) free++
    if (free === names.length) return held
    const leftMs = tx.isTimed ? Infinity : tx.leftMs
    // It may end while it waits: then it is woken without the lock, and must not be given the next one either.
    const checked = attempt(() => {
      tx.checkLockable()
      return Effect.void
    })
    const all = Effect.andThen(
      Effect.forEach(names.slice(free), (name) => Effect.andThen(checked, locks.acquire(tx, name)), { discard: true }),
      held
    )
    const duration = Math.min(timeoutMs, leftMs)
    if (duration === Infinity) return all
    return Effect.timeoutOrElse(all, {
      duration,
      orElse: () => Effect.fail(timeoutMs <= leftMs ? new LockTimeout({ waitedMs: clock.monotonicMs() - startMs }) : tx.tooOld("time"))
    })
  })
