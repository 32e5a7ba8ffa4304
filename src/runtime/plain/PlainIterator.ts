import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { PlainHost } from "./PlainHost.ts"

/**
 * A stream as an async iterator: chunks are pulled one by one, when the one before is used up; between them nothing runs.
 *
 * **Details** What it holds (a lease, a pin on the log) is given back when it is walked to its end, broken out of, returned or disposed, when it fails, when the database is
 * closed, and, in the end, when it was thrown away without any of these. `return` also ends a `next` that is waiting, which then says `done`.
 * **Gotchas** It is walked once.
 */
export interface PlainIterator<A> extends AsyncIterableIterator<A, undefined, void> {
  readonly next: () => Promise<IteratorResult<A, undefined>>
  readonly return: () => Promise<IteratorResult<A, undefined>>
  /** Everything that is left, once its end is reached. */
  readonly toArray: () => Promise<Array<A>>
  readonly [Symbol.asyncIterator]: () => PlainIterator<A>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

type Result<B> = IteratorResult<B, undefined>

interface Waiter<B> {
  readonly resolve: (result: Result<B>) => void
  readonly reject: (error: unknown) => void
  /** Keeps the iterator alive while somebody waits for what it brings, though nobody may hold it any more. */
  readonly iterator: object
}

const ended = { done: true, value: undefined } as const

/** What an iterator walks. Apart from it, so that an iterator that was thrown away can be noticed. */
class Walk<A, B> {
  readonly #host: PlainHost
  readonly #stream: Stream.Stream<A, unknown>
  readonly #show: (item: A) => B
  readonly #waiting: Array<Waiter<B>> = []
  #chunk: ReadonlyArray<A> = []
  #at = 0
  #scope: Scope.Closeable | undefined
  #pull: Pull.Pull<ReadonlyArray<A>, unknown> | undefined
  #fiber: Fiber.Fiber<ReadonlyArray<A> | void, unknown> | undefined
  #forget: (() => void) | undefined
  /** Nothing more is pulled: after its end, a failure, `return`, or with the database. */
  #isFinished = false
  /** Of a finished one: done when all is given back. */
  #finished: Promise<void> | undefined
  /** Told once, to the first who asks after the last item. */
  #failure: { readonly error: unknown } | undefined

  constructor(host: PlainHost, stream: Stream.Stream<A, unknown>, show: (item: A) => B) {
    this.#host = host
    this.#stream = stream
    this.#show = show
  }

  next(iterator: object): Promise<Result<B>> {
    if (this.#waiting.length === 0 && this.#at < this.#chunk.length) return Promise.resolve(this.#take())
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject, iterator })
      if (this.#finished !== undefined) this.#settleAfter(this.#finished)
      else if (this.#fiber === undefined) this.bring()
    })
  }

  #take(): Result<B> {
    return { done: false, value: this.#show(this.#chunk[this.#at++]!) }
  }

  /** Pulls the next chunk. The first one starts the stream. */
  bring(): void {
    if (this.#host.isClosed) {
      this.#finish({ error: this.#host.closed() })
      return
    }
    let pull = this.#pull
    if (pull === undefined) {
      const scope = Scope.forkUnsafe(this.#host.scope)
      this.#scope = scope
      this.#forget = this.#host.onClose((closed) => this.#finish({ error: closed }))
      pull = Effect.flatMap(Scope.provide(Stream.toPull(this.#stream), scope), (started) => {
        this.#pull = started
        return started
      })
    }
    const fiber = this.#host.fork(Pull.catchDone(pull, () => Effect.void))
    this.#fiber = fiber
    fiber.addObserver((exit) => {
      this.#fiber = undefined
      // Interrupted, by what finished it.
      if (this.#isFinished) return
      if (Exit.isFailure(exit)) this.#finish({ error: Cause.squash(exit.cause) })
      else if (exit.value === undefined) this.#finish(undefined)
      else {
        this.#chunk = exit.value
        this.#at = 0
        while (this.#waiting.length > 0 && this.#at < this.#chunk.length) this.#waiting.shift()!.resolve(this.#take())
        if (this.#waiting.length > 0) this.bring()
      }
    })
  }

  /** For the collector of what was thrown away: holds on to this walk, and not to its iterator. */
  readonly drop = (): void => {
    this.return().catch(() => undefined)
  }

  /** Nothing is handed out any more, not even what is there already. */
  return(): Promise<void> {
    this.#chunk = []
    this.#failure = undefined
    return this.#finish(undefined)
  }

  #finish(failure: { readonly error: unknown } | undefined): Promise<void> {
    if (this.#finished !== undefined) return this.#finished
    this.#isFinished = true
    this.#failure = failure
    this.#forget?.()
    const fiber = this.#fiber
    const scope = this.#scope
    const giveBack = Effect.andThen(
      fiber === undefined ? Effect.void : Fiber.interrupt(fiber),
      scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    )
    this.#finished = this.#host.release(giveBack)
    this.#settleAfter(this.#finished)
    return this.#finished
  }

  #settleAfter(givenBack: Promise<void>): void {
    givenBack.then(
      () => this.#settle(),
      (defect: unknown) => {
        this.#failure ??= { error: defect }
        this.#settle()
      }
    )
  }

  #settle(): void {
    for (const waiter of this.#waiting.splice(0)) {
      if (this.#at < this.#chunk.length) waiter.resolve(this.#take())
      else if (this.#failure !== undefined) {
        waiter.reject(this.#failure.error)
        this.#failure = undefined
      } else waiter.resolve(ended)
    }
  }
}

/**
 * Walks `stream`, each item as `show` makes it. `started` begins at once, so that a stream of what comes next misses nothing after this call; otherwise the first `next` does.
 */
export const plainIterator = <A, B>(host: PlainHost, stream: Stream.Stream<A, unknown>, show: (item: A) => B, started = false): PlainIterator<B> => {
  const walk = new Walk(host, stream, show)
  const end = async (): Promise<Result<B>> => {
    host.ended(iterator)
    await walk.return()
    return ended
  }
  const iterator: PlainIterator<B> = {
    next: () => walk.next(iterator),
    return: end,
    toArray: async () => {
      const items: Array<B> = []
      for await (const item of iterator) items.push(item)
      return items
    },
    [Symbol.asyncIterator]: () => iterator,
    [Symbol.asyncDispose]: async () => void (await end())
  }
  host.onDropped(iterator, walk.drop)
  if (started) walk.bring()
  return iterator
}
