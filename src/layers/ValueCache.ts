import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ValueCache as ValueCacheStore } from "../domain/cache/ValueCache.ts"
import { EngineOptions } from "../services/EngineOptions.ts"
import { Recovery } from "../services/Recovery.ts"
import { ValueCache } from "../services/ValueCache.ts"

export const layer: Layer.Layer<ValueCache, never, EngineOptions | Recovery> = Layer.effect(
  ValueCache,
  Effect.gen(function* () {
    const options = yield* EngineOptions
    const { visibleSequence } = yield* Recovery
    return new ValueCacheStore(options.valueCacheBytes, visibleSequence)
  })
)
