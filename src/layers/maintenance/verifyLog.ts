import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Damage, IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import { encodeManifest } from "../../domain/manifest/manifestFile.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { SegmentMeta } from "../../domain/manifest/SegmentMeta.ts"
import { LogChain } from "../../domain/manifest/checkStructure.ts"
import { scanSegment } from "../../domain/wal/scanSegment.ts"
import { type SegmentExtent, type SegmentFacts, verifySegment } from "../../domain/wal/verifySegment.ts"
import type { Disk } from "../../services/Disk.ts"
import type { Manifest } from "../../services/Manifest.ts"
import type { Wal } from "../../services/Wal.ts"
import { codecs } from "../codecs.ts"
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

const attempt = <A>(run: () => A): Result.Result<A, IoFailure | Damage> => {
  try {
    return Result.succeed(run())
  } catch (cause) {
    if (cause instanceof IoFailure || cause instanceof Damage) return Result.fail(cause)
    throw cause
  }
}

/** Waits until so many bytes more may be read; always gives way to others. */
export type Pace = (bytes: number) => Effect.Effect<void>

/** Nobody is kept waiting, and nobody waits. */
export const noPace: Pace = () => Effect.yieldNow

/** The segment from its header to exactly the end of the extent; without one only the header. */
const verifyNamedSegment = (
  { directory, disk }: { readonly disk: Pick<Disk["Service"], "sync">; readonly directory: string },
  state: ManifestState,
  meta: SegmentMeta,
  extent: SegmentExtent | undefined,
  pace: Pace
): Effect.Effect<SegmentFacts | undefined, IoFailure | Damage> =>
  Effect.acquireUseRelease(
    Effect.suspend(() => Effect.fromResult(attempt(() => openSegment(disk.sync, directory, state, meta)))),
    ({ handle, header, path }) =>
      Effect.gen(function* () {
        if (extent === undefined) return undefined
        const source = { path, readAt: handle.readAt.bind(handle), sizeBytes: handle.sizeBytes.bind(handle) }
        const steps = verifySegment(crc32, codecs, header, source, extent)
        for (;;) {
          const step = yield* Effect.fromResult(attempt(() => steps.next()))
          if (step.done === true) return step.value
          yield* pace(step.value)
        }
      }),
    ({ handle }) => Effect.sync(() => handle.close())
  )

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
  onDamage?: (damage: Damage) => void,
  pace: Pace = noPace
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
          const { fileId, lengthBytes, state } = readManifest()
          // Whoever took the directory over has a manifest of its own.
          if (!manifest.stillOurs()) return
          const path = `${directory}/${fileName("manifest", fileId)}`
          if (lengthBytes === manifest.diskBytes()) {
            if (!sameState(state, manifest.state()))
              throw new Damage(path, 0, "Unexpected", "its edits make another state than the one that is in use")
            return
          }
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
    // One moment of all of it: what is let go of later is passed over, what comes later is not looked at.
    const state = manifest.state()
    const tip = wal.log.tip()
    const visible = wal.visibleSequence()
    const chain = new LogChain(state)
    const extents = new Map<number, SegmentExtent>([
      [tip.fileId, { lengthBytes: tip.endOffset, lastSum: tip.lastSum, basePosition: tip.basePosition }]
    ])
    for (const segment of wal.log.segments())
      extents.set(segment.fileId, { lengthBytes: segment.bytes, lastSum: segment.lastSum, basePosition: segment.basePosition })
    const logBytes = manifest.diskBytes()
    let segmentBytes = 0
    let logSegments = 0
    for (const meta of state.segments.values()) {
      const extent = extents.get(meta.fileId)
      const path = `${directory}/${fileName("log", meta.fileId)}`
      const verified = yield* Effect.result(
        Effect.flatMap(verifyNamedSegment(parts, state, meta, extent, pace), (facts) => {
          if (facts === undefined || extent === undefined) return Effect.void
          const { sealed } = meta
          const problem =
            (sealed !== undefined && (sealed.lengthBytes !== extent.lengthBytes || sealed.lastSum !== extent.lastSum)
              ? `sealed at ${sealed.lengthBytes} bytes, and ends at ${extent.lengthBytes}`
              : undefined) ??
            (meta.fileId === tip.fileId && facts.lastSequence !== undefined && facts.lastSequence !== visible
              ? `it ends with sequence ${facts.lastSequence}, and ${visible} is visible`
              : undefined) ??
            chain.add(meta, extent.basePosition, facts)
          return problem === undefined ? Effect.void : Effect.fail(new Damage(path, 0, "Unexpected", problem))
        })
      )
      if (Result.isFailure(verified)) {
        chain.skip()
        if (!wasLetGo(verified.failure, () => manifest.state().segments.has(meta.fileId))) yield* orOn(Effect.fail(verified.failure), onDamage)
      }
      if (extent !== undefined) logSegments++
      segmentBytes += extent?.lengthBytes ?? 0
      yield* Effect.yieldNow
    }
    return { logSegments, logBytes: logBytes + segmentBytes }
  })
}

/** Whether two states are one and the same, member by member. */
const sameState = (a: ManifestState, b: ManifestState): boolean => {
  const [one, other] = [encodeManifest(crc32, 1, a).bytes, encodeManifest(crc32, 1, b).bytes]
  return one.length === other.length && one.every((byte, i) => byte === other[i])
}

/**
 * The same for a reader, by the rules of its open: of what a writer may be writing at this moment, the end is where the last valid group ends. `take` opens the files of the
 * version that is found.
 */
export const verifyReaderLog = (
  parts: { readonly disk: Pick<Disk["Service"], "sync">; readonly directory: string; readonly memtableBytes: number },
  take: (state: ManifestState) => void,
  onDamage?: (damage: Damage) => void,
  pace: Pace = noPace
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
      const verified = yield* Effect.result(verifyNamedSegment(parts, state, meta, { ...sealed, basePosition }, pace))
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
