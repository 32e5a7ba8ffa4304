import { describe, expect, it } from "vitest"
import type { OpenMode } from "../../../src/domain/disk/SyncDisk.ts"
import { Damage, IoFailure } from "../../../src/domain/failures.ts"
import { fileName } from "../../../src/domain/manifest/fileNames.ts"
import type { StepMachine } from "../../../src/domain/steps.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { JobFiles } from "../../../src/layers/jobs/JobFiles.ts"
import { JobRun } from "../../../src/layers/jobs/JobRun.ts"

/** Counts the files that are open. */
class CountingDisk extends MemoryDisk {
  override open(path: string, mode: OpenMode) {
    const handle = super.open(path, mode)
    this.opened++
    this.mostOpened = Math.max(this.mostOpened, this.opened)
    const close = handle.close.bind(handle)
    return Object.assign(handle, {
      close: () => {
        this.opened--
        close()
      }
    })
  }
  opened = 0
  mostOpened = 0
}

describe("JobFiles", () => {
  it("holds few inputs open, however many a job has, and finds its place in each again", () => {
    const disk = new CountingDisk()
    const count = 100
    for (let id = 1; id <= count; id++) {
      const handle = disk.open(`/${fileName("table", id)}`, "create")
      handle.writev([Uint8Array.of(id, id + 1, id + 2)], 0)
      handle.close()
    }
    const files = new JobFiles(disk, "")
    const found: Array<number> = []
    for (const offset of [0, 1, 2]) {
      for (let id = 1; id <= count; id++) found.push(files.perform({ step: "read", kind: "table", fileId: id, offset, length: 1 })![0]!)
    }
    expect(found).toEqual([0, 1, 2].flatMap((offset) => Array.from({ length: count }, (_, i) => i + 1 + offset)))
    expect(disk.mostOpened).toBe(32)
    files.close(false)
    expect(disk.opened).toBe(0)
  })
})

describe("JobRun", () => {
  it("says where the file is that its machine knows by name", () => {
    const throwing = (cause: unknown): unknown => {
      const machine = (function* (): StepMachine<void> {
        yield { step: "pause" }
        throw cause
      })()
      const run = new JobRun(machine, new JobFiles(new MemoryDisk(), "/db"))
      run.advance()
      try {
        run.advance()
      } catch (thrown) {
        return thrown
      }
      throw new Error("nothing was thrown")
    }
    expect(throwing(new Damage("000007.table", 12, "ChecksumMismatch", "a block"))).toMatchObject({
      _tag: "Damage",
      file: "/db/000007.table",
      offsetBytes: 12,
      reason: "ChecksumMismatch",
      detail: "a block"
    })
    for (const cause of [new Damage("/db/000007.table", 12, "Truncated"), new IoFailure("readAt", "/db/000007.table", "EIO"), new Error("a bug")]) {
      expect(throwing(cause)).toBe(cause)
    }
  })
})
