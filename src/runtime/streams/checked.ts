import * as Effect from "effect/Effect"
import { InvalidEvent, InvalidKey, InvalidOptions, InvalidValue } from "../../domain/errors.ts"

/** Runs plain code that refuses by throwing one of these; anything else it throws is a defect. */
const refusing =
  <E>(...errors: ReadonlyArray<new (...args: never) => E>) =>
  <A>(body: () => A): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(body())
      } catch (cause) {
        for (const error of errors) if (cause instanceof error) return Effect.fail(cause)
        throw cause
      }
    })

/** Reading rows. */
export const decoding = refusing<InvalidEvent>(InvalidEvent)
/** Names. */
export const naming = refusing<InvalidKey>(InvalidKey)
/** Reading, with arguments yet to be checked. */
export const readable = refusing<InvalidKey | InvalidOptions | InvalidEvent>(InvalidKey, InvalidOptions, InvalidEvent)
/** Appending. */
export const writable = refusing<InvalidKey | InvalidValue | InvalidOptions | InvalidEvent>(InvalidKey, InvalidValue, InvalidOptions, InvalidEvent)
