import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { SegmentMeta } from "../../domain/manifest/SegmentMeta.ts"
import { scanSegment } from "../../domain/wal/scanSegment.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Manifest } from "../../services/Manifest.ts"
import type { Wal } from "../../services/Wal.ts"
import { crc32 } from "../crc32.ts"
import { goneDatabase, NoDatabase, openReadOnly } from "../readOnly/openReadOnly.ts"
import { readCurrentManifest } from "../recovery/readState.ts"
import { openSegment } from "../recovery/scanLog.ts"

/** What was read beside tables and value files. */
export interface LogVerification {
  readonly logSegments: number
  /** Of the log and the manifest. */
  readonly logBytes: number
}

interface Extent {
  /** Of the file, to the end of the last group that counts. */
  readonly lengthBytes: number
  readonly lastSum: number
  readonly basePosition: number
}

const attempt = <A>(run: () => A): Result.Result<A, IoFailure | Damage> => {
  try {
    return Result.succeed(run())
  } catch (cause) {
    if (cause instanceof IoFailure || cause instanceof Damage) return Result.fail(cause)
    throw cause
  }
}

/** Valid groups from the header to exactly the end of the extent; of a segment without one only the header. Throws `Damage`, `IoFailure`. */
const verifySegment = (
  disk: Pick<Disk["Service"], "sync">,
  directory: string,
  state: ManifestState,
  meta: SegmentMeta,
  extent: Extent | undefined
): void => {
  const { handle, header, path } = openSegment(disk.sync, directory, state, meta)
  try {
    if (extent === undefined) return
    const { basePosition, ...sealed } = extent
    const source = { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) }
    scanSegment(crc32, header, source, { expectedEpoch: meta.epoch, basePosition, sealed })
  } finally {
    handle.close()
  }
}

/** Damage is told to who wants to go on behind it; all else ends the verification. */
const orOn = (
  check: Effect.Effect<void, IoFailure | Damage>,
  onDamage: ((damage: Damage) => void) | undefined
): Effect.Effect<void, IoFailure | Damage> =>
  onDamage === undefined
    ? check
    : Effect.catchIf(
        check,
        (error) => error instanceof Damage,
        (damage) => Effect.sync(() => onDamage(damage))
      )

/**
 * Every named segment but one, each by itself, after that one was found damaged: without the chain from one to the next, and an unsealed one only as far as what it holds proves
 * that it went. Throws `IoFailure`.
 */
export const verifySegments = (
  { directory, disk }: { readonly disk: Pick<Disk["Service"], "sync">; readonly directory: string },
  state: ManifestState,
  damagedPath: string,
  onDamage: (damage: Damage) => void
): LogVerification => {
  let logSegments = 0
  let logBytes = 0
  for (const meta of state.segments.values()) {
    const path = `${directory}/${fileName("log", meta.fileId)}`
    if (path === damagedPath) continue
    const verified = attempt(() => {
      const { handle, header } = openSegment(disk.sync, directory, state, meta)
      try {
        const source = { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) }
        const { basePosition, epoch: expectedEpoch, floorPosition, sealed } = meta
        return scanSegment(crc32, header, source, { expectedEpoch, basePosition, floorPosition, sealed }).endOffset
      } finally {
        handle.close()
      }
    })
    if (Result.isSuccess(verified)) {
      logSegments++
      logBytes += verified.success
    } else if (verified.failure instanceof Damage) onDamage(verified.failure)
    else throw verified.failure
  }
  return { logSegments, logBytes }
}

/** Whether the segment is gone because nobody needed it any more. */
const wasLetGo = (failure: Damage | IoFailure, isNamed: () => boolean): boolean =>
  (failure instanceof Damage ? failure.reason === "Missing" : failure.code === "ENOENT") && !isNamed()

/**
 * The manifest as it lies on disk, against the one in memory; and every segment of the log: as far as it is visible, nothing of it may be damaged, whereas an open would have to ask
 * what of its end a crash may have torn.
 */
