import { severityOf } from "../../domain/errors/severity.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"
import type { RetrySettings } from "../../domain/options/faultOptions.ts"
import type { Breakers, WatchedBreaker } from "../../services/Breakers.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"
import { fromFailure } from "../../domain/errors.ts"

/** What is done about reads that fail, besides telling their callers. */
export interface ReadFaults {
  readonly breakers: Breakers["Service"]
  readonly health: Pick<HealthMonitor["Service"], "report">
  readonly retry: RetrySettings
}

/** A read that nobody but the engine wants: `offset` is where the file could not be read last. */
export interface Probe {
  readonly fileId: number
  readonly inMs: number
  readonly offset: number
}

/** Places of damage that are remembered as told; beyond that some are told again. */
const toldMax = 1000

/**
 * One breaker for each file that could not be read, while there is one: a file whose reads fail again and again is left alone for a while, its readers fail at once, and other
 * files are read as ever. What passes by itself is not counted (reads are repeated for it), nor is damage: the device did its part. `isIdle` is all that a read asks on its way.
 * Nothing here waits: `probeReads` finds out when a file can be read again.
 */
export class ReadBreakers {
  /** No file has failed. */
  isIdle = true
  /** Called when a breaker has opened, closed or gone, and when a probe is over. */
  onChange: (() => void) | undefined
  readonly #faults: ReadFaults | undefined
  readonly #byFile = new Map<number, WatchedBreaker>()
  readonly #told = new Set<string>()

  constructor(faults: ReadFaults | undefined) {
    this.#faults = faults
  }

  /** Before a read of the file. Throws `IoFailure` where it is left alone; else one of `succeeded` and `failed` must follow. */
  admit(fileId: number, path: string, offset: number): void {
    const breaker = this.#byFile.get(fileId)
    if (breaker === undefined || breaker.admit()) return
    const last = breaker.error()
    const code = last instanceof IoFailure ? last.code : "EIO"
    const retryAfterMs = breaker.retryAfterMs()
    throw new IoFailure("read", path, code, `reading ${path} is suspended for ${Math.ceil(retryAfterMs)} ms (${code})`, offset, retryAfterMs)
  }

  succeeded(fileId: number): void {
    const breaker = this.#byFile.get(fileId)
    if (breaker === undefined) return
    breaker.succeeded()
    if (breaker.isClosed()) this.forget(fileId)
    else this.onChange?.()
  }

  /** Returns what to throw: with its place, where that is known. */
  failed(fileId: number, offset: number, cause: unknown): unknown {
    if (cause instanceof Damage) {
      this.#tell(cause)
      if (!this.isIdle) this.succeeded(fileId)
      return cause
    }
    if (!(cause instanceof IoFailure) || cause.retryAfterMs !== undefined) return cause
    const placed = cause.at(offset)
    if (this.#faults !== undefined && severityOf(cause) === "recoverable" && cause.code !== "EBADF") {
      let breaker = this.#byFile.get(fileId)
      if (breaker === undefined) {
        breaker = this.#faults.breakers.open(cause.path, `reading ${cause.path} is suspended`)
        this.#byFile.set(fileId, breaker)
        this.isIdle = false
      }
      breaker.failed(placed)
    } else this.#byFile.get(fileId)?.abandoned()
    this.onChange?.()
    return placed
  }

  /** The file is gone, or reads well. */
  forget(fileId: number): void {
    if (this.isIdle) return
    this.#byFile.get(fileId)?.forget()
    this.#byFile.delete(fileId)
    this.isIdle = this.#byFile.size === 0
    this.onChange?.()
  }

  /** The file whose breaker lets a probe through next, and how long until then; closed ones are none, nor are those of `except`. */
  nextProbe(except: ReadonlySet<number>): Probe | undefined {
    let next: Probe | undefined
    for (const [fileId, breaker] of this.#byFile) {
      if (breaker.isClosed() || except.has(fileId)) continue
      const inMs = breaker.retryAfterMs()
      if (next !== undefined && inMs >= next.inMs) continue
      const last = breaker.error()
      next = { fileId, inMs, offset: last instanceof IoFailure ? (last.offsetBytes ?? 0) : 0 }
    }
    return next
  }

  /** Whether a probe may be made now: not while somebody's read is one. What is let through must be followed by `succeeded`, `probeFailed`, `forget` or `abandoned`. */
  admitProbe(fileId: number): boolean {
    return this.#byFile.get(fileId)?.admit() ?? false
  }

  /** Whatever it was that kept the probe from reading: the next pause is longer. */
  probeFailed(fileId: number, cause: IoFailure): void {
    this.#byFile.get(fileId)?.failed(cause)
    this.onChange?.()
  }

  abandoned(fileId: number): void {
    this.#byFile.get(fileId)?.abandoned()
  }

  #tell(damage: Damage): void {
    const place = `${damage.file}@${damage.offsetBytes}`
    if (this.#told.has(place)) return
    if (this.#told.size >= toldMax) this.#told.clear()
    this.#told.add(place)
    this.#faults?.health.report({ type: "damage", resource: damage.file, error: fromFailure(damage) })
  }
}
