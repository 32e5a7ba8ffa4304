/**
 * Any disk, with a record of what was asked of it and in which order. Beginning and end are numbered apart: a write that ends while a datasync is running is
 * not covered by it, and an answer given before the datasync ended came too early. The audit at the end of the file decides both.
 */
import type { FileHandle, OpenMode, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"
import type { DiskOperationKind } from "./SimulatedDisk.ts"

export interface TraceEvent {
  readonly index: number
  readonly kind: DiskOperationKind
  /** The path a file was opened under; of a rename or link, the new name. */
  readonly path: string
  /** First byte of a read or write, new length of a truncate, otherwise 0. */
  readonly position: number
  readonly length: number
  /** Order numbers, shared by all events and by `now`. `end` is -1 while it runs. */
  readonly begin: number
  readonly end: number
  /** The code it failed with. */
  readonly failed: string | undefined
}

type Writable<A> = { -readonly [K in keyof A]: A[K] }

/** The record. One may be shared by several disks, and by whoever notes when it answered. */
export class DiskTracer {
  readonly #events: Array<Writable<TraceEvent>> = []
  #order = 0

  get events(): ReadonlyArray<TraceEvent> {
    return this.#events
  }

  /** An order number for something that happens now, such as an acknowledgement. */
  now(): number {
    return this.#order++
  }

  /** Notes a beginning; the result notes the end, once. */
  begin(kind: DiskOperationKind, path: string, position = 0, length = 0): (failure?: unknown) => void {
    const event: Writable<TraceEvent> = { index: this.#events.length, kind, path, position, length, begin: this.now(), end: -1, failed: undefined }
    this.#events.push(event)
    return (failure) => {
      event.end = this.now()
      if (failure !== undefined) event.failed = failure instanceof IoFailure ? failure.code : String(failure)
    }
  }

  /** Runs `run` between a beginning and an end. */
  during<A>(kind: DiskOperationKind, path: string, position: number, length: number, run: () => A): A {
    const end = this.begin(kind, path, position, length)
    try {
      const result = run()
      end()
      return result
    } catch (cause) {
      end(cause)
      throw cause
    }
  }
}

export class TracingDisk implements SyncDisk {
  readonly inner: SyncDisk
  readonly tracer: DiskTracer

  constructor(inner: SyncDisk, tracer = new DiskTracer()) {
    this.inner = inner
    this.tracer = tracer
  }

  open(path: string, mode: OpenMode): TracingFileHandle {
    return this.tracer.during("open", path, 0, 0, () => new TracingFileHandle(this.tracer, this.inner.open(path, mode)))
  }

  list(directory: string): ReadonlyArray<string> {
    return this.tracer.during("list", directory, 0, 0, () => this.inner.list(directory))
  }

  stat(path: string): ReturnType<SyncDisk["stat"]> {
    return this.tracer.during("stat", path, 0, 0, () => this.inner.stat(path))
  }

  makeDirectory(path: string): void {
    this.tracer.during("makeDirectory", path, 0, 0, () => this.inner.makeDirectory(path))
  }

  rename(from: string, to: string): void {
    this.tracer.during("rename", to, 0, 0, () => this.inner.rename(from, to))
  }

  remove(path: string): void {
    this.tracer.during("remove", path, 0, 0, () => this.inner.remove(path))
  }

  link(from: string, to: string): void {
    this.tracer.during("link", to, 0, 0, () => this.inner.link(from, to))
  }

  syncDirectory(path: string): void {
    this.tracer.during("syncDirectory", path, 0, 0, () => this.inner.syncDirectory(path))
  }

  freeBytes(path: string): number | undefined {
    return this.inner.freeBytes?.(path)
  }
}

export class TracingFileHandle implements FileHandle {
  readonly path: string
  readonly inner: FileHandle
  readonly #tracer: DiskTracer

  constructor(tracer: DiskTracer, inner: FileHandle) {
    this.path = inner.path
    this.inner = inner
    this.#tracer = tracer
  }

  readAt(into: Uint8Array, position: number): number {
    return this.#tracer.during("readAt", this.path, position, into.length, () => this.inner.readAt(into, position))
  }

  writev(buffers: ReadonlyArray<Uint8Array>, position: number): void {
    this.#tracer.during("writev", this.path, position, totalBytes(buffers), () => this.inner.writev(buffers, position))
  }

  datasync(): void {
    this.#tracer.during("datasync", this.path, 0, 0, () => this.inner.datasync())
  }

  sizeBytes(): number {
    return this.#tracer.during("sizeBytes", this.path, 0, 0, () => this.inner.sizeBytes())
  }

  truncate(lengthBytes: number): void {
    this.#tracer.during("truncate", this.path, lengthBytes, 0, () => this.inner.truncate(lengthBytes))
  }

  close(): void {
    this.inner.close()
  }
}

export const totalBytes = (buffers: ReadonlyArray<Uint8Array>): number => {
  let total = 0
  for (const buffer of buffers) total += buffer.length
  return total
}

/** Whether `write` was durable at order number `at`: a datasync of the file began after the write had ended, and ended well before `at`. */
export const isDurableAt = (events: ReadonlyArray<TraceEvent>, write: TraceEvent, at: number): boolean =>
  write.end >= 0 &&
  write.failed === undefined &&
  events.some(
    (event) =>
      event.kind === "datasync" &&
      event.path === write.path &&
      event.failed === undefined &&
      event.begin > write.end &&
      event.end >= 0 &&
      event.end < at
  )

/** The writes that touch bytes [`start`, `end`) of the file, begun before order number `at`, and not durable then: none, if an answer at `at` was honest. */
export const notDurableAt = (events: ReadonlyArray<TraceEvent>, path: string, start: number, end: number, at: number): ReadonlyArray<TraceEvent> =>
  events.filter(
    (event) =>
      event.kind === "writev" &&
      event.path === path &&
      event.begin < at &&
      event.position < end &&
      event.position + event.length > start &&
      !isDurableAt(events, event, at)
  )