export const verifyOwnLog = (
  parts: {
    readonly disk: Disk["Service"]
    readonly directory: string
    readonly manifest: Manifest["Service"]
    readonly wal: Wal["Service"]
  },
  onDamage?: (damage: Damage) => void
): Effect.Effect<LogVerification, IoFailure | Damage> => {
  const { directory, disk, manifest, wal } = parts
  const readManifest = () => {
    const content = readCurrentManifest(disk.sync, directory, "read")
    if (content === undefined) throw goneDatabase(directory)
    return content
  }
  const verifyManifest = Effect.gen(function* () {
    let read: Result.Result<unknown, IoFailure | Damage> | undefined
    // Between two edits: one that is on its way would look torn.
    yield* Effect.ignore(
      manifest.commit(() => {
        read = attempt(() => {
          const { fileId, lengthBytes } = readManifest()
          // Whoever took the directory over has a manifest of its own.
          if (lengthBytes === manifest.diskBytes() || !manifest.stillOurs()) return
          const path = `${directory}/${fileName("manifest", fileId)}`
          throw new Damage(path, lengthBytes, "ChecksumMismatch", `its edits were durable through ${manifest.diskBytes()}`)
        })
        return undefined
      })
    )
    // One that cannot be written any more has no edits on their way, but may have a torn one at its end.
    yield* Effect.fromResult(read ?? attempt(readManifest))
  })
  return Effect.gen(function* () {
    yield* orOn(verifyManifest, onDamage)
    const tip = wal.log.tip()
    const extents = new Map<number, Extent>([[tip.fileId, { lengthBytes: tip.endOffset, lastSum: tip.lastSum, basePosition: tip.basePosition }]])
    for (const segment of wal.log.segments())
      extents.set(segment.fileId, { lengthBytes: segment.bytes, lastSum: segment.lastSum, basePosition: segment.basePosition })
    let logBytes = manifest.diskBytes()
    let logSegments = 0
    for (const meta of manifest.state().segments.values()) {
      const extent = extents.get(meta.fileId)
      const verified = attempt(() => verifySegment(disk, directory, manifest.state(), meta, extent))
      if (Result.isFailure(verified) && !wasLetGo(verified.failure, () => manifest.state().segments.has(meta.fileId)))
        yield* orOn(Effect.fail(verified.failure), onDamage)
      if (extent !== undefined) logSegments++
      logBytes += extent?.lengthBytes ?? 0
      yield* Effect.yieldNow
    }
    return { logSegments, logBytes }
  })
}

/**
 * The same for a reader, by the rules of its open: of what a writer may be writing at this moment, the end is where the last valid group ends. `take` opens the files of the
 * version that is found.
 */
export const verifyReaderLog = (
  parts: { readonly disk: Pick<Disk["Service"], "sync">; readonly directory: string; readonly memtableBytes: number },
  take: (state: ManifestState) => void,
  onDamage?: (damage: Damage) => void
): Effect.Effect<{ readonly log: LogVerification; readonly state: ManifestState }, IoFailure | Damage> => {
  const { directory, disk, memtableBytes } = parts
  const open = () => {
    try {
      return openReadOnly(disk.sync, directory, memtableBytes, take)
    } catch (cause) {
      if (cause instanceof NoDatabase) throw goneDatabase(directory)
      throw cause
    }
  }
  return Effect.gen(function* () {
    const { replayedBytes, state } = yield* Effect.fromResult(attempt(open))
    const namedNow = () => readCurrentManifest(disk.sync, directory, "read")?.state.segments
    let logSegments = 0
    let logBytes = replayedBytes
    for (const meta of state.segments.values()) {
      const { basePosition, sealed } = meta
      logSegments++
      // The others were read by the open.
      if (sealed === undefined || basePosition === undefined || sealed.lastSequence > state.flushedThrough.sequence) continue
      const verified = attempt(() => verifySegment(disk, directory, state, meta, { ...sealed, basePosition }))
      if (Result.isFailure(verified)) {
        const named = yield* Effect.fromResult(attempt(namedNow))
        if (!wasLetGo(verified.failure, () => named?.has(meta.fileId) === true)) yield* orOn(Effect.fail(verified.failure), onDamage)
        continue
      }
      logBytes += sealed.lengthBytes
      yield* Effect.yieldNow
    }
    return { log: { logSegments, logBytes }, state }
  })
}
