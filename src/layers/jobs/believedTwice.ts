import * as Effect from "effect/Effect"
import { Damage } from "../../domain/failures.ts"

/** How often in all it is read where each reading finds damage at another place: a device that does so cannot be read at all. */
const readingsMax = 4

/**
 * Damage is believed once the same place was read so twice: a device, a cable or a cache may hand out a wrong bit once. `read` is run again, from its beginning, until it ends well or
 * has met one place a second time; with that damage it fails. `onMisread` is told, once it has ended well, what was damaged and is sound.
 */
export const believedTwice = <A, E, R>(read: Effect.Effect<A, E, R>, onMisread: (damage: Damage) => void): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const seen = new Map<string, Damage>()
    const again: Effect.Effect<A, E, R> = Effect.catch(read, (error) => {
      if (!(error instanceof Damage)) return Effect.fail(error)
      const place = `${error.file}@${error.offsetBytes}`
      if (seen.has(place) || seen.size + 1 >= readingsMax) return Effect.fail(error)
      seen.set(place, error)
      // Others first: what was wrong may pass with a little time.
      return Effect.andThen(Effect.yieldNow, again)
    })
    return Effect.tap(again, () => Effect.sync(() => seen.forEach(onMisread)))
  })

/** What `healthEvents` say of it. */
export const misreadNotice = (what: string, damage: Damage) => ({
  type: "notice" as const,
  resource: damage.file,
  detail: `${what} was told that ${damage.message}; read again, it was sound`
})
