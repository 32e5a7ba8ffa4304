import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { HistoryGone, InvalidRange, KeyspaceDropped, type HistoryError } from "../../domain/errors.ts"
import { mayPass } from "../../domain/errors/severity.ts"
import { keptOf } from "../../domain/history/keptVersions.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { KeyEncoder } from "../../domain/keys/encodeKey.ts"
import { didYouMean } from "../../domain/options/didYouMean.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { Operations } from "../../services/Database.ts"
import type { HistoryOptions, Version } from "../../services/History.ts"
import type { Retention } from "../../services/Retention.ts"
import type { SnapshotLease, TransactionManager } from "../../services/TransactionManager.ts"
import { type ReadParts, readError } from "../reading/makeReads.ts"
import type { View } from "../reading/View.ts"
import { historyError, oldestOf } from "./moment.ts"
import { oldestKept } from "./oldestKept.ts"
import { VersionWalk, type WalkOptions } from "./VersionWalk.ts"

export interface VersionsParts {
  readonly reads: ReadParts
  readonly catalog: Pick<Catalog["Service"], "exists" | "historyVersions">
  readonly retention: Pick<Retention["Service"], "historyFrom" | "keptVersions">
  readonly transactions: Pick<TransactionManager["Service"], "snapshot">
  readonly checkOpen: () => void
  /** Where the lease reads now. */
  readonly viewOf: (lease: SnapshotLease) => View
}

/** Versions, and bytes of values, of one chunk: the work of one step. */
const chunkVersions = 64
const chunkBytes = 1 << 20

const fields: ReadonlyArray<string> = ["from", "to", "reverse", "limit"]

/** Throws `InvalidRange`. */
const readOptions = (given: unknown): HistoryOptions => {
  if (given === undefined) return {}
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new InvalidRange({ detail: `it is ${describeType(given)}. Use an object such as { from, to, reverse, limit }.` })
  }
  for (const name of Object.keys(given)) {
    if (fields.includes(name)) continue
    const meant = didYouMean(name, fields)
    throw new InvalidRange({
      detail: `${JSON.stringify(name)} is unknown${meant === undefined ? `; use ${fields.join(", ")}` : `; did you mean ${meant}?`}`
    })
  }
  const { from, limit, reverse, to }: { readonly [name: string]: unknown } = { ...given }
  const number = (name: string, value: unknown): number | undefined => {
    if (value === undefined || (typeof value === "number" && Number.isSafeInteger(value) && value >= 0)) return value
    if (name === "limit" && value === Infinity) return value
    throw new InvalidRange({ detail: `${name} is ${typeof value === "number" ? value : describeType(value)}. Use a whole number, 0 or more.` })
  }
  if (reverse !== undefined && typeof reverse !== "boolean") {
    throw new InvalidRange({ detail: `reverse is ${describeType(reverse)}. Use true or false.` })
  }
  const options = { from: number("from", from), to: number("to", to), limit: number("limit", limit), reverse }
  if (options.from !== undefined && options.to !== undefined && options.from > options.to) {
    throw new InvalidRange({ detail: "its from is above its to. Swap them; for the newest first, add reverse: true." })
  }
  return options
}

/**
 * `history(key)`: every version of a key, from all memtables and tables of one moment, under a lease.
 *
 * What happened *at* the sequence where history begins may be merged with what was before it, so the versions begin one later: `at` shows what they begin with. With retention by count
 * they begin with the oldest of the newest few, which is looked for first; where history was kept in another way before, with the oldest that is there for certain.
 */
