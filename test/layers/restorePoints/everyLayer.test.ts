/** The same promises over every disk: in memory, on a directory, for code without Effect. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Database } from "../../../src/services/Database.ts"
import * as LightningDb from "../../../src/runtime/LightningDb.ts"

const inTemporary = async (run: (directory: string) => Promise<void>): Promise<void> => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "lightning-points-"))
  try {
    await run(directory)
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
}

describe("restore points", () => {
  it.effect("in memory live as long as the database", () =>
    Effect.gen(function* () {
      const db = yield* Database
      yield* db.put("a", "1")
      const point = yield* db.createRestorePoint({ name: "a" })
      yield* db.verifyRestorePoint("a")
      expect((yield* db.restorePoints).points).toEqual([point])
      expect((yield* db.scrub()).damaged).toEqual([])
      yield* db.removeRestorePoint("a")
      expect((yield* db.restorePoints).points).toEqual([])
    }).pipe(Effect.provide(LightningDb.layerMemory()))
  )

  it("on a directory are links, and give their space back", () =>
    inTemporary(async (directory) => {
      const at = path.join(directory, "data")
      const db = await LightningDb.open({ path: at, checkpoints: path.join(directory, "points") })
      for (let i = 0; i < 50; i++) await db.put(`k${i}`, "x".repeat(2000), { durability: "buffered" })
      const point = await db.createRestorePoint({ name: "a", reason: "look" })
      expect(point.path).toBe(path.join(directory, "points", "a"))
      const tables = fs.readdirSync(point.path).filter((name) => /\.(table|values)$/.test(name))
      expect(tables.length).toBeGreaterThan(0)
      for (const name of tables) expect(fs.statSync(path.join(point.path, name)).nlink).toBe(2)
      expect((await db.restorePoints()).points).toEqual([point])
      expect((await db.verifyRestorePoint("a")).tables).toBeGreaterThan(0)
      expect((await db.scrub({ bytesPerSecond: 1 << 30 })).damaged).toEqual([])
      await db.removeRestorePoint("a")
      for (const name of tables) expect(fs.statSync(path.join(at, name)).nlink).toBe(1)
      await expect(db.verifyRestorePoint("a")).rejects.toMatchObject({ _tag: "RestorePointNotFound" })
      await db.close()
    }))

  it("are restored and rolled back to by code without Effect, and only while the database is closed", () =>
    inTemporary(async (directory) => {
      const at = path.join(directory, "data")
      const db = await LightningDb.open({ path: at })
      await db.put("a", "then")
      await db.createRestorePoint({ name: "a" })
      await db.put("a", "now")
      await expect(LightningDb.rollBackPromise({ path: at, to: "a" })).rejects.toMatchObject({ _tag: "DatabaseLocked", pid: process.pid })
      await db.close()
      await LightningDb.restorePromise({ path: at, from: "a", to: path.join(directory, "copy") })
      const { kept } = await LightningDb.rollBackPromise({ path: at, to: "a" })
      const again = await LightningDb.open({ path: at })
      expect(await again.getText("a")).toBe("then")
      await again.close()
      await LightningDb.rollBackPromise({ path: at, to: kept!.id, keepPresent: false })
      const last = await LightningDb.open({ path: at })
      expect(await last.getText("a")).toBe("now")
      expect((await last.restorePoints()).points.length).toBe(2)
      await last.close()
      // A mistyped path leaves nothing.
      await expect(LightningDb.rollBackPromise({ path: path.join(directory, "dta"), to: "a" })).rejects.toMatchObject({ _tag: "NotADatabase" })
      expect(fs.readdirSync(directory).sort()).toEqual(["copy", "data", "data.checkpoints"])
      // Two points on one path: opened again, a database that has been rolled back is its readers' too.
      const reader = await LightningDb.open({ path: path.join(directory, "copy"), readOnly: true })
      expect(await reader.getText("a")).toBe("then")
      await reader.close()
    }))
})
