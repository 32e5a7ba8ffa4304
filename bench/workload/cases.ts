import type { Case } from "./Case.ts"
import { feeds } from "./cases/feeds.ts"
import { fills } from "./cases/fills.ts"
import { reads } from "./cases/reads.ts"
import { scans } from "./cases/scans.ts"
import { transactions } from "./cases/transactions.ts"

export const cases: ReadonlyArray<Case> = [...fills, ...reads, ...scans, ...transactions, ...feeds]
