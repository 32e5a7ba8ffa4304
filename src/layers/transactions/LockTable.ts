import * as Effect from "effect/Effect"
import { LockDeadlock } from "../../domain/errors.ts"

/** Whoever holds or waits for locks: a transaction. */
export type LockOwner = object

interface Waiter {
  readonly owner: LockOwner
  readonly grant: () => void
}

interface Lock {
  readonly name: string
  holder: LockOwner
  readonly queue: Array<Waiter>
}

/**
 * Exclusive locks on names, in memory. Whoever comes first is served first, key by key. A wait that would close a circle of owners waiting for each other fails at once, for
 * the newcomer. Nothing here waits on a clock.
 */
export class LockTable {
  private readonly locks = new Map<string, Lock>()
  private readonly held = new Map<LockOwner, Set<Lock>>()
  /** What each waiting owner waits for: one, unless its own fibers wait side by side. */
  private readonly waiting = new Map<LockOwner, Set<Lock>>()

  get heldCount(): number {
    return this.locks.size
  }

  get waitingCount(): number {
    return this.waiting.size
  }

  /** Whether the owner holds the name now: it is given at once, or not at all. */
  take(owner: LockOwner, name: string): boolean {
    const lock = this.locks.get(name)
    if (lock === undefined) this.give({ name, holder: owner, queue: [] }, owner)
    return lock === undefined || lock.holder === owner
  }

  /** Waits until the owner holds the name, or has ended (`releaseAll`). Interrupted, it leaves the queue. */
  acquire(owner: LockOwner, name: string): Effect.Effect<void, LockDeadlock> {
    return Effect.suspend(() => {
      if (this.take(owner, name)) return Effect.void
      const lock = this.locks.get(name)!
      if (this.closesCircle(owner, lock)) return Effect.fail(new LockDeadlock({}))
      return Effect.callback<void>((resume) => {
        // In a step of its own: where one after the other ends without a wait, each would else run in the stack of the one before it.
        const waiter: Waiter = { owner, grant: () => resume(Effect.yieldNow) }
        lock.queue.push(waiter)
        const waiting = this.waiting.get(owner)
        if (waiting === undefined) this.waiting.set(owner, new Set([lock]))
        else waiting.add(lock)
        return Effect.sync(() => {
          const at = lock.queue.indexOf(waiter)
          if (at < 0) return
          lock.queue.splice(at, 1)
          if (lock.queue.every((other) => other.owner !== owner)) this.waitsNoMore(owner, lock)
        })
      })
    })
  }

  /** Gives back all the owner holds, each to the first who waits for it; where it waits itself, that is over, without the lock: it has ended. */
  releaseAll(owner: LockOwner): void {
    const waiting = this.waiting.get(owner)
    if (waiting !== undefined) {
      this.waiting.delete(owner)
      for (const { queue } of waiting) for (let at = queue.length - 1; at >= 0; at--) if (queue[at]!.owner === owner) queue.splice(at, 1)[0]!.grant()
    }
    const held = this.held.get(owner)
    if (held === undefined) return
    this.held.delete(owner)
    for (const lock of held) {
      const next = lock.queue.shift()
      if (next === undefined) this.locks.delete(lock.name)
      else {
        lock.holder = next.owner
        this.waitsNoMore(next.owner, lock)
        this.give(lock, next.owner)
        next.grant()
        // Other fibers of the same owner wait no longer either.
        for (let at = lock.queue.length - 1; at >= 0; at--) {
          if (lock.queue[at]!.owner === next.owner) lock.queue.splice(at, 1)[0]!.grant()
        }
      }
    }
  }

  private waitsNoMore(owner: LockOwner, lock: Lock): void {
    const waiting = this.waiting.get(owner)
    waiting?.delete(lock)
    if (waiting?.size === 0) this.waiting.delete(owner)
  }

  private give(lock: Lock, owner: LockOwner): void {
    this.locks.set(lock.name, lock)
    const held = this.held.get(owner)
    if (held === undefined) this.held.set(owner, new Set([lock]))
    else held.add(lock)
  }

  /** Whether somebody who has to end before this lock is free waits, in the end, for this owner. Those in the queue before a newcomer have to end, too. */
  private closesCircle(owner: LockOwner, wanted: Lock): boolean {
    const seen = new Set<Lock>()
    const open: Array<Lock> = [wanted]
    for (let lock = open.pop(); lock !== undefined; lock = open.pop()) {
      if (seen.has(lock)) continue
      seen.add(lock)
      for (const other of [lock.holder, ...lock.queue.map((waiter) => waiter.owner)]) {
        if (other === owner) {
          // Another of its fibers in the queue it comes to is no hindrance: they are served together.
          if (lock === wanted) continue
          return true
        }
        const next = this.waiting.get(other)
        if (next !== undefined) open.push(...next)
      }
    }
    return false
  }
}
