import { Kind } from "../keys/kinds.ts"

/**
 * Which versions a flush or compaction keeps.
 *
 * The live snapshots cut the time line into stripes. All versions of a key inside one stripe look the same to every snapshot but the newest one of the stripe, so
 * that one is kept and the others are dropped:
 *
 * ```
 *   sequence ──►        20            45        60 = floor (no history kept: the visible sequence at building)
 *   snapshots           │             │         │
 *   stripes     lowest  │   second    │  third  │ every later sequence is a stripe of its own:
 *                       │             │         │ a snapshot may still be taken anywhere above the floor
 *   key a    p5   p11   │ p22    p41  │ d50     │ p61   p63
 *   kept          p11   │        p41  │ d50     │ p61   p63
 *   key b    p5   d18   │             │ p50     │           at the bottom: d18 hides nothing any more and goes too
 *   kept                │             │ p50     │
 *   key c    p5  [R17]  │ p30   [R33] │         │           R: a range tombstone; p5 and p30 are covered within their stripe
 * ```
 *
 * - Stripe of a version: the smallest snapshot at or above it. Above the history floor nothing may be dropped, so there each version has its own.
 * - A version is covered if a range tombstone is newer than it and in the same stripe.
 * - A delete (or `expire`, which is one to a reader) leaves only at the bottom, where no deeper table may hold the key, and only from the lowest stripe: a snapshot
 *   below it would otherwise be shown the version it deletes.
 * - A put in the lowest stripe at the bottom is older than everything anyone can ask for, so its sequence is elided (becomes 0). Not with an expiry: the reaper
 *   compares sequences. Not beneath a range tombstone that stays and is older than the put: at 0 the put would fall under it.
 * - A dropped keyspace vanishes once every stripe lies at or above its drop sequence.
 * - With retention by count the newest `versions` of a key stay as well, deletes and the range tombstones over it counted among them; no delete leaves for being at the bottom, and
 *   nothing is elided: sequences are what the past of a key is told by. A job counts what it sees: those it does not see are newer, and then this keeps more than is asked for, or
 *   older.
 */
export const Verdict = { drop: 0, keep: 1, keepElided: 2 } as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

/** What a keyspace's history and drop allow, frozen when the job was built. */
export interface Horizon {
  readonly keyspace: number
  /** Every sequence at or above it must stay readable. Without retention: the visible sequence at building, which is also the default. */
  readonly historyFrom?: number | undefined
  /** The sequence at which the keyspace was dropped. */
  readonly dropSequence?: number | undefined
  /** Retention by count: the newest so many versions of each key stay, whatever else asks for them. */
  readonly versions?: number | undefined
}

/** The stripes of one keyspace. */
export class Stripes {
  /** The end of the lowest stripe: every version at or below it is older than anything that can be asked for. -1 with retention by count. */
  readonly lowest: number
  /** Above it each sequence is a stripe of its own. */
  readonly floor: number
  /** True when nothing of the keyspace can be asked for any more. */
  readonly isDropped: boolean
  /** So many of each key stay in any case. */
  readonly versions: number
  readonly #ends: ReadonlyArray<number>

  /** `snapshots` ascending and not empty: the live ones and the visible sequence at building. */
  constructor(snapshots: ReadonlyArray<number>, horizon?: Horizon) {
    const newest = snapshots[snapshots.length - 1]!
    this.floor = Math.min(horizon?.historyFrom ?? newest, newest)
    this.#ends = [...snapshots.filter((snapshot) => snapshot < this.floor), this.floor]
    const lowest = this.#ends[0]!
    this.isDropped = horizon?.dropSequence !== undefined && horizon.dropSequence <= lowest
    this.versions = horizon?.versions ?? 0
    // By count, there is nothing that nobody can ask for only because it is old.
    this.lowest = this.versions > 0 ? -1 : lowest
  }

  /** The last sequence of the stripe that holds `sequence`. */
  endOf(sequence: number): number {
    const ends = this.#ends
    if (sequence > this.floor) return sequence
    let i = ends.length - 1
    while (i > 0 && ends[i - 1]! >= sequence) i--
    return ends[i]!
  }
}

/** Stripes of every keyspace of a job. */
export class StripesByKeyspace {
  readonly #snapshots: ReadonlyArray<number>
  readonly #horizons: ReadonlyMap<number, Horizon>
  readonly #known = new Map<number, Stripes>()

