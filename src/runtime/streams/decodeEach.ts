import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { InvalidEvent } from "../../domain/errors.ts"
import { decoding } from "./checked.ts"

/** Turns each element into those that `decode` finds in it, array by array. What it finds to be undefined is left out; it may throw `InvalidEvent`. */
export const decodeEach = <A, B, E, R>(
  source: Stream.Stream<A, E, R>,
  decode: (element: A) => ReadonlyArray<B | undefined>
): Stream.Stream<B, E | InvalidEvent, R> =>
  Stream.transformPull(source, (pull) => {
    const found: Pull.Pull<readonly [B, ...Array<B>], E | InvalidEvent, void, R> = Effect.flatMap(pull, (elements) =>
      Effect.flatMap(
        decoding(() => elements.flatMap((element) => decode(element).filter((one) => one !== undefined))),
        // A stream hands out no empty arrays: where there is nothing, it goes on.
        ([first, ...rest]) => (first === undefined ? found : Effect.succeed([first, ...rest] as const))
      )
    )
    return Effect.succeed(found)
  })