export const makeVersions =
  (parts: VersionsParts) =>
  (keyspace: number, name: string): Operations["history"] =>
  (key, given) => {
    const { reads, retention, transactions } = parts
    const { tables } = reads

    const open = () => {
      parts.checkOpen()
      if (!parts.catalog.exists(keyspace)) throw new KeyspaceDropped({ name })
      const { from, limit = Infinity, reverse = false, to = Infinity } = readOptions(given)
      // Of its own: this waits, and others encode meanwhile.
      const encoder = new KeyEncoder()
      encoder.encode(key)
      const bytes = encoder.bytes.slice(encoder.start, encoder.end)
      const count = parts.catalog.historyVersions(keyspace)
      const limits = keptOf(retention.keptVersions(), retention.historyFrom(), keyspace)
      const begin = count === 0 ? oldestOf(retention.historyFrom(), keyspace) : limits[0]?.count === 0 ? limits[0].sequence : 0
      if (count === 0 && from !== undefined && begin > 0 && from <= begin) throw new HistoryGone({ sequence: from, oldestSequence: begin + 1 })
      const ends: Array<() => void> = []
      // First, as it may refuse; the pins follow in the same step.
      const lease = transactions.snapshot(() => {
        for (const end of ends) end()
      })
      const view: View = { ...parts.viewOf(lease), sequence: lease.sequence }
      const version = tables.pin()
      ends.push(() => tables.unpin(version), reads.holdMemtables())
      try {
        const options: WalkOptions = { from: Math.max(from ?? 0, begin + 1), to: Math.min(to, lease.sequence), limit, reverse }
        const walkOver = (options: WalkOptions) => new VersionWalk(reads, view, keyspace, bytes, options)
        if (count === 0) return { lease, walk: Effect.succeed(walkOver(options)) }
        const back = walkOver({ from: begin + 1, to: lease.sequence, limit: count, reverse: true })
        const walk = Effect.map(oldestKept(back, limits, count, tables.readsAreFast, lease.check), (oldest) =>
          walkOver({ ...options, from: Math.max(options.from, oldest) })
        )
        return { lease, walk }
      } catch (cause) {
        lease.release()
        throw cause
      }
    }

    return Stream.scoped(
      Stream.fromPull(
        // Until the lease has its finalizer; the pulls it returns can be interrupted.
        Effect.uninterruptible(
          Effect.suspend(() => {
            let opened: ReturnType<typeof open>
            try {
              opened = open()
            } catch (cause) {
              const error = historyError(cause)
              return Effect.succeed(Effect.fail(error))
            }
            const { lease, walk } = opened

            let found: VersionWalk | undefined
            const fill = (
              walk: VersionWalk,
              versions: Array<Version>,
              bytes: number
            ): Effect.Effect<readonly [Version, ...Array<Version>], HistoryError | Cause.Done> => {
              const mayBlock = tables.readsAreFast()
              let filled = bytes
              try {
                lease.check()
                while (versions.length < chunkVersions && filled < chunkBytes) {
                  const state = walk.advance(mayBlock)
                  if (state === "end") break
                  if (state === "pending") {
                    return Effect.flatMap(Effect.mapError(walk.bring(), readError), () => fill(walk, versions, filled))
                  }
                  const version = walk.isPointer && !mayBlock ? undefined : atHand(walk)
                  if (version === undefined) {
                    return Effect.flatMap(Effect.mapError(walk.valuePooled(), readError), (value) => {
                      versions.push(walk.version(value))
                      return fill(walk, versions, filled + value.length)
                    })
                  }
                  versions.push(version)
                  filled += version.value?.length ?? 0
                }
              } catch (cause) {
                return Effect.fail(historyError(cause))
              }
              const [first, ...rest] = versions
              return first === undefined ? Cause.done() : Effect.succeed([first, ...rest])
            }

            return Effect.as(
              Effect.addFinalizer(() => Effect.sync(lease.release)),
              Effect.suspend(() =>
                found === undefined
                  ? Effect.flatMap(walk, (begun) => {
                      found = begun
                      return fill(begun, [], 0)
                    })
                  : fill(found, [], 0)
              )
            )
          })
        )
      )
    )
  }

/** The version; undefined where reading its value failed with what may pass: it is then brought through the pool. */
const atHand = (walk: VersionWalk): Version | undefined => {
  try {
    return walk.version(undefined)
  } catch (cause) {
    if (mayPass(cause)) return undefined
    throw cause
  }
}
