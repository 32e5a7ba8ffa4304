import type { Case } from "./Case.ts"
import { fills } from "./cases/fills.ts"
import { reads } from "./cases/reads.ts"
import { scans } from "./cases/scans.ts"

export const cases: ReadonlyArray<Case> = [...fills, ...reads, ...scans]
