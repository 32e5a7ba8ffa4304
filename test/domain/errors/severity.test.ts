import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import * as errors from "../../../src/domain/errors.ts"
import { diskSeverities, lostCodes, mayPass, severities, transientCodes } from "../../../src/domain/errors/severity.ts"
import { Damage, IoFailure } from "../../../src/domain/failures.ts"

const classes = Object.entries(errors)
  .filter(([, one]) => typeof one === "function" && one.prototype instanceof Error)
  .map(([name]) => name)

const disk = (code: string) => new errors.DiskError({ operation: "read", path: "f", code })

describe("severity", () => {
  it("has a row for every class there is, and for no other", () => {
    expect([...Object.keys(severities), "DiskError"].toSorted()).toEqual(classes.toSorted())
  })

  it("of the system's errors goes by their code, translated or not", () => {
    for (const code of transientCodes) {
      expect(errors.severityOf(disk(code))).toBe("transient")
      expect(errors.severityOf(new IoFailure("read", "f", code))).toBe("transient")
      expect([mayPass(disk(code)), mayPass(new IoFailure("read", "f", code))]).toEqual([true, true])
    }
    for (const code of lostCodes) expect(errors.severityOf(disk(code))).toBe("critical")
    for (const code of ["EIO", "EBADMSG", "ENODEV", "EUNKNOWN"]) {
      expect(errors.severityOf(disk(code))).toBe("recoverable")
      expect([mayPass(disk(code)), mayPass(new IoFailure("read", "f", code))]).toEqual([false, false])
    }
    for (const code of ["ENOSPC", "EDQUOT", "EACCES", "EROFS"]) {
      const failure = new IoFailure("writev", "f", code)
      expect(errors.severityOf(failure)).toBe("recoverable")
      expect(errors.severityOf(errors.fromFailure(failure))).toBe("recoverable")
    }
  })

  it("of damage is critical, and of what stops the engine fatal", () => {
    const damage = new Damage("f", 12, "ChecksumMismatch")
    expect([errors.severityOf(damage), errors.severityOf(errors.fromFailure(damage)), mayPass(damage)]).toEqual(["critical", "critical", false])
    const failed = new errors.DatabaseFailed({ actor: "flusher" })
    expect(errors.severityRowOf(failed)).toMatchObject({ severity: "fatal", caller: expect.stringContaining("open again") })
  })

  it("nothing else passes by itself", () => {
    for (const cause of [
      undefined,
      null,
      "EAGAIN",
      new Error("EAGAIN"),
      { code: "EAGAIN" },
      { _tag: "DiskError" },
      { _tag: "Other", code: "EAGAIN" }
    ])
      expect(mayPass(cause)).toBe(false)
  })
})

describe("docs/errors.md", () => {
  const page = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8")
  const [, table = ""] = page.split("\n## Table\n")
  const rows = table
    .split("\n## ")[0]!
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.slice(2, -2).split(" | "))

  it("has one row for each class, with its severity, what the engine does and what to do", () => {
    const expected = [
      ...Object.entries(severities).map(([tag, row]) => [`\`${tag}\``, row.severity, row.engine, row.caller]),
      [`\`DiskError\` (${[...transientCodes].join(", ")})`, ...Object.values(diskSeverities.transient)],
      ["`DiskError` (any other code)", ...Object.values(diskSeverities.recoverable)],
      [`\`DiskError\` (${[...lostCodes].join(", ")})`, ...Object.values(diskSeverities.critical)]
    ]
    const listed = rows.map(([name, , ...rest]) => [name!, ...rest])
    const byName = (a: ReadonlyArray<string>, b: ReadonlyArray<string>) => (a[0]! < b[0]! ? -1 : 1)
    expect(listed.toSorted(byName)).toEqual(expected.toSorted(byName))
    for (const [name, when] of rows) expect(when!.length, name).toBeGreaterThan(10)
  })
})
