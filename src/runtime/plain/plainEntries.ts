import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ScanError } from "../../domain/errors.ts"
import type { Entry } from "../../services/Database.ts"
import type { PlainHost } from "./PlainHost.ts"

/**
 * A scan as an async iterator: chunks are pulled one by one, when the one before is used up; between them nothing runs. The scope, and with it the
 * scan's lease, ends when the iterator is finished, broken out of, or fails.
 */
export async function* plainEntries(host: PlainHost, scan: Stream.Stream<Entry, ScanError>): AsyncGenerator<[Uint8Array, Uint8Array], void, void> {
  host.check()
  const scope = Scope.forkUnsafe(host.scope)
  try {
    const pull = await host.run(() => Scope.provide(Stream.toPull(scan), scope))
    const next = Pull.catchDone(pull, () => Effect.void)
    for (;;) {
      const chunk = await host.run(() => next)
      if (chunk === undefined) return
      for (const { key, value } of chunk) yield [key, value]
    }
  } finally {
    await host.release(Scope.close(scope, Exit.void))
  }
}
