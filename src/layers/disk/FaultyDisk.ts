/**
 * Any disk, made to fail by rules: the nth matching operation fails with a code, reads short, reads a flipped bit, or lies that it was done. Each rule
 * counts its matches and its strikes, so that a test can see that what it prepared did happen.
 */
import type { FileHandle, OpenMode, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"
import type { DiskOperationKind } from "./SimulatedDisk.ts"

export type Fault =
  /** Throws `IoFailure` with this code; of a write the first `afterBytes` are done first. A failed datasync of a simulated file loses what it covered. */
  | { readonly code: string; readonly afterBytes?: number }
  /** A read returns at most this many bytes, as if the file ended there. */
  | { readonly shortRead: number }
  /** A read that covers byte `offset` of the file sees bit `bit` of it flipped; the file is left as it is. */
  | { readonly bitFlip: { readonly offset: number; readonly bit: number } }
  /** The operation reports success and does nothing: a lost write, or, for "datasync" and "syncDirectory", a sync that was never done. */
  | { readonly lieOnWrite: true }

export interface FaultRule {
  /** All given parts must match; `lieOnWrite` without an operation means "writev", `shortRead` and `bitFlip` strike reads alone. */
  readonly match: { readonly operation?: DiskOperationKind; readonly path?: RegExp }
  /** The first match that is struck, counted from 1 (the default). */
  readonly nth?: number
  /** How many matches are struck from there on: by default 1 where `nth` is given, otherwise all. */
  readonly times?: number
  readonly fault: Fault
}

interface Counted {
  readonly rule: FaultRule
  matches: number
  strikes: number
}

/** A handle that has a say in what a failed sync means (`SimulatedFileHandle`). */
interface LosesOnFailedSync {
  readonly failDatasync: () => void
}

const losesOnFailedSync = (handle: FileHandle): handle is FileHandle & LosesOnFailedSync =>
  "failDatasync" in handle && typeof handle.failDatasync === "function"

export class FaultyDisk implements SyncDisk {
  readonly inner: SyncDisk
  #rules: Array<Counted> = []

  constructor(inner: SyncDisk, rules: ReadonlyArray<FaultRule> = []) {
    this.inner = inner
    for (const rule of rules) this.add(rule)
  }

  add(rule: FaultRule): void {
    this.#rules.push({ rule, matches: 0, strikes: 0 })
  }

  /** The disk works again; counts are forgotten. */
  clear(): void {
    this.#rules = []
  }

  /** How often `rule` has struck. */
  strikes(rule: FaultRule): number {
    return this.#rules.find((counted) => counted.rule === rule)?.strikes ?? 0
  }

  /** Counts the operation against every rule and returns the fault of the first that strikes. */
  strike(kind: DiskOperationKind, path: string, position = 0, bytes = 0): Fault | undefined {
    let struck: Fault | undefined
    for (const counted of this.#rules) {
      if (!matches(counted.rule, kind, path, position, bytes)) continue
      counted.matches++
      const first = counted.rule.nth ?? 1
      const times = counted.rule.times ?? (counted.rule.nth === undefined ? Infinity : 1)
      if (struck !== undefined || counted.matches < first || counted.matches >= first + times) continue
      counted.strikes++
      struck = counted.rule.fault
    }
    return struck
  }

  /** Throws if a rule says so; otherwise whether the operation is to be done. */
  admit(kind: DiskOperationKind, path: string): boolean {
    const fault = this.strike(kind, path)
    if (fault === undefined) return true
    if ("code" in fault) throw new IoFailure(kind, path, fault.code)
    return !("lieOnWrite" in fault)
  }

  open(path: string, mode: OpenMode): FaultyFileHandle {
    this.admit("open", path)
    return new FaultyFileHandle(this, this.inner.open(path, mode))
  }

  list(directory: string): ReadonlyArray<string> {
    this.admit("list", directory)
    return this.inner.list(directory)
  }

  stat(path: string): ReturnType<SyncDisk["stat"]> {
    this.admit("stat", path)
    return this.inner.stat(path)
  }

  makeDirectory(path: string): void {
    if (this.admit("makeDirectory", path)) this.inner.makeDirectory(path)
  }

  rename(from: string, to: string): void {
    if (this.admit("rename", from)) this.inner.rename(from, to)
  }

  remove(path: string): void {
    if (this.admit("remove", path)) this.inner.remove(path)
  }

  link(from: string, to: string): void {
    if (this.admit("link", from)) this.inner.link(from, to)
  }

  syncDirectory(path: string): void {
    if (this.admit("syncDirectory", path)) this.inner.syncDirectory(path)
  }
}

const matches = ({ match, fault }: FaultRule, kind: DiskOperationKind, path: string, position: number, bytes: number): boolean => {
  if (match.path !== undefined && match.path.exec(path) === null) return false
  if ("shortRead" in fault) return kind === "readAt"
  if ("bitFlip" in fault) return kind === "readAt" && fault.bitFlip.offset >= position && fault.bitFlip.offset < position + bytes
  if (match.operation !== undefined) return match.operation === kind
  return !("lieOnWrite" in fault) || kind === "writev"
}

/** What a read is to do: fill `into`, then give the count to `finish`, which returns the one the caller sees. */
export interface PlannedRead {
  readonly into: Uint8Array
  readonly finish: (count: number) => number
}

/** What a write is to do: write `buffers`, then fail with `failure` if there is one. */
export interface PlannedWrite {
  readonly buffers: ReadonlyArray<Uint8Array>
  readonly failure: IoFailure | undefined
}

/** A file of a `FaultyDisk`. The `plan*` methods consult the rules, for callers that do the work on `inner` in their own way. */
export class FaultyFileHandle implements FileHandle {
  readonly path: string
  readonly inner: FileHandle
  readonly #disk: FaultyDisk

  constructor(disk: FaultyDisk, inner: FileHandle) {
    this.path = inner.path
    this.inner = inner
    this.#disk = disk
  }

  planRead(into: Uint8Array, position: number): PlannedRead {
    const fault = this.#disk.strike("readAt", this.path, position, into.length)
    if (fault === undefined || "lieOnWrite" in fault) return { into, finish: (count) => count }
    if ("code" in fault) throw new IoFailure("readAt", this.path, fault.code)
    if ("shortRead" in fault) return { into: into.subarray(0, fault.shortRead), finish: (count) => count }
    const { offset, bit } = fault.bitFlip
    return {
      into,
      finish: (count) => {
        const at = offset - position
        if (at < count) into[at]! ^= 1 << bit
        return count
      }
    }
  }

  planWrite(buffers: ReadonlyArray<Uint8Array>, position: number): PlannedWrite {
    const fault = this.#disk.strike("writev", this.path, position, 0)
    if (fault === undefined) return { buffers, failure: undefined }
    if (!("code" in fault)) return { buffers: [], failure: undefined }
    return { buffers: firstBytes(buffers, fault.afterBytes ?? 0), failure: new IoFailure("writev", this.path, fault.code) }
  }

  /** Whether to do the datasync; throws if it is to fail. */
  planDatasync(): boolean {
    try {
      return this.#disk.admit("datasync", this.path)
    } catch (cause) {
      if (losesOnFailedSync(this.inner)) this.inner.failDatasync()
      throw cause
    }
  }

  readAt(into: Uint8Array, position: number): number {
    const plan = this.planRead(into, position)
    return plan.finish(this.inner.readAt(plan.into, position))
  }

  writev(buffers: ReadonlyArray<Uint8Array>, position: number): void {
    const plan = this.planWrite(buffers, position)
    this.inner.writev(plan.buffers, position)
    if (plan.failure !== undefined) throw plan.failure
  }

  datasync(): void {
    if (this.planDatasync()) this.inner.datasync()
  }

  sizeBytes(): number {
    this.#disk.admit("sizeBytes", this.path)
    return this.inner.sizeBytes()
  }

  truncate(lengthBytes: number): void {
    if (this.#disk.admit("truncate", this.path)) this.inner.truncate(lengthBytes)
  }

  close(): void {
    this.inner.close()
  }
}

const firstBytes = (buffers: ReadonlyArray<Uint8Array>, count: number): ReadonlyArray<Uint8Array> => {
  const kept: Array<Uint8Array> = []
  let left = count
  for (const buffer of buffers) {
    if (left === 0) break
    const part = buffer.subarray(0, left)
    kept.push(part)
    left -= part.length
  }
  return kept
}
