/** The options the database was opened with, checked and with defaults filled in. */
import * as Context from "effect/Context"
import type { ResolvedOptions } from "../domain/options/Options.ts"

export class EngineOptions extends Context.Service<EngineOptions, ResolvedOptions>()("lightning-db/services/EngineOptions") {}
