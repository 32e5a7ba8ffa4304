import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DatabaseShape } from "../../src/services/Database.ts"
import type { HealthEvent } from "../../src/services/HealthEvents.ts"

/** All events of a database from here on, in a list that grows. */
export const healthLog = (db: DatabaseShape): Effect.Effect<Array<HealthEvent>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const events: Array<HealthEvent> = []
    yield* Effect.forkScoped(
      Stream.runForEach(db.healthEvents, (event) => Effect.sync(() => events.push(event))),
      { startImmediately: true }
    )
    return events
  })

/** What breakers did, in short. */
export const breakerMoves = (events: ReadonlyArray<HealthEvent>): ReadonlyArray<string> =>
  events.flatMap((event) => (event.type === "breaker" ? [`${event.resource}: ${event.from} > ${event.to}`] : []))

export const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })
