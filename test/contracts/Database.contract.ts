/** What every backing of `Database` promises; run by `test/layers/DatabaseContract.test.ts` over the engine in memory and on a directory. */
import { describe } from "@effect/vitest"
import type { DatabaseFixture } from "./database/fixture.ts"
import { keyspacesContract } from "./database/keyspaces.ts"
import { maintenanceContract } from "./database/maintenance.ts"
import { readsContract } from "./database/reads.ts"
import { snapshotsContract } from "./database/snapshots.ts"
import { writesContract } from "./database/writes.ts"

export const databaseContract = (fixture: DatabaseFixture): void => {
  describe(`Database: ${fixture.name}`, () => {
    readsContract(fixture)
    writesContract(fixture)
    keyspacesContract(fixture)
    snapshotsContract(fixture)
    maintenanceContract(fixture)
  })
}
