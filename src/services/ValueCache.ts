/** Values by (keyspace, string key): the shortest way to a hot value. Its rules of validity are those of `domain/cache/ValueCache.ts`. Synchronous. */
import * as Context from "effect/Context"
import type { ValueCache as ValueCacheStore } from "../domain/cache/ValueCache.ts"

export class ValueCache extends Context.Service<ValueCache, ValueCacheStore>()("lightning-db/services/ValueCache") {}
