/** `Disk` over another `Disk`, failing by rules. Work never leaves the main thread on it: a worker would open the files past the rules. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { FileHandle } from "../../domain/disk/SyncDisk.ts"
import type { IoFailure } from "../../domain/failures.ts"
import { Disk } from "../../services/Disk.ts"
import { FaultyDisk, FaultyFileHandle, type FaultOperation, type FaultRule, lengthOf, type Strike, type Struck } from "./FaultyDisk.ts"
import { attemptIo } from "./fromSyncDisk.ts"

const own = (handle: FileHandle): FaultyFileHandle => {
  if (handle instanceof FaultyFileHandle) return handle
  throw new TypeError(`${handle.path} was opened by another disk`)
}

/** Asks the rules when the effect begins; what they delay cannot be withdrawn, as the call itself could not. */
const struckCall = <A>(consult: () => Struck, run: (struck: Struck) => Effect.Effect<A, IoFailure>): Effect.Effect<A, IoFailure> =>
  Effect.suspend(() => {
    const struck = consult()
    if (struck.beforeMs === 0 && struck.afterMs === 0) return run(struck)
    const late = Effect.andThen(
      Effect.sleep(struck.beforeMs),
      Effect.suspend(() => run(struck))
    )
    return Effect.uninterruptible(struck.afterMs === 0 ? late : Effect.ensuring(late, Effect.sleep(struck.afterMs)))
  })

/** The service of `faulty`, whose `inner` must be the synchronous side of `inner`. */
export const make = (inner: Disk["Service"], faulty: FaultyDisk): Disk["Service"] => {
  const on = <A>(operation: FaultOperation, path: string, run: (perform: boolean) => Effect.Effect<A, IoFailure>): Effect.Effect<A, IoFailure> =>
    struckCall(
      () => faulty.consult(operation, path),
      (struck) =>
        Effect.flatMap(
          attemptIo(() => faulty.decide(struck, operation, path)),
          run
        )
    )
  const always =
    <A>(run: Effect.Effect<A, IoFailure>) =>
    (): Effect.Effect<A, IoFailure> =>
      run
  const unlessLie = (run: Effect.Effect<void, IoFailure>) => (perform: boolean) => (perform ? run : Effect.void)
  return {
    ...inner,
    kind: "faulty",
    sharedWithWorkers: false,
    sync: faulty,
    lock: (directory) => {
      faulty.admit("lock", directory)
      return inner.lock(directory)
    },
    open: (path, mode) => on("open", path, always(Effect.map(inner.open(path, mode), (handle) => new FaultyFileHandle(faulty, handle)))),
    list: (directory) => on("list", directory, always(inner.list(directory))),
    stat: (path) => on("stat", path, always(inner.stat(path))),
    makeDirectory: (path) => on("makeDirectory", path, unlessLie(inner.makeDirectory(path))),
    rename: (from, to) =>
      on(
        "rename",
        from,
        unlessLie(
          Effect.suspend(() => {
            const noted = faulty.renaming(from, to)
            return Effect.tap(inner.rename(from, to), () => Effect.sync(noted))
          })
        )
      ),
    remove: (path) => on("remove", path, unlessLie(Effect.tap(inner.remove(path), () => Effect.sync(() => faulty.removed(path))))),
    link: (from, to) => on("link", from, unlessLie(inner.link(from, to))),
    read: (handle, into, position) =>
      struckCall(
        () => own(handle).consult("read", position, into.length),
        (struck) =>
          Effect.flatMap(
            attemptIo(() => own(handle).planRead(struck, "read", into, position)),
            (plan) => Effect.flatMap(inner.read(own(handle).inner, plan.into, position), (count) => attemptIo(() => plan.finish(count)))
          )
      ),
    writev: (handle, buffers, position) =>
      struckCall(
        () => own(handle).consult("writev", position, lengthOf(buffers)),
        (struck) =>
          Effect.flatMap(
            attemptIo(() => own(handle).planWrite(struck, buffers, position)),
            (plan) => {
              const written = inner.writev(own(handle).inner, plan.buffers, plan.position)
              return plan.failure === undefined ? written : Effect.andThen(written, Effect.fail(plan.failure))
            }
          )
      ),
    datasync: (handle) =>
      struckCall(
        () => own(handle).consult("datasync"),
        (struck) =>
          Effect.flatMap(
            attemptIo(() => own(handle).planDatasync(struck)),
            (perform) => (perform ? inner.datasync(own(handle).inner) : Effect.void)
          )
      ),
    syncDirectory: (path) => on("syncDirectory", path, unlessLie(inner.syncDirectory(path)))
  }
}

/** The disk below, failing by `rules`; `onStrike` is told of every strike. */
export const layer = (rules: ReadonlyArray<FaultRule>, onStrike?: (strike: Strike) => void): Layer.Layer<Disk, never, Disk> =>
  Layer.effect(
    Disk,
    Effect.map(Disk, (inner) => make(inner, new FaultyDisk(inner.sync, rules, onStrike)))
  )

/** The disk below, failing as `control` decides at any time: rules are added to the `FaultyDisk` it is handed. */
export const layerWith = (control: (faulty: FaultyDisk) => void): Layer.Layer<Disk, never, Disk> =>
  Layer.effect(
    Disk,
    Effect.map(Disk, (inner) => {
      const faulty = new FaultyDisk(inner.sync)
      control(faulty)
      return make(inner, faulty)
    })
  )
