import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { PlainHost } from "./PlainHost.ts"

/** Acquires in a scope of its own within the database's, and shows what is acquired as `show` makes it. Every call of `close` closes that scope, and waits for the same end. */
export const inOwnScope = <A, B>(
  host: PlainHost,
  acquire: Effect.Effect<A, unknown, Scope.Scope>,
  show: (acquired: A, close: () => Promise<void>) => B
): Promise<B> =>
  host.run(() => {
    const scope = Scope.forkUnsafe(host.scope)
    let closed: Promise<void> | undefined
    const close = (): Promise<void> => (closed ??= host.release(Scope.close(scope, Exit.void)))
    return Scope.provide(acquire, scope).pipe(
      Effect.map((acquired) => show(acquired, close)),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
  })
