import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { copyOf } from "../../domain/bytes/copyOf.ts"
import {
  DatabaseClosed,
  InvalidKey,
  KeyspaceNotFound,
  type LockError,
  LockTimeout,
  TooManySnapshots,
  TransactionFinished
} from "../../domain/errors.ts"
import { compareBytes } from "../../domain/keys/compareBytes.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { defaultKeyspace } from "../../domain/keys/kinds.ts"
import type { Transaction } from "../../services/Transaction.ts"
import type { OpenTransaction } from "./OpenTransaction.ts"

type Options = Parameters<Transaction["lock"]>[1]

const isTyped = (cause: unknown): cause is LockError | KeyspaceNotFound =>
  cause instanceof InvalidKey ||
  cause instanceof TransactionFinished ||
  cause instanceof KeyspaceNotFound ||
  cause instanceof TooManySnapshots ||
  cause instanceof DatabaseClosed

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

/** `tx.lock`: key after key, in their order, so that two calls of the same keys never wait for each other. */
export const lockKeys = (tx: OpenTransaction, keys: unknown, options: Options): Effect.Effect<void, LockError | KeyspaceNotFound> =>
  attempt(() => {
    tx.checkOpenState()
    const { catalog, clock, locks } = tx.shared
    const keyspace = options?.keyspace === undefined ? defaultKeyspace : catalog.idOf(options.keyspace)
    if (keyspace === undefined) throw new KeyspaceNotFound({ name: String(options?.keyspace) })
    const names = namesOf(tx, keyspace, keys)
    const startMs = clock.monotonicMs()
    tx.locked = true
    const all = Effect.andThen(
      Effect.forEach(names, (name) => locks.acquire(tx, name), { discard: true }),
      attempt(() => {
        // It may have ended while it waited: then nobody would give back what it was granted.
        if (tx.state !== "open") locks.releaseAll(tx)
        tx.checkOpenState()
        if (tx.isUntouched) tx.refresh()
        return Effect.void
      })
    )
    if (options?.timeout === undefined) return all
    const timeout = Option.getOrElse(Duration.fromInput(options.timeout), () => Duration.infinity)
    return Effect.timeoutOrElse(all, {
      duration: timeout,
      orElse: () => Effect.fail(new LockTimeout({ waitedMs: clock.monotonicMs() - startMs }))
    })
  })
