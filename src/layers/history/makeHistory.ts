import type { DatabaseShape, Operations } from "../../services/Database.ts"
import { type AtParts, makeAt } from "./makeAt.ts"
import { makeVersions, type VersionsParts } from "./makeVersions.ts"

export type HistoryParts = AtParts & VersionsParts

export interface Histories {
  readonly at: (keyspace: number, name: string) => DatabaseShape["at"]
  readonly history: (keyspace: number, name: string) => Operations["history"]
}

export const makeHistory = (parts: HistoryParts): Histories => ({ at: makeAt(parts), history: makeVersions(parts) })
