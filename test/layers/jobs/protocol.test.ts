import { describe, expect, it } from "vitest"
import { Damage, IoFailure } from "../../../src/domain/failures.ts"
import { JobCancelled } from "../../../src/layers/jobs/JobRun.ts"
import { fromPosted, toPosted } from "../../../src/layers/jobs/protocol.ts"

const there = (cause: unknown): unknown => fromPosted(structuredClone(toPosted(cause)))

describe("failures on their way between threads", () => {
  it("keep class, fields and message", () => {
    const io = new IoFailure("writev", "/db/000001.table", "ENOSPC", "no room")
    expect(there(io)).toBeInstanceOf(IoFailure)
    expect(there(io)).toMatchObject({ _tag: "IoFailure", operation: "writev", path: "/db/000001.table", code: "ENOSPC", message: "no room" })
    const damage = new Damage("/db/000001.table", 4096, "ChecksumMismatch", "leaf 3")
    expect(there(damage)).toBeInstanceOf(Damage)
    expect(there(damage)).toMatchObject({
      _tag: "Damage",
      file: damage.file,
      offsetBytes: 4096,
      reason: "ChecksumMismatch",
      detail: "leaf 3",
      message: damage.message
    })
    expect(there(new JobCancelled())).toBeInstanceOf(JobCancelled)
  })

  it("carry the stack of a defect", () => {
    const defect = new RangeError("the job needs more ids")
    expect(there(defect)).toMatchObject({ message: defect.message, stack: defect.stack })
    expect(there("a string")).toMatchObject({ message: "a string" })
  })
})
