/**
 * Any disk, made to fail by rules (`FaultRule.ts`): operations fail with a code, do a part, go astray, lie that they were done, or take their time. Each rule
 * counts its matches and its strikes, so that a test can see that what it prepared did happen.
 */
import type { FileHandle, OpenMode, SyncDisk } from "../../domain/disk/SyncDisk.ts"
import { IoFailure } from "../../domain/failures.ts"
import {
  type BitPlace,
  CountedRule,
  type Delay,
  type Fault,
  type FaultOperation,
  type FaultRule,
  type Misdirection,
  type Strike
} from "./FaultRule.ts"
import { drawInt } from "./Prng.ts"
import { ReplacedBytes } from "./ReplacedBytes.ts"

export type { Fault, FaultOperation, FaultRule, Strike } from "./FaultRule.ts"

/** What strikes one call: at most one fault, and any number of delays. */
export interface Struck {
  readonly fault: Exclude<Fault, Delay> | undefined
  /** How much later the call takes effect, and how much later than that it answers. */
  readonly beforeMs: number
  readonly afterMs: number
}

/** A handle that has a say in what a failed sync means (`SimulatedFileHandle`). */
interface LosesOnFailedSync {
  readonly failDatasync: () => void
}

const losesOnFailedSync = (handle: FileHandle): handle is FileHandle & LosesOnFailedSync =>
  "failDatasync" in handle && typeof handle.failDatasync === "function"

export class FaultyDisk implements SyncDisk {
  readonly inner: SyncDisk
  /** Told of every strike, in order. */
  onStrike: ((strike: Strike) => void) | undefined
  #rules: Array<CountedRule> = []
  #replaced: ReplacedBytes | undefined

  constructor(inner: SyncDisk, rules: ReadonlyArray<FaultRule> = [], onStrike?: (strike: Strike) => void) {
    this.inner = inner
    this.onStrike = onStrike
    for (const rule of rules) this.add(rule)
  }

  add(rule: FaultRule): void {
    this.#rules.push(new CountedRule(rule))
    if ("staleRead" in rule.fault) this.#replaced ??= new ReplacedBytes()
  }

  /** The disk works again; counts are forgotten. */
  clear(): void {
    this.#rules = []
    this.#replaced = undefined
  }

  /** How often `rule` has struck. */
  strikes(rule: FaultRule): number {
    return this.#rules.find((counted) => counted.rule === rule)?.strikes ?? 0
  }

  /** Counts the call against every rule; the fault is that of the first that strikes, delays add up. */
  consult(operation: FaultOperation, path: string, position = 0, bytes = 0): Struck {
    let fault: Struck["fault"]
    let beforeMs = 0
    let afterMs = 0
    const call = { operation, path, position, bytes }
    for (const counted of this.#rules) {
      const { rule } = counted
      if (!counted.admits(call)) continue
      if ("delayMs" in rule.fault) {
        if (rule.fault.answer === "late") afterMs += rule.fault.delayMs
        else beforeMs += rule.fault.delayMs
      } else {
        if (fault !== undefined) continue
        fault = rule.fault
      }
      counted.struck()
      this.onStrike?.({ rule, call })
    }
    return { fault, beforeMs, afterMs }
  }

  /** Throws if the fault says so; otherwise whether the operation is to be done. */
  decide({ fault }: Struck, operation: FaultOperation, path: string): boolean {
    if (fault === undefined) return true
    if ("code" in fault) throw new IoFailure(operation, path, fault.code)
    return !("lieOnWrite" in fault)
  }

  /** `consult` and `decide` at once, for calls that do not wait. */
  admit(operation: FaultOperation, path: string): boolean {
    return this.decide(this.consult(operation, path), operation, path)
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
    if (!this.admit("rename", from)) return
    const renamed = this.renaming(from, to)
    this.inner.rename(from, to)
    renamed()
  }

