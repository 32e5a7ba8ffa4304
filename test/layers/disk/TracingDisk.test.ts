import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import * as DiskMemory from "../../../src/layers/disk/DiskMemory.ts"
import * as DiskTracing from "../../../src/layers/disk/DiskTracing.ts"
import { FaultyDisk } from "../../../src/layers/disk/FaultyDisk.ts"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { DiskTracer, isDurableAt, notDurableAt, TracingDisk } from "../../../src/layers/disk/TracingDisk.ts"
import { Disk } from "../../../src/services/Disk.ts"

const ones = (length: number): Uint8Array => new Uint8Array(length).fill(1)

describe("TracingDisk", () => {
  it("records every operation with its place and order", () => {
    const disk = new TracingDisk(new FaultyDisk(new MemoryDisk(), [{ match: { operation: "datasync" }, nth: 2, fault: { code: "EIO" } }]))
    disk.makeDirectory("/d")
    const handle = disk.open("/d/a", "create")
    handle.writev([ones(3), ones(4)], 10)
    handle.readAt(ones(5), 2)
    handle.datasync()
    expect(() => handle.datasync()).toThrow("EIO")
    handle.truncate(9)
    handle.sizeBytes()
    disk.rename("/d/a", "/d/b")
    disk.link("/d/b", "/d/c")
    disk.remove("/d/b")
    disk.syncDirectory("/d")
    disk.list("/d")
    disk.stat("/d")
    const text = disk.tracer.events.map((event) => `${event.kind} ${event.path} ${event.position}+${event.length} ${event.failed ?? ""}`.trim())
    expect(text).toEqual([
      "makeDirectory /d 0+0",
      "open /d/a 0+0",
      "writev /d/a 10+7",
      "readAt /d/a 2+5",
      "datasync /d/a 0+0",
      "datasync /d/a 0+0 EIO",
      "truncate /d/a 9+0",
      "sizeBytes /d/a 0+0",
      "rename /d/b 0+0",
      "link /d/c 0+0",
      "remove /d/b 0+0",
      "syncDirectory /d 0+0",
      "list /d 0+0",
      "stat /d 0+0"
    ])
    expect(disk.tracer.events.map(({ index, begin, end }) => [index, begin, end])).toEqual(text.map((_, i) => [i, 2 * i, 2 * i + 1]))
  })

  it("records the beginning and the end of effects apart, also of those that fail", async () => {
    const tracer = new DiskTracer()
    const layer = DiskTracing.layer(tracer).pipe(Layer.provide(DiskMemory.layer))
    await Effect.runPromise(
      Effect.provide(
        Effect.gen(function* () {
          const disk = yield* Disk
          const handle = yield* disk.open("/a", "create")
          const sync = yield* Effect.forkChild(disk.datasync(handle), { startImmediately: true })
          handle.writev([ones(1)], 0)
          yield* Fiber.join(sync)
          yield* disk.writev(handle, [ones(2)], 1)
          yield* disk.read(handle, ones(2), 1)
          yield* disk.syncDirectory("/")
          yield* Effect.flip(disk.syncDirectory("/missing"))
        }),
        layer
      )
    )
    const [, sync, write, ...rest] = tracer.events
    expect([sync!.kind, write!.kind]).toEqual(["datasync", "writev"])
    expect(sync!.begin).toBeLessThan(write!.begin)
    expect(sync!.end).toBeGreaterThan(write!.end)
    expect(rest.map(({ kind, position, length, failed }) => [kind, position, length, failed])).toEqual([
      ["writev", 1, 2, undefined],
      ["readAt", 1, 2, undefined],
      ["syncDirectory", 0, 0, undefined],
      ["syncDirectory", 0, 0, "ENOENT"]
    ])
  })
})

describe("the audit of acknowledgements", () => {
  /** Plays a script of events on one file and returns whether an answer after each of them would have been honest. */
  const audit = (script: ReadonlyArray<"write" | "begin sync" | "end sync" | "fail sync" | "other file's sync">): ReadonlyArray<boolean> => {
    const tracer = new DiskTracer()
    let endSync: (failure?: unknown) => void = () => {}
    return script.map((step) => {
      if (step === "write") tracer.begin("writev", "/log", 0, 10)()
      else if (step === "begin sync") endSync = tracer.begin("datasync", "/log")
      else if (step === "end sync") endSync()
      else if (step === "fail sync") endSync("EIO")
      else tracer.begin("datasync", "/other")()
      return notDurableAt(tracer.events, "/log", 0, 10, tracer.now()).length === 0
    })
  }

  it("asks for a datasync that began after the write ended and ended before the answer", () => {
    expect(audit(["write", "begin sync", "end sync"])).toEqual([false, false, true])
    expect(audit(["begin sync", "write", "end sync", "begin sync", "end sync"])).toEqual([true, false, false, false, true])
    expect(audit(["write", "begin sync", "fail sync"])).toEqual([false, false, false])
    expect(audit(["write", "other file's sync"])).toEqual([false, false])
    expect(audit(["write", "begin sync", "end sync", "write"])).toEqual([false, false, true, false])
  })

  it("looks only at the bytes in question, and at what had begun by then", () => {
    const tracer = new DiskTracer()
    tracer.begin("writev", "/log", 0, 10)()
    tracer.begin("datasync", "/log")()
    const at = tracer.now()
    const running = tracer.begin("writev", "/log", 10, 10)
    expect(notDurableAt(tracer.events, "/log", 0, 10, tracer.now())).toEqual([])
    expect(notDurableAt(tracer.events, "/log", 0, 20, at)).toEqual([])
    expect(notDurableAt(tracer.events, "/log", 0, 20, tracer.now())).toHaveLength(1)
    expect(notDurableAt(tracer.events, "/log", 19, 30, tracer.now())).toHaveLength(1)
    expect(notDurableAt(tracer.events, "/log", 20, 30, tracer.now())).toEqual([])
    running("EIO")
    tracer.begin("datasync", "/log")()
    expect(isDurableAt(tracer.events, tracer.events[2]!, tracer.now())).toBe(false)
  })
})
