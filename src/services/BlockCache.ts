/** Verified, decompressed blocks of tables, by table and leaf, within a budget of bytes. A block handed out stays unchanged for ever: eviction only lets go of it. Synchronous. */
import * as Context from "effect/Context"
import type { BlockCache as BlockCacheStore } from "../domain/cache/BlockCache.ts"

export class BlockCache extends Context.Service<BlockCache, BlockCacheStore>()("lightning-db/services/BlockCache") {}
