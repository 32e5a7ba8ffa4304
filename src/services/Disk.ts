/**
 * Where the bytes are. `sync` gives plain synchronous calls and handles for code that must not pay for an Effect (hot reads, the step machines);
 * the Effect methods do the same without blocking the event loop. Both views see the same files, and one suite of tests runs over every layer.
 *
 * What every layer promises: `datasync` makes a file's bytes and length durable but not its name, `syncDirectory` the names in a directory but no
 * bytes; a rename is atomic; a removed file stays readable through handles that are open. Failures are `IoFailure` with the system's code.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { FileHandle, OpenMode, SyncDisk } from "../domain/disk/SyncDisk.ts"
import type { IoFailure } from "../domain/failures.ts"
import type { DirectoryLock } from "./DirectoryLock.ts"

export type DiskKind = "node" | "memory" | "simulated" | "faulty" | "tracing"

export type FileStat = NonNullable<ReturnType<SyncDisk["stat"]>>

export class Disk extends Context.Service<
  Disk,
  {
    readonly kind: DiskKind
    /** False where `datasync` cannot outlive the process: writes then report durability `"memory"`. */
    readonly durable: boolean
    /** True only where a worker thread that opens the same path through `node:fs` sees the same file. */
    readonly sharedWithWorkers: boolean
    /** The same disk, synchronously. */
    readonly sync: SyncDisk
    /** Takes the directory for one writer, synchronously; throws `LockFailure` when it is taken and `IoFailure` when that cannot be found out. */
    readonly lock: (directory: string) => DirectoryLock

    readonly open: (path: string, mode: OpenMode) => Effect.Effect<FileHandle, IoFailure>
    /**
     * Fills `into` from byte `position` and returns the count, which is short only at the end of the file.
     *
     * **Details** `into` belongs to the system until the effect ends. The call cannot be withdrawn: interruption waits for it.
     */
    readonly read: (handle: FileHandle, into: Uint8Array, position: number) => Effect.Effect<number, IoFailure>
    /**
     * Writes all buffers, one after the other, from byte `position`.
     *
     * **Details** The buffers belong to the system until the effect ends. The call cannot be withdrawn: interruption waits for it.
     * **Gotchas** After a failure any part of the bytes may have been written.
     */
    readonly writev: (handle: FileHandle, buffers: ReadonlyArray<Uint8Array>, position: number) => Effect.Effect<void, IoFailure>
    /**
     * Makes everything written to the file *before this effect began* durable; the call cannot be withdrawn, interruption waits for it.
     *
     * **Gotchas** After a failure the bytes may be readable and yet lost, and the next call may succeed: never call it again on that file.
     */
    readonly datasync: (handle: FileHandle) => Effect.Effect<void, IoFailure>
    /** Makes the creates, renames, links and removes done in the directory before this effect began durable. */
    readonly syncDirectory: (path: string) => Effect.Effect<void, IoFailure>
    readonly list: (directory: string) => Effect.Effect<ReadonlyArray<string>, IoFailure>
    /** `undefined` where nothing is there. */
    readonly stat: (path: string) => Effect.Effect<FileStat | undefined, IoFailure>
    readonly makeDirectory: (path: string) => Effect.Effect<void, IoFailure>
    readonly rename: (from: string, to: string) => Effect.Effect<void, IoFailure>
    readonly remove: (path: string) => Effect.Effect<void, IoFailure>
    readonly link: (from: string, to: string) => Effect.Effect<void, IoFailure>
  }
>()("lightning-db/services/Disk") {}
