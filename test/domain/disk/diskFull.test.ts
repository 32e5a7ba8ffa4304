import { deflateSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { fillerBytes, isDiskFull } from "../../../src/domain/disk/diskFull.ts"
import { IoFailure } from "../../../src/domain/failures.ts"

describe("a full disk", () => {
  it("is a write, open or rename that finds no space or no quota", () => {
    for (const code of ["ENOSPC", "EDQUOT"])
      for (const operation of ["writev", "open", "rename", "truncate", "makeDirectory", "link"])
        expect(isDiskFull(new IoFailure(operation, "/db/000001.log", code)), `${operation} ${code}`).toBe(true)
  })

  it("is never a sync, whatever it says, and nothing else", () => {
    for (const operation of ["datasync", "syncDirectory"]) expect(isDiskFull(new IoFailure(operation, "/db/000001.log", "ENOSPC"))).toBe(false)
    for (const cause of [new IoFailure("writev", "/db/000001.log", "EIO"), new Error("ENOSPC"), "ENOSPC", undefined])
      expect(isDiskFull(cause)).toBe(false)
  })

  it("is prepared for with bytes that cannot be compressed, the same each time", () => {
    const bytes = fillerBytes(65_536)
    expect(bytes.length).toBe(65_536)
    expect(deflateSync(bytes).length).toBeGreaterThan(65_000)
    expect(Buffer.compare(bytes, fillerBytes(65_536))).toBe(0)
  })
})
