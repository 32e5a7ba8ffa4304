import { describe, expect, it } from "vitest"
import { decodeCurrent, encodeCurrent } from "../../../src/domain/manifest/current.ts"
import {
  currentFileName,
  currentTemporaryFileName,
  FileKind,
  fileName,
  lockFileName,
  lockOwnerFileName,
  parseFileName,
  reserveFileName,
  reserveTemporaryFileName
} from "../../../src/domain/manifest/fileNames.ts"
import { damageOf } from "../wal/segments.ts"
import { crc32, text } from "./states.ts"

describe("fileNames", () => {
  it("name every kind and every id, and back", () => {
    expect(fileName("log", 1)).toBe("000001.log")
    for (const kind of Object.values(FileKind)) {
      for (const id of [1, 999_999, 1_000_000, Number.MAX_SAFE_INTEGER]) expect(parseFileName(fileName(kind, id))).toEqual({ kind, id })
    }
  })

  it("know no other names", () => {
    for (const name of [
      "1.log",
      "000000.log",
      "0000001.log",
      "9007199254740992.log",
      "000001.txt",
      "000001.log ",
      "a000001.log",
      "000001.LOG",
      "-00001.log",
      "",
      ".log",
      currentFileName,
      currentTemporaryFileName,
      lockFileName,
      lockOwnerFileName,
      reserveFileName,
      reserveTemporaryFileName
    ])
      expect(parseFileName(name), name).toBeUndefined()
  })
})

describe("CURRENT", () => {
  const bytes = encodeCurrent(crc32, 6)

  it("is two readable lines", () => {
    expect(new TextDecoder().decode(bytes)).toBe("000006.manifest\n5a6d2b01\n")
    for (const id of [6, 123_456_789, Number.MAX_SAFE_INTEGER]) expect(decodeCurrent(crc32, "CURRENT", encodeCurrent(crc32, id))).toBe(id)
    // A sum that begins with zeros keeps them.
    const padded = Array.from({ length: 200 }, (_, i) => encodeCurrent(crc32, i + 1))
    expect(new Set(padded.map((each) => each.length))).toEqual(new Set([25]))
  })

  it("is refused at every prefix, with every bit flipped, and with anything added", () => {
    for (let n = 0; n < bytes.length; n++)
      expect(damageOf(() => decodeCurrent(crc32, "CURRENT", bytes.subarray(0, n))).reason).toBe(n === 0 ? "Truncated" : "ChecksumMismatch")
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice()
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      expect(damageOf(() => decodeCurrent(crc32, "CURRENT", damaged)).reason, `bit ${bit}`).toBe("ChecksumMismatch")
    }
    for (const other of ["000006.log\n00000000\n", "000006.manifest\n5a6d2b01\n\n", "garbage", "\n", `${"0".repeat(500)}\n`]) {
      expect(damageOf(() => decodeCurrent(crc32, "CURRENT", text(other))).reason, other).toBe("ChecksumMismatch")
    }
  })
})
