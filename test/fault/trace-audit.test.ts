/** Invariants 1, 3 and 10, seen at the file handle: what was synced when, against what was answered when. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import * as DiskNode from "../../src/layers/disk/DiskNode.ts"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import * as DiskTracing from "../../src/layers/disk/DiskTracing.ts"
import { nodeDisk } from "../../src/layers/disk/nodeDisk.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { DiskTracer, isDurableAt } from "../../src/layers/disk/TracingDisk.ts"
import { readSegmentHeader } from "../../src/layers/recovery/scanLog.ts"
import type { SyncDisk } from "../../src/domain/disk/SyncDisk.ts"
import type { Disk } from "../../src/services/Disk.ts"
import { type EngineSettings, openOn } from "../support/openEngine.ts"
import { type Acknowledgement, auditAcknowledgements, auditNames } from "../support/traceAudit.ts"
import { parseStrace, tracedCalls } from "../support/straceTrace.ts"
import { writeFor } from "../support/recordedRun.ts"
import { drawWorkload, type WorkloadStep } from "../support/workload.ts"

/** Runs the writes, flushes and compactions of a workload, and looks at the files before the engine closes (and drops what it no longer needs). */
const audited = async (layer: Layer.Layer<Disk>, disk: SyncDisk, path: string, steps: ReadonlyArray<WorkloadStep>, settings: EngineSettings) => {
  const tracer = new DiskTracer()
  const acknowledgements: Array<Acknowledgement> = []
  return await Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const db = yield* openOn(DiskTracing.layer(tracer).pipe(Layer.provide(layer)), path, settings)
        for (const step of steps) {
          if (step.step === "flush" || step.step === "flushBehind") yield* db.flush
          if (step.step === "compact" || step.step === "compactBehind") yield* db.compact()
          if (step.step !== "write") continue
          yield* Effect.forEach(
            step.transactions,
            ({ durability, operations }) =>
              Effect.map(
                db.write(
                  operations.map((operation) => writeFor(operation, 0)),
                  { durability }
                ),
                ({ durability, sequence }) => void acknowledgements.push({ sequence, order: tracer.now(), sync: durability === "sync" })
              ),
            { concurrency: "unbounded" }
          )
        }
        const events = [...tracer.events]
        return { log: auditAcknowledgements(events, disk, path, acknowledgements), names: auditNames(events, disk, path), acknowledgements }
      })
    )
  )
}

/** May be there or not: nothing here depends on it. */
const systemCallTracer = "strace"
const child = fileURLToPath(new URL("../support/strace-child.ts", import.meta.url))

const withoutKeyspaces = { create: 0, drop: 0, snapshot: 0, release: 0, reopen: 0 }
/** Nothing is flushed, so that all of the log stays to be read. */
const writesOnly = (seed: number) => drawWorkload(seed, { steps: 60, keys: 40, structureChance: 0, syncChance: 0.4, largeChance: 0.3, burst: 12 })
const keepLog: EngineSettings = { memtableBytes: 16 << 20 }
const structural = (seed: number) =>
  drawWorkload(seed, { steps: 60, keys: 40, structureChance: 0.3, weights: withoutKeyspaces, largeChance: 0.3, burst: 8 })

const realDirectory = async (run: (path: string) => Promise<void>): Promise<void> => {
  const root = mkdtempSync(join(tmpdir(), "lightning-audit-"))
  try {
    await run(join(root, "db"))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

describe("trace audit", () => {
  it("answers on a simulated disk: every sync acknowledgement has a datasync of its own time", async () => {
    const disk = new SimulatedDisk()
    const { acknowledgements, log, names } = await audited(DiskSimulated.layer(disk), disk, "/db", writesOnly(21), keepLog)
    expect(log.complaints).toEqual([])
    expect(names.complaints).toEqual([])
    expect(log.audited).toBeGreaterThan(100)
    expect(acknowledgements.length).toBeGreaterThan(log.audited)
  })

  it("answers on the real disk: every sync acknowledgement has a datasync of its own time", () =>
    realDirectory(async (path) => {
      const { log, names } = await audited(DiskNode.layer, nodeDisk, path, writesOnly(22), keepLog)
      expect(log.complaints).toEqual([])
      expect(names.complaints).toEqual([])
      expect(log.audited).toBeGreaterThan(100)
    }))

  it("names on a simulated disk: durable before they are relied on, unlinked after they are dropped", async () => {
    const disk = new SimulatedDisk()
    const { names } = await audited(DiskSimulated.layer(disk), disk, "/db", structural(23), { manifestRolloverBytes: 1 << 24 })
    expect(names.complaints).toEqual([])
    expect(names.named).toBeGreaterThan(10)
    expect(names.removed).toBeGreaterThan(5)
    expect(names.renamed).toBe(1)
  })

  it("names on the real disk: durable before they are relied on, unlinked after they are dropped", () =>
    realDirectory(async (path) => {
      const { names } = await audited(DiskNode.layer, nodeDisk, path, structural(24), { manifestRolloverBytes: 1 << 24 })
      expect(names.complaints).toEqual([])
      expect(names.named).toBeGreaterThan(10)
      expect(names.removed).toBeGreaterThan(5)
    }))

  it("salts: no two segments share one, so that no group of one proves anything in another", async () => {
    const disk = new SimulatedDisk()
    await audited(DiskSimulated.layer(disk), disk, "/db", writesOnly(25), keepLog)
    const salts = disk
      .list("/db")
      .filter((name) => name.endsWith(".log"))
      .map((name) => {
        const handle = disk.open(`/db/${name}`, "read")
        return Buffer.from(readSegmentHeader(handle, handle.path).salt).toString("hex")
      })
    expect(salts.length).toBeGreaterThan(2)
    expect(new Set(salts).size).toBe(salts.length)
  })

  it("system calls: what strace sees of the real disk, where there is a strace, is what was promised", () =>
    realDirectory(async (path) => {
      const marksPath = `${path}.marks`
      const output = `${path}.strace`
      const ran = spawnSync(
        systemCallTracer,
        ["-f", "-qq", "-y", "-s", "32", "-e", `trace=${tracedCalls}`, "-o", output, process.execPath, "--no-warnings", child, path, marksPath],
        { encoding: "utf8" }
      )
      if (ran.error !== undefined || ran.status !== 0) {
        // Not installed, or tracing is forbidden here: the tests above saw the file handles.
        expect(ran.error !== undefined || /ptrace|PTRACE|not permitted/.test(ran.stderr), ran.stderr).toBe(true)
        console.log("trace audit: no strace here")
        return
      }
      const { events, marks } = parseStrace(readFileSync(output, "utf8"), path, marksPath)
      const acknowledged = marks.filter(({ text }) => text.endsWith(" sync"))
      expect(marks.length).toBe(60)
      expect(acknowledged.length).toBeGreaterThan(40)
      for (const { order, text } of acknowledged) {
        // One write after the other: the last group before the answer is its own.
        const group = events.findLast(
          (event) => event.kind === "writev" && event.path.endsWith(".log") && event.length >= 2000 && event.length < 4096 && event.begin < order
        )
        expect(group !== undefined && isDurableAt(events, group, order), text).toBe(true)
      }
      const names = auditNames(events, nodeDisk, path)
      expect(names.complaints).toEqual([])
      expect(names.named).toBeGreaterThan(2)
      expect(names.renamed).toBe(1)
    }))
})
