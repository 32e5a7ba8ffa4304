import * as Layer from "effect/Layer"
import { Entropy } from "../services/Entropy.ts"

/** The platform's cryptographic generator. */
export const layer: Layer.Layer<Entropy> = Layer.sync(Entropy, () =>
  Entropy.of({ bytes: (count) => globalThis.crypto.getRandomValues(new Uint8Array(count)) })
)

/** Reproducible bytes from a seed, for simulation only: mulberry32 (Tommy Ettinger, public domain). */
export const layerSeeded = (seed: number): Layer.Layer<Entropy> =>
  Layer.sync(Entropy, () => {
    let state = seed >>> 0
    return Entropy.of({
      bytes: (count) => {
        const out = new Uint8Array(count)
        for (let i = 0; i < count; i++) {
          state = (state + 0x6d2b79f5) | 0
          let t = Math.imul(state ^ (state >>> 15), 1 | state)
          t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
          out[i] = (t ^ (t >>> 14)) >>> 24
        }
        return out
      }
    })
  })
