import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Disk as DiskService } from "../../../services/Disk.ts"
import type { RestorePoint } from "../../../services/RestorePoints.ts"
import { explain } from "../explain.ts"
import { escapeText } from "../format/bytesText.ts"
import { formatBytes, formatCount, formatNoun } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { Output } from "../Output.ts"
import { openReader, printResult, type Shared } from "../shared.ts"
import { showVerification } from "./verify.ts"

interface PointsFlags {
  readonly dir: Option.Option<string>
}

/** What the verbs need of the engine, without opening the database: it may be damaged, or gone. */
const loadPoints = Effect.fnUntraced(function* (shared: Shared, { dir }: PointsFlags) {
  const [directory, verifying, node, disk, all] = yield* Effect.promise(() =>
    Promise.all([
      import("../../../layers/restorePoints/pointDirectory.ts"),
      import("../../../layers/restorePoints/makeRestorePoints.ts"),
      import("../../../layers/disk/DiskNode.ts"),
      import("../../../services/Disk.ts"),
      import("../../../layers/maintenance/verifyAll.ts")
    ])
  )
  const points = Option.getOrElse(dir, () => directory.pointsBeside(shared.path))
  const service: DiskService["Service"] = yield* Effect.provide(disk.Disk, node.layer)
  const restorePoints = yield* verifying.makeRestorePoints({
    disk: service,
    points,
    memtableBytes,
    nowMs: () => 0,
    lineageId: () => new Uint8Array(16),
    checkpoint: () => Effect.die("nothing is open"),
    guarded: (run) => run,
    verifying: (run) => run
  })
  return {
    points,
    restorePoints,
    verifyAll: (name: string) => (watch: Parameters<typeof all.verifyAll>[0]) =>
      Effect.mapError(
        all.verifyAll(watch, (found) => verifying.verifyPoint({ disk: service, points, memtableBytes }, name, found)),
        (error) => explain(verifying.readProblem(error))
      )
  }
})

/** Of the memtables that a log is replayed into. */
const memtableBytes = 16 << 20

export const momentText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z")

export const pointJson = ({ bytes, createdAtMs, files, id, name, path, reason, sequence, version }: RestorePoint) => ({
  id,
  name,
  version,
  path,
  sequence,
  createdAt: new Date(createdAtMs).toISOString(),
  reason,
  files,
  bytes
})

export const listPoints = Effect.fnUntraced(function* (shared: Shared, flags: PointsFlags) {
  const output = yield* Output
  const { points, restorePoints } = yield* loadPoints(shared, flags)
  const list = yield* Effect.mapError(restorePoints.restorePoints, explain)
  const rows = list.points.map((point) => [
    point.id,
    momentText(point.createdAtMs),
    formatCount(point.sequence),
    formatBytes(point.bytes),
    escapeText(point.reason)
  ])
  if (!shared.json && rows.length === 0 && list.damaged.length === 0) {
    yield* output.note(`There are no restore points in ${points}. \`lightning points create <name>\` makes one.`)
    return
  }
  const table = formatTable([["name", "made", "sequence", "size", "reason"], ...rows], ["left", "left", "right", "right"]).map((line) =>
    line.trimEnd()
  )
  yield* printResult(shared, table, {
    directory: points,
    points: list.points.map(pointJson),
    damaged: list.damaged.map(({ error, id, path }) => ({ id, path, tag: error._tag, message: error.message }))
  })
  const [first] = list.damaged
  if (first !== undefined) return yield* explain(first.error)
})

export const createPoint = Effect.fnUntraced(function* (
  shared: Shared,
  flags: PointsFlags & { readonly name: string; readonly reason: Option.Option<string>; readonly keep: Option.Option<number> }
) {
  const { db } = yield* openReader({ ...shared, keyspace: Option.none() }, Option.isSome(flags.dir) ? { checkpoints: flags.dir.value } : {})
  const point = yield* Effect.mapError(
    db.createRestorePoint({
      name: flags.name,
      ...(Option.isSome(flags.reason) ? { reason: flags.reason.value } : {}),
      ...(Option.isSome(flags.keep) ? { keep: flags.keep.value } : {})
    }),
    explain
  )
  yield* printResult(
    shared,
    [
      `made restore point ${point.id} of ${shared.path} as of sequence ${formatCount(point.sequence)}: ${formatNoun(point.files, "file")}, ${formatBytes(point.bytes)}`
    ],
    pointJson(point)
  )
})

export const verifyPoint = Effect.fnUntraced(function* (shared: Shared, flags: PointsFlags & { readonly name: string }) {
  const { verifyAll } = yield* loadPoints(shared, flags)
  yield* showVerification(shared, `restore point ${flags.name}`, verifyAll(flags.name))
})

export const removePoint = Effect.fnUntraced(function* (shared: Shared, flags: PointsFlags & { readonly name: string }) {
  const { restorePoints } = yield* loadPoints(shared, flags)
  yield* Effect.mapError(restorePoints.removeRestorePoint(flags.name), explain)
  yield* printResult(shared, [`removed restore point ${flags.name}`], { id: flags.name, removed: true })
})
