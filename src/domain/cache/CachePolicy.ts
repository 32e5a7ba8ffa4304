/**
 * Which entries of a cache stay. The cache owns keys and contents; the policy knows slots (small integers) and weights, and keeps its lists in typed arrays:
 * nothing is allocated per hit or per insertion.
 *
 * A slot is free, resident, or a ghost: its content is gone but its key is remembered, because a policy learns from what it should have kept.
 */
export interface CachePolicy {
  /** Sum of the weights of resident slots; never above `capacity`. */
  readonly weight: number
  readonly capacity: number
  /** The slot is resident and was asked for. */
  touch(slot: number): void
  /** The slot, free or a ghost before, becomes resident with this weight, from 1 to `capacity`. Others give way: see `CacheContents`. */
  admit(slot: number, weight: number): void
  isGhost(slot: number): boolean
  /** The slot, resident or a ghost, becomes free. Not reported back. */
  remove(slot: number): void
  resize(capacity: number): void
}

/** What a policy tells the cache while it makes room. Called inside `admit` and `resize`; must not call back. */
export interface CacheContents {
  /** The slot becomes a ghost: let its content go, remember its key. */
  evict(slot: number): void
  /** The slot, resident or a ghost, becomes free: let go of content and key. */
  forget(slot: number): void
}

export type MakeCachePolicy = (capacity: number, contents: CacheContents) => CachePolicy
