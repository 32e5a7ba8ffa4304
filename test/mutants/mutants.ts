import type { Mutant } from "../../scripts/mutants.ts"
import { badInputMutants } from "./badInput.ts"
import { breakerMutants } from "./breakers.ts"
import { commandLineMutants } from "./commandLine.ts"
import { damageMutants } from "./damage.ts"
import { durabilityMutants } from "./durability.ts"
import { featureMutants } from "./features.ts"
import { isolationMutants } from "./isolation.ts"
import { limitMutants } from "./limits.ts"
import { pressureMutants } from "./pressure.ts"
import { repairMutants } from "./repair.ts"
import { realMutants } from "./real.ts"
import { simulationMutants } from "./simulation.ts"
import { spaceMutants } from "./space.ts"
import { restorePointMutants } from "./restorePoints.ts"

/**
 * Known ways to break the engine. Each replaces one exact piece of a source file (it must occur exactly once, so a mutant that the code has outgrown fails
 * loudly), and names the test that must then go red. The invariant and decision numbers are those of ARCHITECTURE.md. `npm run mutants` runs them all,
 * `npm run mutants -- sync` those whose name contains "sync".
 */
export const mutants: ReadonlyArray<Mutant> = [
  ...durabilityMutants,
  ...damageMutants,
  ...badInputMutants,
  ...isolationMutants,
  ...featureMutants,
  ...commandLineMutants,
  ...limitMutants,
  ...pressureMutants,
  ...repairMutants,
  ...realMutants,
  ...simulationMutants,
  ...spaceMutants,
  ...restorePointMutants,
  ...breakerMutants
]
