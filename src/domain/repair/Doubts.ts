import { holdsKey, type Loss } from "./Loss.ts"

/** The keys of which a newer version may have been lost than the one that is found. */
export class Doubts {
  readonly #losses: ReadonlyArray<Loss>

  constructor(losses: ReadonlyArray<Loss>) {
    this.#losses = losses.filter(({ effect, range }) => effect !== "none" && range !== undefined)
  }

  get isEmpty(): boolean {
    return this.#losses.length === 0
  }

  /** Why the version of the key with this sequence (0: so old that it was elided, or none was found) may not be the newest; undefined where it is. */
  about(keyspace: number, key: Uint8Array, sequence: number): Loss | undefined {
    const place = { keyspace, key }
    for (const loss of this.#losses) {
      const last = loss.sequences?.last
      if (holdsKey(loss.range!, place) && (last === undefined || sequence <= last)) return loss
    }
    return undefined
  }
}
