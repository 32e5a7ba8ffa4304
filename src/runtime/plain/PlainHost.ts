import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { DatabaseClosed } from "../../domain/errors.ts"

/** What is told that the database is being closed; closing waits for the promise. */
type Ending = (closed: DatabaseClosed) => Promise<void> | void

/** Runs the effects of one open database for code without Effect. */
export class PlainHost {
  /** Of the database: closed with it. */
  readonly scope: Scope.Scope
  isClosed = false
  readonly #path: string
  readonly #runFork: ReturnType<typeof Effect.runForkWith<never>>
  readonly #runSync: ReturnType<typeof Effect.runSyncWith<never>>
  readonly #endings = new Set<Ending>()
  /** Of objects that were thrown away without an end: what they held is given back when their memory is. */
  readonly #dropped = new FinalizationRegistry<() => void>((release) => release())

  constructor(context: Context.Context<never>, scope: Scope.Scope, path: string) {
    this.scope = scope
    this.#path = path
    this.#runFork = Effect.runForkWith(context)
    this.#runSync = Effect.runSyncWith(context)
  }

  /** Throws `DatabaseClosed` from the moment the database is being closed. */
  check(): void {
    if (this.isClosed) throw this.closed()
  }

  closed(): DatabaseClosed {
    return new DatabaseClosed({ path: this.#path })
  }

  /** Refuses newcomers, then ends what waits for something that will not come any more. */
  async close(): Promise<void> {
    this.isClosed = true
    const endings = [...this.#endings]
    this.#endings.clear()
    await Promise.allSettled(endings.map((end) => end(this.closed())))
  }

  /** Calls `end` when the database is being closed. Answers with what takes that back. */
  onClose(end: Ending): () => void {
    this.#endings.add(end)
    return () => void this.#endings.delete(end)
  }

  /** Calls `release` some time after `owner` was thrown away; `release` must not hold on to it. */
  onDropped(owner: object, release: () => void): void {
    this.#dropped.register(owner, release, owner)
  }

  /** For owners that have ended by themselves. */
  ended(owner: object): void {
    this.#dropped.unregister(owner)
  }

  /**
   * Starts the effect within this call (unless writers are stalled, a write has its place in the order when this returns) and rejects with what it
   * fails with. Never throws.
   */
  run<A, E>(make: () => Effect.Effect<A, E>): Promise<A> {
    return new Promise((resolve, reject) => {
      this.check()
      this.#observe(make(), resolve, reject)
    })
  }

  /** As `run`, also once the database is closed: for what gives something back. */
  release<A, E>(effect: Effect.Effect<A, E>): Promise<A> {
    return new Promise((resolve, reject) => this.#observe(effect, resolve, reject))
  }

  /** For effects that are to be interrupted. */
  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return this.#runFork(effect)
  }

  /** One promise and no `then` of ours: half the cost of `Effect.runPromise` for an effect that ends at once. */
  #observe<A, E>(effect: Effect.Effect<A, E>, resolve: (value: A) => void, reject: (error: unknown) => void): void {
    this.#runFork(effect).addObserver((exit) => {
      if (exit._tag === "Success") resolve(exit.value)
      else reject(Cause.squash(exit.cause))
    })
  }

  /** For effects that never wait. Throws what they fail with. */
  runSync<A, E>(effect: Effect.Effect<A, E>): A {
    this.check()
    return this.#runSync(effect)
  }
}
