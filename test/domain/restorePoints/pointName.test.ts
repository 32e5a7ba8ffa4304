import { describe, expect, it } from "vitest"
import {
  isUnfinished,
  makingDirectory,
  parsePointDirectory,
  parsePointReference,
  pointDirectory,
  pointNameMax,
  pointNameProblem,
  removingDirectory
} from "../../../src/domain/restorePoints/pointName.ts"

describe("names of restore points", () => {
  it("are those that are file names everywhere", () => {
    for (const name of ["a", "nightly", "2026-11-21", "v1.2_x", "A".repeat(pointNameMax), "console", "before-rollback-2026-11-21T21-13-44Z"])
      expect(pointNameProblem(name), name).toBeUndefined()
    for (const name of [
      undefined,
      7,
      "",
      ".",
      "..",
      ".a",
      "-a",
      "_a",
      "a/b",
      "a\\b",
      "a b",
      "a@2",
      "a:b",
      "é",
      "a.",
      "a\0",
      "con",
      "COM1.txt",
      "A".repeat(101)
    ])
      expect(pointNameProblem(name), String(name)).toBeDefined()
  })

  it("and versions make directories, one each", () => {
    expect([1, 2, 10].map((version) => pointDirectory("a", version))).toEqual(["a", "a@2", "a@10"])
    for (const [name, version] of [
      ["a", 1],
      ["a", 2],
      ["a-b.c", 123]
    ] as const)
      expect(parsePointDirectory(pointDirectory(name, version))).toEqual({ name, version })
    for (const other of ["a@1", "a@02", "a@", "@2", "a@2@3", "a@0", "a@-1", "a@9999999999", "LOCK.owner/", "", ".a@1.making"])
      expect(parsePointDirectory(other), other).toBeUndefined()
  })

  it("are referred to with or without a version", () => {
    expect(parsePointReference("a")).toEqual({ name: "a", version: undefined })
    expect(parsePointReference("a@1")).toEqual({ name: "a", version: 1 })
    for (const other of ["", "a@", "a@x", "./a", "a/b", undefined, 5, {}]) expect(parsePointReference(other), String(other)).toBeUndefined()
  })

  it("of unfinished directories are told from all others", () => {
    for (const name of [makingDirectory("a", 1), removingDirectory("a-b", 12)]) {
      expect(isUnfinished(name), name).toBe(true)
      expect(parsePointDirectory(name)).toBeUndefined()
    }
    for (const name of ["a", ".git", ".a.making", "a@1.making", ".a@1", ".making", ".removing", ". @1.making"])
      expect(isUnfinished(name), name).toBe(false)
  })
})
