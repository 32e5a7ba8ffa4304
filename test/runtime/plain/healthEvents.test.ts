import { describe, expect, it } from "vitest"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"
import { openPlain } from "../../../src/runtime/plain/PlainDatabase.ts"

describe("healthEvents", () => {
  it("begins with the present state, and ends as every walk does when the database is closed", async () => {
    const db = await openPlain(LightningDb.layerMemory())
    const events = db.healthEvents()
    expect((await events.next()).value).toMatchObject({
      type: "state",
      resource: "database",
      state: "healthy",
      reasons: [],
      atMs: expect.any(Number)
    })
    const following = events.next().then(
      () => "another event",
      (cause: unknown) => cause
    )
    await db.close()
    expect(await following).toMatchObject({ _tag: "DatabaseClosed" })
  })
})
