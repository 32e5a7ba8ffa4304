/**
 * Knows what each actor is doing, and says which one hangs. An actor tells it where a step begins and where it ends, by a few fields; the only timer runs while some step is under way.
 *
 * A step that lasts longer than the option `watchdog` makes the database `degraded`, with a reason that names the actor, what it does and to which file; it heals when the step ends
 * or moves on. Work that only waits for another actor is named where none of those hangs. An event loop that stood still is named as such, and no actor is blamed for the time.
 */
import * as Context from "effect/Context"

/** An actor as the watchdog sees it: one step at a time. */
export interface WatchedActor {
  readonly name: string
  /**
   * A step begins: what it does ("datasync of") and to what. `progress`, where the step is long by its nature: a number that changes as long as it gets on. Neither allocates nor looks at
   * a clock.
   */
  readonly begin: (what: string, file: string, progress?: () => number) => void
  readonly end: () => void
  /** Called once for a step that has lasted longer than `waitTimeout`, with what hangs, in words: whoever waits for it must be told. */
  onOverdue: ((detail: string) => void) | undefined
}

export class Watchdog extends Context.Service<
  Watchdog,
  {
    /** An actor that lives as long as the database. `waits`: where its steps wait for those of other actors, it is not the one that hangs. */
    readonly actor: (name: string, kind?: "waits") => WatchedActor
    /** One for a single job: an idle one of this name, or one more. Its step must begin at once. */
    readonly job: (name: string, kind?: "waits") => WatchedActor
    /** Changes whenever one of the actors with these names has got on. */
    readonly progressOf: (names: ReadonlyArray<string>) => number
    /** What hangs now, in words; undefined where nothing does. */
    readonly hanging: () => string | undefined
  }
>()("lightning-db/services/Watchdog") {}
