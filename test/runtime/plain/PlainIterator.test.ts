import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it } from "vitest"
import { DatabaseClosed } from "../../../src/domain/errors.ts"
import { PlainHost } from "../../../src/runtime/plain/PlainHost.ts"
import { plainIterator } from "../../../src/runtime/plain/PlainIterator.ts"

const makeHost = () => {
  const scope = Scope.makeUnsafe()
  return { host: new PlainHost(Context.empty(), scope, "/db"), closeScope: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

/** A stream that counts how often it was started and how often what it holds was given back. */
const counting = <A, E>(stream: Stream.Stream<A, E>) => {
  const counts = { started: 0, released: 0 }
  const counted = Stream.unwrap(
    Effect.acquireRelease(
      Effect.sync(() => {
        counts.started++
        return stream
      }),
      () => Effect.sync(() => void counts.released++)
    )
  )
  return { counts, stream: counted }
}

const chunks = Stream.rechunk(Stream.make(1, 2, 3, 4, 5, 6), 2)
const same = <A>(item: A): A => item
/** A stream of what is put into a queue. */
const live = () => {
  const queue = Effect.runSync(Queue.unbounded<number>())
  return { ...counting(Stream.fromQueue(queue)), push: (item: number) => Queue.offerUnsafe(queue, item) }
}

describe("a stream as an async iterator", () => {
  it("hands out every item once, then gives back what it held, then is at its end for good", async () => {
    const { host } = makeHost()
    const { counts, stream } = counting(chunks)
    const iterator = plainIterator(host, stream, (item) => item * 10)
    expect(counts.started).toBe(0)
    expect(await iterator.toArray()).toEqual([10, 20, 30, 40, 50, 60])
    expect(counts).toEqual({ started: 1, released: 1 })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    await iterator.return()
    expect(counts).toEqual({ started: 1, released: 1 })
  })

  it("answers concurrent calls of next in their order", async () => {
    const { host } = makeHost()
    const iterator = plainIterator(host, chunks, same)
    const answers = await Promise.all(Array.from({ length: 8 }, () => iterator.next()))
    expect(answers.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5, 6, undefined, undefined])
    const waiting = live()
    const feed = plainIterator(host, waiting.stream, same)
    const first = feed.next()
    const second = feed.next()
    waiting.push(1)
    waiting.push(2)
    expect([(await first).value, (await second).value]).toEqual([1, 2])
    await feed.return()
  })

  it("gives back what it held when it is broken out of, or disposed", async () => {
    const { host } = makeHost()
    const broken = counting(chunks)
    for await (const item of plainIterator(host, broken.stream, same)) if (item === 2) break
    expect(broken.counts).toEqual({ started: 1, released: 1 })
    const disposed = counting(chunks)
    {
      await using iterator = plainIterator(host, disposed.stream, same)
      expect((await iterator.next()).value).toBe(1)
    }
    expect(disposed.counts).toEqual({ started: 1, released: 1 })
    const unused = counting(chunks)
    await plainIterator(host, unused.stream, same).return()
    expect(unused.counts).toEqual({ started: 0, released: 0 })
  })

  it("return ends a next that waits, and all that come later", async () => {
    const { host } = makeHost()
    const { counts, stream } = live()
    const iterator = plainIterator(host, stream, same)
    const waiting = [iterator.next(), iterator.next()]
    expect(await iterator.return()).toEqual({ done: true, value: undefined })
    expect(counts).toEqual({ started: 1, released: 1 })
    expect(await Promise.all([...waiting, iterator.next()])).toEqual(Array.from({ length: 3 }, () => ({ done: true, value: undefined })))
  })

  it("return interrupts what a next waits for", async () => {
    const { host } = makeHost()
    let interrupted = 0
    const endless = Stream.fromEffect(Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++)))
    const iterator = plainIterator(host, endless, same, true)
    await iterator.return()
    expect(interrupted).toBe(1)
  })

  it("tells a failure once, after what came before it and after giving back", async () => {
    const { host } = makeHost()
    const failure = new Error("read failed")
    const { counts, stream } = counting(Stream.concat(Stream.make(1, 2), Stream.fail(failure)))
    const iterator = plainIterator(host, stream, same)
    const answers = await Promise.allSettled(Array.from({ length: 5 }, () => iterator.next()))
    expect(answers.map((one) => (one.status === "fulfilled" ? one.value.value : one.reason))).toEqual([1, 2, failure, undefined, undefined])
    expect(counts).toEqual({ started: 1, released: 1 })
    const early = plainIterator(host, Stream.fail(failure), same, true)
    await expect(early.next()).rejects.toBe(failure)
    expect((await early.next()).done).toBe(true)
  })

  it("begins at once where it is asked to", async () => {
    const { host } = makeHost()
    const { counts, push, stream } = live()
    const iterator = plainIterator(host, stream, same, true)
    expect(counts.started).toBe(1)
    push(7)
    expect((await iterator.next()).value).toBe(7)
    await iterator.return()
    expect(counts.released).toBe(1)
  })

  it("hands out the chunk that is there when the database is closed, then rejects with DatabaseClosed", async () => {
    const { closeScope, host } = makeHost()
    const walked = counting(Stream.concat(Stream.make(1, 2), Stream.make(3)))
    const walking = plainIterator(host, walked.stream, same)
    expect((await walking.next()).value).toBe(1)
    const feed = live()
    const refused = plainIterator(host, feed.stream, same)
      .next()
      .catch((error: unknown) => error)
    await host.close()
    expect(await refused).toMatchObject({ _tag: "DatabaseClosed", path: "/db" })
    expect([walked.counts.released, feed.counts.released]).toEqual([1, 1])
    expect((await walking.next()).value).toBe(2)
    await expect(walking.next()).rejects.toBeInstanceOf(DatabaseClosed)
    expect((await walking.next()).done).toBe(true)
    const late = plainIterator(host, chunks, same)
    await expect(late.next()).rejects.toBeInstanceOf(DatabaseClosed)
    await expect(plainIterator(host, chunks, same, true).next()).rejects.toBeInstanceOf(DatabaseClosed)
    await closeScope()
  })
})

describe("an iterator that was thrown away", () => {
  setFlagsFromString("--expose-gc")
  const collectGarbage = runInNewContext("gc") as () => void
  const until = async (isTrue: () => boolean, rounds = 50): Promise<boolean> => {
    for (let round = 0; round < rounds && !isTrue(); round++) {
      collectGarbage()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return isTrue()
  }

  it("gives back what it held once its memory is collected, while it was walked or before", async () => {
    const { host } = makeHost()
    const walked = counting(chunks)
    const unread = live()
    const held = live()
    const start = async () => {
      await plainIterator(host, walked.stream, same).next()
      plainIterator(host, unread.stream, same, true)
    }
    const kept = plainIterator(host, held.stream, same, true)
    await start()
    expect([walked.counts.released, unread.counts.released]).toEqual([0, 0])
    expect(await until(() => walked.counts.released + unread.counts.released === 2)).toBe(true)
    expect(held.counts.released).toBe(0)
    await kept.return()
  })

  it("is kept as long as somebody waits for its next item", async () => {
    const { host } = makeHost()
    const { counts, push, stream } = live()
    // In a function of its own, whose frame goes with it.
    const waitForNext = () => plainIterator(host, stream, same).next()
    const waiting = waitForNext()
    expect(await until(() => counts.released > 0, 5)).toBe(false)
    push(1)
    expect((await waiting).value).toBe(1)
    expect(await until(() => counts.released === 1)).toBe(true)
  })
})
