/** What is known in this process about the projections that run in it: how far each has come, and who waits for that. */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { DatabaseShape } from "../../services/Database.ts"

export class ProjectionState {
  /** Held while a batch is folded into the generation that serves, and while another one takes its place. */
  readonly turn = Semaphore.makeUnsafe(1)
  /** Held while it is found out what there is to go on from. */
  readonly setup = Semaphore.makeUnsafe(1)
  /** Generations that are being built here. */
  readonly building = new Set<string>()
  /** The first sequence the generation that serves does not hold, as far as was seen here. */
  progress = 0
  /** The last commit that was made only for the feed to show it. */
  marked = 0
  /** How many fibers fold it here. */
  private runners = 0
  /** How many of them have a chunk in hand: one, or none. */
  private chunks = 0
  /** What ended the last one, where that was a failure. */
  private ended: unknown = undefined
  private waiting = new Set<() => void>()

  get isRunning(): boolean {
    return this.runners > 0
  }

  get cause(): unknown {
    return this.ended
  }

  begin(): void {
    this.runners++
    this.ended = undefined
  }

  end(cause: unknown): void {
    this.runners--
    if (cause !== undefined) this.ended = cause
    this.wake()
  }

  advance(next: number): void {
    if (next <= this.progress) return
    this.progress = next
    this.wake()
  }

  /** A chunk of the feed, folded in its turn. */
  readonly folding = <A, E, R>(chunk: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    this.turn.withPermit(
      Effect.acquireUseRelease(
        Effect.sync(() => {
          this.chunks++
        }),
        () => chunk,
        () =>
          Effect.sync(() => {
            this.chunks--
            this.wake()
          })
      )
    )

  get isFolding(): boolean {
    return this.chunks > 0
  }

  /** Until it is so; looked at whenever something changes here. */
  readonly until = (isSo: () => boolean): Effect.Effect<void> =>
    Effect.callback<void>((resume) => {
      const look = () => {
        if (!isSo()) return
        this.waiting.delete(look)
        resume(Effect.void)
      }
      this.waiting.add(look)
      look()
      return Effect.sync(() => {
        this.waiting.delete(look)
      })
    })

  private wake(): void {
    for (const look of [...this.waiting]) look()
  }
}

/** By database: a closed one takes its projections with it. */
const databases = new WeakMap<DatabaseShape, Map<string, ProjectionState>>()

export const stateOf = (db: DatabaseShape, name: string): ProjectionState => {
  let projections = databases.get(db)
  if (projections === undefined) databases.set(db, (projections = new Map()))
  let state = projections.get(name)
  if (state === undefined) projections.set(name, (state = new ProjectionState()))
  return state
}
