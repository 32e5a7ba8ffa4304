import * as Effect from "effect/Effect"
import { isDiskFull } from "../../domain/disk/diskFull.ts"
import type { IoFailure } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import { decodeSegmentHeader, encodeSegmentHeader, type SegmentHeader } from "../../domain/wal/SegmentHeader.ts"
import type { Disk } from "../../services/Disk.ts"
import type { EngineClock } from "../../services/EngineClock.ts"
import type { Entropy } from "../../services/Entropy.ts"
import type { Manifest, ManifestError } from "../../services/Manifest.ts"
import { crc32 } from "../crc32.ts"
import { attemptIo } from "../disk/fromSyncDisk.ts"
import type { LogSegment } from "../../services/LogSegment.ts"

const zeroChunk = new Uint8Array(1 << 20)

/**
 * Creates the next segment ahead of need: header datasynced, directory synced, and only then named in a durable manifest edit. A group is never written into a segment the
 * manifest does not name. Where syncs are frequent it is then filled with zeros, which spare each later sync the growth of the file.
 */
export const prepareSegment = (input: {
  readonly disk: Disk["Service"]
  readonly manifest: Manifest["Service"]
  readonly entropy: Entropy["Service"]
  readonly clock: EngineClock["Service"]
  readonly directory: string
  /** The current segment's header: the next one shares database, epoch and alignment. */
  readonly template: SegmentHeader
  /** How many bytes after the header to fill with zeros. */
  readonly zeroBytes: number
}): Effect.Effect<LogSegment, IoFailure | ManifestError> =>
  Effect.gen(function* () {
    const { clock, directory, disk, entropy, manifest, template, zeroBytes } = input
    const [fileId] = yield* manifest.takeFileIds(1)
    const bytes = encodeSegmentHeader(crc32, {
      uuid: template.uuid,
      fileId: fileId!,
      epoch: template.epoch,
      salt: entropy.bytes(16),
      alignment: template.alignment
    })
    const path = `${directory}/${fileName("log", fileId!)}`
    const header = decodeSegmentHeader(crc32, path, bytes)
    const handle = yield* attemptIo(() => disk.sync.open(path, "create"))
    const abandon = Effect.andThen(
      Effect.sync(() => handle.close()),
      Effect.ignore(disk.remove(path))
    )
    yield* Effect.gen(function* () {
      yield* disk.writev(handle, [bytes], 0)
      yield* disk.datasync(handle)
      yield* disk.syncDirectory(directory)
    }).pipe(Effect.onError(() => abandon))
    yield* manifest
      .commit(() => ({
        addSegments: [{ fileId: fileId!, headerSum: header.sum, epoch: header.epoch }],
        engineTimeMs: clock.nowMs()
      }))
      // The file stays: the manifest may name it.
      .pipe(Effect.onError(() => Effect.sync(() => handle.close())))
    // Zeros end a log as the end of its file does, so a crash in between changes nothing; nor does it matter where the disk has no room for them: then they leave it to others.
    yield* Effect.gen(function* () {
      for (let at = 0; at < zeroBytes; at += zeroChunk.length) {
        yield* disk.writev(handle, [zeroChunk.subarray(0, Math.min(zeroChunk.length, zeroBytes - at))], bytes.length + at)
      }
    }).pipe(
      Effect.tapError((error) => (isDiskFull(error) ? attemptIo(() => handle.truncate(bytes.length)) : Effect.void)),
      Effect.ignore
    )
    // A handle whose sync failed must not be synced again: such a segment is not used.
    if (zeroBytes > 0) yield* disk.datasync(handle).pipe(Effect.onError(() => Effect.sync(() => handle.close())))
    return {
      fileId: fileId!,
      handle,
      header,
      headerBytes: bytes.length,
      basePosition: 0,
      position: 0,
      lastSum: 0,
      lastSequence: 0,
      firstSequence: 0,
      lastCommitMs: 0
    }
  })