  /** Before a rename; what it returns is called when it is done. */
  renaming(from: string, to: string): () => void {
    const replaced = this.#replaced === undefined ? undefined : contentOf(this.inner, to)
    return () => {
      this.#replaced?.forget(from)
      if (replaced !== undefined) this.#replaced?.note(to, 0, Number.MAX_SAFE_INTEGER, replaced)
    }
  }

  remove(path: string): void {
    if (!this.admit("remove", path)) return
    this.inner.remove(path)
    this.removed(path)
  }

  /** After a remove. */
  removed(path: string): void {
    this.#replaced?.forget(path)
  }

  link(from: string, to: string): void {
    if (this.admit("link", from)) this.inner.link(from, to)
  }

  freeBytes(path: string): number | undefined {
    return this.inner.freeBytes?.(path)
  }

  syncDirectory(path: string): void {
    if (this.admit("syncDirectory", path)) this.inner.syncDirectory(path)
  }

  /** Before a write of `buffers`: remembers what it replaces, where a rule wants that. */
  replacing(handle: FileHandle, buffers: ReadonlyArray<Uint8Array>, position: number): void {
    if (this.#replaced === undefined) return
    const length = lengthOf(buffers)
    if (length > 0) this.#replaced.note(handle.path, position, length, bytesAt(handle, position, length))
  }

  restore(path: string, into: Uint8Array, position: number, count: number): void {
    this.#replaced?.restore(path, into, position, count)
  }
}

/** What a read is to do: fill `into`, then give the count to `finish`, which returns the one the caller sees. */
export interface PlannedRead {
  readonly into: Uint8Array
  readonly finish: (count: number) => number
}

/** What a write is to do: write `buffers` at `position`, then fail with `failure` if there is one. */
export interface PlannedWrite {
  readonly buffers: ReadonlyArray<Uint8Array>
  readonly position: number
  readonly failure: IoFailure | undefined
}

const asItIs = (count: number): number => count

/** A file of a `FaultyDisk`. The `plan*` methods say what is to be done, for callers that do the work on `inner` in their own way. */
export class FaultyFileHandle implements FileHandle {
  readonly path: string
  readonly inner: FileHandle
  readonly #disk: FaultyDisk

  constructor(disk: FaultyDisk, inner: FileHandle) {
    this.path = inner.path
    this.inner = inner
    this.#disk = disk
  }

  planRead({ fault }: Struck, operation: "readAt" | "read", into: Uint8Array, position: number): PlannedRead {
    if (fault === undefined) return { into, finish: asItIs }
    if ("code" in fault) throw new IoFailure(operation, this.path, fault.code)
    if ("shortRead" in fault) return { into: into.subarray(0, fault.shortRead), finish: asItIs }
    if ("misdirected" in fault) return { into, finish: () => this.#readElsewhere(fault.misdirected, into, position) }
    if ("staleRead" in fault) {
      return {
        into,
        finish: (count) => {
          this.#disk.restore(this.path, into, position, count)
          return count
        }
      }
    }
    if (!("bitFlip" in fault)) return { into, finish: asItIs }
    return {
      into,
      finish: (count) => {
        flip(into.subarray(0, count), position, fault.bitFlip)
        return count
      }
    }
  }

  planWrite({ fault }: Struck, buffers: ReadonlyArray<Uint8Array>, position: number): PlannedWrite {
    const plan = this.#planWrite(fault, buffers, position)
    this.#disk.replacing(this.inner, plan.buffers, plan.position)
    return plan
  }

  #planWrite(fault: Struck["fault"], buffers: ReadonlyArray<Uint8Array>, position: number): PlannedWrite {
    if (fault === undefined) return { buffers, position, failure: undefined }
    if ("code" in fault) {
      const failure = new IoFailure("writev", this.path, fault.code)
      return { buffers: firstBytes(buffers, fault.afterBytes ?? 0), position, failure }
    }
    if ("shortWrite" in fault) return { buffers: firstBytes(buffers, fault.shortWrite), position, failure: undefined }
    if ("bitFlipOnWrite" in fault) {
      const bytes = firstBytes(buffers, Infinity).map((part) => part.slice())
      flipIn(bytes, position, fault.bitFlipOnWrite)
      return { buffers: bytes, position, failure: undefined }
    }
    if ("misdirected" in fault) {
      const { path, position: elsewhere } = this.#elsewhere(fault.misdirected, position)
      if (path === this.path) return { buffers, position: elsewhere, failure: undefined }
      this.#writeElsewhere(path, buffers, elsewhere)
    }
    return { buffers: [], position, failure: undefined }
  }

