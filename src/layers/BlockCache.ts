import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BlockCache as BlockCacheStore } from "../domain/cache/BlockCache.ts"
import { BlockCache } from "../services/BlockCache.ts"
import { EngineOptions } from "../services/EngineOptions.ts"

export const layer: Layer.Layer<BlockCache, never, EngineOptions> = Layer.effect(
  BlockCache,
  Effect.map(EngineOptions, (options) => new BlockCacheStore(options.cacheBytes - options.valueCacheBytes, options.blockBytes))
)
