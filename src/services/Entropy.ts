/** Randomness of the engine (database ids, salts, hash seeds): a service, so that the simulator can give it a seed. */
import * as Context from "effect/Context"

export class Entropy extends Context.Service<
  Entropy,
  {
    /** Fresh array of `count` random bytes, owned by the caller. */
    readonly bytes: (count: number) => Uint8Array
  }
>()("lightning-db/services/Entropy") {}
