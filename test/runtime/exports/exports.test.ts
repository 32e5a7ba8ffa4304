import * as Layer from "effect/Layer"
import { describe, expect, it } from "vitest"
import * as errors from "../../../src/domain/errors.ts"
import * as lightning from "../../../src/runtime/exports/index.ts"
import * as testing from "../../../src/runtime/exports/testing.ts"

const named = (module: object): Array<string> => Object.keys(module).sort()

describe("lightning-db", () => {
  it("exports what the documentation names, every error, and nothing by accident", () => {
    // A class of an error has the tag it gives its errors as its name.
    const classes = Object.entries(errors)
      .filter(([name, value]) => /^[A-Z]/.test(name) && typeof value === "function")
      .map(([name]) => name)
    expect(classes.length).toBeGreaterThan(20)
    expect(named(lightning)).toEqual(
      [
        ...classes,
        "Damage",
        "Database",
        "Disk",
        "DiskMemory",
        "DiskNode",
        "EventStreams",
        "IoFailure",
        "LightningDb",
        "LockFailure",
        "Projection",
        "Versionstamp",
        "WorkerDied",
        "Workers",
        "WorkersInProcess",
        "WorkersThreads",
        "severityOf",
        "severityRowOf",
        "workerEntryUrl"
      ].sort()
    )
    expect(named(lightning.LightningDb)).toEqual([
      "layer",
      "layerConfig",
      "layerCore",
      "layerMemory",
      "open",
      "repair",
      "repairCore",
      "restore",
      "restorePromise",
      "rollBack",
      "rollBackPromise",
      "tag"
    ])
  })

  it("has a testing entry whose disks go under layerCore", () => {
    expect(named(testing)).toEqual([
      "CrashReplayer",
      "DiskFaulty",
      "DiskMemory",
      "DiskSimulated",
      "DiskTracer",
      "DiskTracing",
      "Entropy",
      "FaultyDisk",
      "MemoryDisk",
      "SimulatedCrash",
      "SimulatedDisk",
      "Simulation",
      "WorkersInProcess",
      "crashStateAt",
      "drawInt",
      "isDurableAt",
      "layerEntropySeeded",
      "notDurableAt",
      "seededPrng"
    ])
    const disk = testing.DiskTracing.layer(new testing.DiskTracer()).pipe(Layer.provide(testing.DiskMemory.layer))
    const db: Layer.Layer<lightning.Database, lightning.OpenError> = lightning.LightningDb.layerCore(
      { path: "/db" },
      testing.layerEntropySeeded(1)
    ).pipe(Layer.provide(testing.WorkersInProcess.layer), Layer.provide(disk))
    expect(Layer.isLayer(db)).toBe(true)
  })
})
