import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as DiskSimulated from "../../src/layers/disk/DiskSimulated.ts"
import { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { Disk } from "../../src/services/Disk.ts"

type Call = "read" | "writev" | "datasync" | "syncDirectory"

/** A disk whose calls of one kind, on files whose path matches, do not come back until they are released; interruption waits for them, as it does for the system's. */
export class HangingDisk {
  readonly simulated = new SimulatedDisk()
  private wanted: { readonly call: Call; readonly path: RegExp } | undefined
  private readonly gate = Latch.makeUnsafe(false)
  /** Calls that hang now. */
  hanging = 0

  readonly layer: Layer.Layer<Disk> = Layer.sync(Disk, () => {
    const inner = DiskSimulated.make(this.simulated)
    const held = <A, E>(call: Call, path: string, run: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        if (this.wanted?.call !== call || !this.wanted.path.test(path)) return run
        this.hanging++
        return Effect.uninterruptible(
          Effect.andThen(
            this.gate.await,
            Effect.suspend(() => {
              this.hanging--
              return run
            })
          )
        )
      })
    return {
      ...inner,
      read: (handle, into, position) => held("read", handle.path, inner.read(handle, into, position)),
      writev: (handle, buffers, position) => held("writev", handle.path, inner.writev(handle, buffers, position)),
      datasync: (handle) => held("datasync", handle.path, inner.datasync(handle)),
      syncDirectory: (path) => held("syncDirectory", path, inner.syncDirectory(path))
    }
  })

  hang(call: Call, path: RegExp): void {
    this.wanted = { call, path }
    this.gate.closeUnsafe()
  }

  release(): void {
    this.wanted = undefined
    this.gate.openUnsafe()
  }
}