  /** Whether to do the datasync; throws if it is to fail. */
  planDatasync(struck: Struck): boolean {
    try {
      return this.#disk.decide(struck, "datasync", this.path)
    } catch (cause) {
      if (losesOnFailedSync(this.inner)) this.inner.failDatasync()
      throw cause
    }
  }

  consult(operation: "readAt" | "read" | "writev" | "datasync", position = 0, bytes = 0): Struck {
    return this.#disk.consult(operation, this.path, position, bytes)
  }

  readAt(into: Uint8Array, position: number): number {
    const plan = this.planRead(this.consult("readAt", position, into.length), "readAt", into, position)
    return plan.finish(this.inner.readAt(plan.into, position))
  }

  writev(buffers: ReadonlyArray<Uint8Array>, position: number): void {
    const plan = this.planWrite(this.consult("writev", position, lengthOf(buffers)), buffers, position)
    this.inner.writev(plan.buffers, plan.position)
    if (plan.failure !== undefined) throw plan.failure
  }

  datasync(): void {
    if (this.planDatasync(this.consult("datasync"))) this.inner.datasync()
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

  #elsewhere({ byBytes = 0, path = this.path }: Misdirection, position: number): { readonly path: string; readonly position: number } {
    return { path: typeof path === "string" ? path : path(this.path), position: Math.max(0, position + byBytes) }
  }

  #readElsewhere(misdirection: Misdirection, into: Uint8Array, position: number): number {
    const { path, position: elsewhere } = this.#elsewhere(misdirection, position)
    if (path === this.path) return this.inner.readAt(into, elsewhere)
    const other = this.#disk.inner.open(path, "read")
    try {
      return other.readAt(into, elsewhere)
    } finally {
      other.close()
    }
  }

  #writeElsewhere(path: string, buffers: ReadonlyArray<Uint8Array>, position: number): void {
    if (this.#disk.inner.stat(path) === undefined) return
    const other = this.#disk.inner.open(path, "write")
    try {
      this.#disk.replacing(other, buffers, position)
      other.writev(buffers, position)
    } finally {
      other.close()
    }
  }
}

export const lengthOf = (buffers: ReadonlyArray<Uint8Array>): number => buffers.reduce((sum, buffer) => sum + buffer.length, 0)

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

/** Flips a bit of `bytes`, which begin at `position` of the file; nothing where the place lies beyond them. */
const flip = (bytes: Uint8Array, position: number, place: BitPlace): void => flipIn([bytes], position, place)

const flipIn = (buffers: ReadonlyArray<Uint8Array>, position: number, place: BitPlace): void => {
  let at = "draw" in place ? drawInt(place.draw, lengthOf(buffers)) : place.offset - position
  const bit = "draw" in place ? drawInt(place.draw, 8) : place.bit
  for (const bytes of buffers) {
    if (at < bytes.length) {
      bytes[at]! ^= 1 << bit
      return
    }
    at -= bytes.length
  }
}

const bytesAt = (handle: FileHandle, position: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length)
  return bytes.subarray(0, handle.readAt(bytes, position))
}

const contentOf = (disk: SyncDisk, path: string): Uint8Array | undefined => {
  const found = disk.stat(path)
  if (found?.kind !== "file") return undefined
  const handle = disk.open(path, "read")
  try {
    return bytesAt(handle, 0, found.sizeBytes)
  } finally {
    handle.close()
  }
}
