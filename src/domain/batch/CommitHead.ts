/** The moment of the commit turn, as the operations of a batch see it: what atomic operations are resolved against, and what expiries count from. */
export interface CommitHead {
  /** The sequence the batch will have. */
  readonly sequence: number
  /** Engine time of the commit in ms. */
  readonly commitTimeMs: number
  /**
   * The value of a key at the head of the commit order, whether or not that is visible yet; `undefined` where there is none (or it has expired, unless `evenExpired`). `hash` is
   * `keyHash` under the seed of the keyspace; the bytes returned are only good for this synchronous step. Throws `NotAtHand` where tables would have to be read.
   */
  readonly value: (keyspace: number, hash: number, key: Uint8Array, start: number, end: number, evenExpired?: boolean) => Uint8Array | undefined
}

/** Thrown by `CommitHead.value`: the turn is given up, the value is read, and the turn is tried again. Not an error: it carries no stack. */
export class NotAtHand {
  readonly keyspace: number
  /** A copy. */
  readonly key: Uint8Array
  constructor(keyspace: number, key: Uint8Array) {
    this.keyspace = keyspace
    this.key = key
  }
}
