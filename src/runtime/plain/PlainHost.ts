import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { DatabaseClosed } from "../../domain/errors.ts"

/** Runs the effects of one open database for code without Effect. */
export class PlainHost {
  /** Of the database: closed with it. */
  readonly scope: Scope.Scope
  isClosed = false
  readonly #path: string
  readonly #runFork: ReturnType<typeof Effect.runForkWith<never>>
  readonly #runSync: ReturnType<typeof Effect.runSyncWith<never>>

  constructor(context: Context.Context<never>, scope: Scope.Scope, path: string) {
    this.scope = scope
    this.#path = path
    this.#runFork = Effect.runForkWith(context)
    this.#runSync = Effect.runSyncWith(context)
  }

  /** Throws `DatabaseClosed` from the moment the database is being closed. */
  check(): void {
    if (this.isClosed) throw new DatabaseClosed({ path: this.#path })
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

  /** One promise and no `then` of ours: half the cost of `Effect.runPromise` for an effect that ends at once. */
  #observe<A, E>(effect: Effect.Effect<A, E>, resolve: (value: A) => void, reject: (error: unknown) => void): void {
    this.#runFork(effect).addObserver((exit) => {
      if (exit._tag === "Success") resolve(exit.value)
      else reject(Cause.squash(exit.cause))
    })
  }

  /** For effects that never wait. */
  runSync<A>(effect: Effect.Effect<A>): A {
    this.check()
    return this.#runSync(effect)
  }
}
