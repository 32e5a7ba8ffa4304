/**
 * How much of a key's past is there for certain, where it is kept by count: of the versions at or below `sequence`, the newest `count` are there, and of older ones some may have been
 * dropped. What a range delete does to a key is one of its versions.
 *
 * ```
 *   none kept, last job at 40; then 3 versions, last job at 70; then 5      (40, 0) (70, 3)
 *   versions of a key    20  38  45  52  60  66  81  90
 *   there for certain                 52  60  66  81  90                    three at or below 70, none at or below 40: so it stays, however many are kept from now on
 * ```
 *
 * Limits of one keyspace ascend in both numbers: one that another implies is left out, so what many jobs have noted is a few entries. The order in which they are added does not matter.
 */
export interface KeptVersions {
  readonly sequence: number
  readonly count: number
}

/** A job may have dropped what is beyond this too. */
export const withKept = (known: ReadonlyArray<KeptVersions>, next: KeptVersions): ReadonlyArray<KeptVersions> => {
  if (known.some(({ count, sequence }) => sequence >= next.sequence && count <= next.count)) return known
  const rest = known.filter(({ count, sequence }) => sequence > next.sequence || count < next.count)
  return [...rest, next].sort((a, b) => a.sequence - b.sequence)
}

/** The limits of a keyspace: where no job has gone by count, everything since history begins is there. */
export const keptOf = (
  kept: ReadonlyMap<number, ReadonlyArray<KeptVersions>>,
  historyFrom: ReadonlyMap<number, number>,
  keyspace: number
): ReadonlyArray<KeptVersions> => {
  const from = historyFrom.get(keyspace)
  return kept.get(keyspace) ?? (from === undefined ? [] : [{ sequence: from, count: 0 }])
}

/** Counts the versions of one key, the newest first, for as long as they are there for certain. */
export class KeptCounter {
  private readonly limits: ReadonlyArray<KeptVersions>
  private readonly below: Array<number>
  private left: number

  /** `versions`: how many are asked for. */
  constructor(limits: ReadonlyArray<KeptVersions>, versions: number) {
    this.limits = limits
    this.below = limits.map(() => 0)
    this.left = versions
  }

  /** Whether the next older version counts. Once it does not, no further one does. */
  takes(sequence: number): boolean {
    let isKept = --this.left >= 0
    this.limits.forEach((limit, i) => {
      if (sequence > limit.sequence) return
      this.below[i] = this.below[i]! + 1
      if (this.below[i]! > limit.count) isKept = false
    })
    return isKept
  }
}