  /** `snapshots` ascending, without duplicates, ending with the visible sequence at building. */
  constructor(snapshots: ReadonlyArray<number>, horizons: ReadonlyArray<Horizon> = []) {
    for (let i = 0; i < snapshots.length; i++) {
      if (i > 0 && snapshots[i]! <= snapshots[i - 1]!) throw new RangeError("snapshot stripes must ascend")
    }
    if (snapshots.length === 0) throw new RangeError("a job needs at least the visible sequence as a stripe")
    this.#snapshots = snapshots
    this.#horizons = new Map(horizons.map((horizon) => [horizon.keyspace, horizon]))
  }

  of(keyspace: number): Stripes {
    let stripes = this.#known.get(keyspace)
    if (stripes === undefined) {
      stripes = new Stripes(this.#snapshots, this.#horizons.get(keyspace))
      this.#known.set(keyspace, stripes)
    }
    return stripes
  }
}

/** What the rule asks about the key at hand. Only asked when it matters, in ascending key order. */
export interface KeyFacts {
  /** True when no deeper table can hold the key. */
  isAtBottom(keyspace: number, bytes: Uint8Array, start: number, end: number): boolean
  /** The newest range tombstone over the key with a sequence ≤ `sequence`; 0 when there is none. */
  newestCover(keyspace: number, bytes: Uint8Array, start: number, end: number, sequence: number): number
  /** The sequences of all range tombstones over the key, descending. */
  covers(keyspace: number, bytes: Uint8Array, start: number, end: number): ReadonlyArray<number>
  /** The oldest range tombstone over the key that the output will carry; Infinity when there is none. */
  oldestKeptCover(keyspace: number, bytes: Uint8Array, start: number, end: number): number
}

/**
 * The rule, fed entry by entry in internal order. Call `startKey` for every new user key, then `decide` for each of its versions, the newest first.
 */
export class VersionRule {
  readonly #stripes: StripesByKeyspace
  readonly #facts: KeyFacts
  readonly #hasCovers: boolean
  #current: Stripes
  #keyspace = -1
  #bytes: Uint8Array = new Uint8Array(0)
  #start = 0
  #end = 0
  /** The stripe of the last version seen; -1 before the first. */
  #lastStripe = -1
  /** By count: how many versions of the key were seen, and which of its range tombstones are among them. */
  #count = 0
  #covers: ReadonlyArray<number> | undefined = undefined
  #coverAt = 0

  /** `hasCovers` false saves asking for range tombstones where there are none. */
  constructor(stripes: StripesByKeyspace, facts: KeyFacts, hasCovers: boolean) {
    this.#stripes = stripes
    this.#facts = facts
    this.#hasCovers = hasCovers
    this.#current = stripes.of(0)
  }

  /** The bytes are only read during the calls of `decide` for this key. */
  startKey(keyspace: number, bytes: Uint8Array, start: number, end: number): void {
    if (keyspace !== this.#keyspace) {
      this.#keyspace = keyspace
      this.#current = this.#stripes.of(keyspace)
    }
    this.#bytes = bytes
    this.#start = start
    this.#end = end
    this.#lastStripe = -1
    this.#count = 0
    this.#covers = undefined
    this.#coverAt = 0
  }

  decide(sequence: number, kind: number, expiresAt: number): Verdict {
    const stripes = this.#current
    if (stripes.isDropped) return Verdict.drop
    const stripe = stripes.endOf(sequence)
    if (stripes.versions > 0 && this.#rank(sequence) <= stripes.versions) {
      this.#lastStripe = stripe
      return Verdict.keep
    }
    // A newer version in the same stripe hides this one, whether that was kept or not.
    if (stripe === this.#lastStripe) return Verdict.drop
    this.#lastStripe = stripe
    if (this.#hasCovers && this.#facts.newestCover(this.#keyspace, this.#bytes, this.#start, this.#end, stripe) > sequence) return Verdict.drop
    if (sequence > stripes.lowest) return Verdict.keep
    const isPut = kind === Kind.put
    if (isPut && (expiresAt !== 0 || sequence === 0)) return Verdict.keep
    if (!this.#facts.isAtBottom(this.#keyspace, this.#bytes, this.#start, this.#end)) return Verdict.keep
    if (!isPut) return Verdict.drop
    if (this.#hasCovers && this.#facts.oldestKeptCover(this.#keyspace, this.#bytes, this.#start, this.#end) <= sequence) return Verdict.keep
    return Verdict.keepElided
  }

  /** Which version of the key this is, the newest being the first. A put in the transaction of a range delete came after it: the two are one. */
  #rank(sequence: number): number {
    if (this.#hasCovers) {
      const covers = (this.#covers ??= this.#facts.covers(this.#keyspace, this.#bytes, this.#start, this.#end))
      for (; this.#coverAt < covers.length && covers[this.#coverAt]! >= sequence; this.#coverAt++)
        if (covers[this.#coverAt]! > sequence) this.#count++
    }
    return ++this.#count
  }
}
