import { describe, expect, it } from "vitest"
import { Damage, IoFailure } from "../../../src/domain/failures.ts"
import type { StepMachine } from "../../../src/domain/steps.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { JobFiles } from "../../../src/layers/jobs/JobFiles.ts"
import { JobCancelled, JobRun, runToEnd } from "../../../src/layers/jobs/JobRun.ts"

const bytes = Uint8Array.of(1, 2, 3, 4)
const never = { cancelled: () => false, onPause: () => {} }

const diskWith = (): MemoryDisk => {
  const disk = new MemoryDisk()
  disk.makeDirectory("db")
  return disk
}

function* copies(times: number): StepMachine<number> {
  yield { step: "create", kind: "values", fileId: 2 }
  let position = 0
  for (let i = 0; i < times; i++) {
    const read = (yield { step: "read", kind: "table", fileId: 1, offset: i, length: 2 })!
    yield { step: "write", fileId: 2, buffers: [read], position }
    position += read.length
    yield { step: "pause" }
  }
  yield { step: "finish", fileId: 2 }
  return position
}

const withInput = (): MemoryDisk => {
  const disk = diskWith()
  const handle = disk.open("db/000001.table", "create")
  handle.writev([bytes], 0)
  handle.close()
  return disk
}

describe("a job over files", () => {
  it("serves reads, creates, writes and finishes; pauses are told", () => {
    const disk = withInput()
    let pauses = 0
    expect(runToEnd(copies(2), new JobFiles(disk, "db"), { cancelled: () => false, onPause: () => void pauses++ })).toBe(4)
    expect(pauses).toBe(2)
    const copy = new Uint8Array(4)
    disk.open("db/000002.values", "read").readAt(copy, 0)
    expect(copy).toEqual(Uint8Array.of(1, 2, 2, 3))
  })

  it("throws Damage into the machine where the file is shorter than the read, and removes the outputs", () => {
    const disk = withInput()
    expect(() => runToEnd(copies(4), new JobFiles(disk, "db"), never)).toThrow(new Damage("db/000001.table", 3, "Truncated", "1 of 2 bytes"))
    expect(disk.list("db")).toEqual(["000001.table"])
  })

  it("lets the machine catch a failure and go on", () => {
    const machine = (function* (): StepMachine<string> {
      try {
        yield { step: "read", kind: "table", fileId: 9, offset: 0, length: 1 }
      } catch (cause) {
        return cause instanceof IoFailure ? cause.code : "another failure"
      }
      return "no failure"
    })()
    expect(runToEnd(machine, new JobFiles(diskWith(), "db"), never)).toBe("ENOENT")
  })

  it("stops at the next request once cancelled, and removes the outputs", () => {
    const disk = withInput()
    let requests = 0
    const hooks = { cancelled: () => ++requests === 4, onPause: () => {} }
    expect(() => runToEnd(copies(3), new JobFiles(disk, "db"), hooks)).toThrow(JobCancelled)
    expect(disk.list("db")).toEqual(["000001.table"])
  })

  it("closes quietly, whatever the handles say, and has no result before its end", () => {
    const disk = withInput()
    const open = disk.open.bind(disk)
    let closes = 0
    disk.open = (path, mode) => {
      const handle = open(path, mode)
      const close = handle.close.bind(handle)
      return Object.assign(handle, {
        close: () => {
          closes++
          close()
          throw new IoFailure("close", path, "EIO")
        }
      })
    }
    disk.remove = (path) => {
      throw new IoFailure("remove", path, "EIO")
    }
    const run = new JobRun(copies(1), new JobFiles(disk, "db"))
    for (let i = 0; i < 4; i++) run.advance()
    expect(() => run.result).toThrow("the job is not done")
    expect(() => run.close()).not.toThrow()
    expect(closes).toBe(2)
    // What could not be removed is an orphan.
    expect([...disk.list("db")].sort()).toEqual(["000001.table", "000002.values"])
  })
})
