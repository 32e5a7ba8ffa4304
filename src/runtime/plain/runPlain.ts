import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { InvalidOptions } from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import type { DatabaseShape } from "../../services/Database.ts"
import type { TransactionOptions } from "../../services/Transaction.ts"
import type { PlainHost } from "./PlainHost.ts"
import type { PlainTransaction, PlainTransactionOptions } from "./PlainTransaction.ts"
import { TransactionView } from "./TransactionView.ts"

type Body<A> = (tx: PlainTransaction) => A | PromiseLike<A>

const isThenable = <A>(value: A | PromiseLike<A>): value is PromiseLike<A> =>
  (typeof value === "object" || typeof value === "function") && value !== null && "then" in value && typeof value.then === "function"

/** The body as an effect, which also ends when the database is closed: what its promise does afterwards is nobody's concern. */
const runBody = <A>(host: PlainHost, body: Body<A>, tx: PlainTransaction): Effect.Effect<A, unknown> => {
  let answer: A | PromiseLike<A>
  try {
    answer = body(tx)
  } catch (error) {
    return Effect.fail(error)
  }
  if (!isThenable(answer)) return Effect.succeed(answer)
  const promise = answer
  return Effect.callback((resume) => {
    const forget = host.onClose((closed) => resume(Effect.fail(closed)))
    promise.then(
      (value) => {
        forget()
        resume(Effect.succeed(value))
      },
      (error: unknown) => {
        forget()
        resume(Effect.fail(error))
      }
    )
    return Effect.sync(forget)
  })
}

/** As patient as the engine by itself, but for its end. */
const retryOf = (attempts: number): Schedule.Schedule<unknown> =>
  Schedule.concat(Schedule.recurs(2), Schedule.jittered(Schedule.min([Schedule.exponential("1 millis"), Schedule.spaced("250 millis")]))).pipe(
    Schedule.upTo({ times: attempts - 1 })
  )

const engineOptions = (options: PlainTransactionOptions | undefined): TransactionOptions | undefined => {
  if (typeof options !== "object" || options === null) return options
  const { retry, ...rest } = options
  if (retry === undefined) return rest
  if (retry === false) return { ...rest, retry }
  if (Number.isSafeInteger(retry) && retry >= 1) return { ...rest, retry: retryOf(retry) }
  throw new InvalidOptions({
    problems: [`retry must be a whole number from 1, or false, found ${typeof retry === "number" ? retry : describeType(retry)}`]
  })
}

/** `db.transaction` for a body of plain code, synchronous or not. */
export const runPlain = <A>(host: PlainHost, db: DatabaseShape, body: Body<A>, options: PlainTransactionOptions | undefined): Promise<A> =>
  host.run(() => {
    let view: TransactionView | undefined
    const run = db.transaction((transaction) => {
      view?.ended()
      view = new TransactionView(host, transaction)
      return runBody(host, body, view)
    }, engineOptions(options))
    return Effect.onExit(run, () => Effect.sync(() => view?.ended()))
  })
