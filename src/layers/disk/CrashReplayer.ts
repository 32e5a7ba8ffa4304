/**
 * Many crashes of one recorded run: the replayer walks the run's events once, forwards, and a crash at any of them is drawn from the state there without
 * copying it, because the contents are shared until written.
 */
import { crashImage, type CrashOptions } from "./crashImage.ts"
import type { DurableState } from "./DurableState.ts"
import type { Prng } from "./Prng.ts"
import { type DiskTrace, SimulatedDisk, type SimulatedDiskOptions } from "./SimulatedDisk.ts"

export class CrashReplayer {
  readonly #trace: DiskTrace
  readonly #state: DurableState

  /** At the start of the run: nothing of it has happened yet. */
  constructor(trace: DiskTrace) {
    this.#trace = trace
    this.#state = trace.initial.fork()
  }

  /** How many events have happened. */
  get position(): number {
    return this.#state.events
  }

  /** Goes on until `events` have happened; there is no way back. */
  advanceTo(events: number): void {
    if (events < this.position || events > this.#trace.events.length) {
      throw new RangeError(`cannot advance from event ${this.position} to ${events} of ${this.#trace.events.length}`)
    }
    while (this.position < events) this.#state.apply(this.#trace.events[this.position]!)
  }

  /** A disk as it may be found after a crash here. A write that was the last event is unsynced, thus also drawn as lost or torn: it was in flight. */
  crash(prng: Prng, options: CrashOptions & { readonly next?: SimulatedDiskOptions } = {}): SimulatedDisk {
    // At most one inode an event: numbers that no file of the run ever had.
    const nextInode = this.#trace.firstInode + this.#trace.events.length
    return new SimulatedDisk(options.next, crashImage(this.#state, prng, nextInode, options))
  }
}

const replayers = new WeakMap<DiskTrace, CrashReplayer>()

/** A disk as it may be found after a crash when `events` of the recorded run had happened. Fast when called with growing `events`. */
export const crashStateAt = (
  trace: DiskTrace,
  events: number,
  prng: Prng,
  options: CrashOptions & { readonly next?: SimulatedDiskOptions } = {}
): SimulatedDisk => {
  let replayer = replayers.get(trace)
  if (replayer === undefined || replayer.position > events) replayers.set(trace, (replayer = new CrashReplayer(trace)))
  replayer.advanceTo(events)
  return replayer.crash(prng, options)
}
