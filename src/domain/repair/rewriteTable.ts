import { MalformedBytes } from "../bytes/varint.ts"
import { inclusiveEnd, type KeyPlace, successor } from "../compaction/KeySpan.ts"
import type { JobTools, OutputPolicy } from "../compaction/JobSpec.ts"
import { Damage } from "../failures.ts"
import type { TableMeta } from "../manifest/TableMeta.ts"
import type { StepMachine } from "../steps.ts"
import { verifyStored } from "../table/storedBlock.ts"
import { leafEntries } from "../table/leafEntries.ts"
import { TableBuilder } from "../table/TableBuilder.ts"
import { decodeValuePointer, encodeValuePointer, type ValuePointer } from "../values/ValuePointer.ts"
import type { LostRange } from "./Loss.ts"
import type { RepairedValues } from "./RepairedValues.ts"
import type { TableSurvey } from "./surveyTable.ts"

export interface RewriteSource {
  readonly fileId: number
  /** For messages. */
  readonly path: string
  readonly level: number
  readonly survey: TableSurvey
}

/** Keys in a row of one table whose values are gone. */
export interface LostValues {
  readonly damage: Damage
  readonly range: LostRange
  readonly entries: number
  readonly bytes: number
  readonly firstSequence: number
  readonly lastSequence: number
}

export interface RewrittenTable {
  /** Undefined where nothing is left to write. */
  readonly meta: TableMeta | undefined
  /** Entries that are in it. */
  readonly entries: number
  readonly lostValues: ReadonlyArray<LostValues>
}

const writeBytesMin = 256 * 1024
/** Above so many runs of lost values in a table they are told as one. */
const lostRunsMax = 1000

/**
 * Writes what is sound of a table as a table of its own: every entry of every sound leaf, deletes and range tombstones included, with its sequence. Values of the files in `values` get
 * a new place; an entry whose value is gone is left out, and told.
 */
export function* rewriteTable(
  source: RewriteSource,
  outputId: () => number,
  policy: OutputPolicy,
  tools: JobTools,
  nowMs: number,
  values: RepairedValues
): StepMachine<RewrittenTable> {
  const { path, survey } = source
  let builder: TableBuilder | undefined
  let fileId = 0
  const open = (): TableBuilder => {
    fileId = outputId()
    const { blockBytes, codec, hashSeed, uuid } = policy
    return new TableBuilder({
      crc32: tools.crc32,
      codec: tools.codecs.get(codec),
      uuid,
      fileId,
      level: source.level,
      hashSeed,
      blockBytes,
      createdAtMs: nowMs,
      replaced: [source.fileId]
    })
  }
  let isCreated = false
  const write = function* (buffers: ReadonlyArray<Uint8Array>, position: number): StepMachine<void> {
    if (!isCreated) yield { step: "create", kind: "table", fileId }
    isCreated = true
    yield { step: "write", fileId, buffers, position }
  }
  const runs = new LostRuns()
  let entries = 0
  for (const leaf of survey.leaves) {
    const stored = (yield { step: "read", kind: "table", fileId: source.fileId, offset: leaf.offset, length: leaf.storedLength })!
    const block = verifyStored(tools.crc32, tools.codecs, path, leaf, stored)
    for (const entry of leafEntries(block)) {
      let value = entry.value
      if (entry.isPointer) {
        const pointer = pointerIn(value, path, leaf.offset)
        const moved = yield* values.moved(pointer, leaf.keyspace, entry)
        if (moved instanceof Damage) {
          runs.add({ keyspace: leaf.keyspace, key: entry.key }, entry.sequence, pointer, moved)
          continue
        }
        value = encodeValuePointer(moved)
      }
      runs.end()
      builder ??= open()
      entries++
      builder.add(leaf.keyspace, entry.key, 0, entry.key.length, entry.sequence, entry.kind, entry.expiresAt, entry.isPointer, value, 0, value.length)
    }
    if (builder !== undefined && builder.pendingBytes >= writeBytesMin) {
      const position = builder.outputPosition
      yield* write(builder.takeOutput(), position)
    }
    yield { step: "pause" }
  }
  const lostValues = runs.told()
  if (builder === undefined && survey.tombstones.isEmpty) return { meta: undefined, entries, lostValues }
  builder ??= open()
  builder.addTombstones(survey.tombstones.fragments())
  const { buffers, meta, position, properties } = builder.finish()
  yield* write(buffers, position)
  yield { step: "finish", fileId }
  const { largest, ...rest } = meta!
  return {
    meta: { ...rest, largest: properties.largestIsExclusive ? { keyspace: largest.keyspace, key: inclusiveEnd(largest.key) } : largest },
    entries,
    lostValues
  }
}

const pointerIn = (value: Uint8Array, path: string, offset: number): ValuePointer => {
  try {
    return decodeValuePointer(value, 0, value.length)
  } catch (error) {
    if (error instanceof MalformedBytes) throw new Damage(path, offset, "Malformed", error.message)
    throw error
  }
}

/** Gathers entries that follow one another. */
class LostRuns {
  readonly #done: Array<LostValues> = []
  #run: { first: KeyPlace; last: KeyPlace; damage: Damage; entries: number; bytes: number; least: number; greatest: number } | undefined

  add(place: KeyPlace, sequence: number, pointer: ValuePointer, damage: Damage): void {
    const run = this.#run
    if (run === undefined) {
      this.#run = { first: place, last: place, damage, entries: 1, bytes: pointer.storedLength, least: sequence, greatest: sequence }
      return
    }
    run.last = place
    run.entries++
    run.bytes += pointer.storedLength
    run.least = Math.min(run.least, sequence)
    run.greatest = Math.max(run.greatest, sequence)
  }

  end(): void {
    const run = this.#run
    if (run === undefined) return
    this.#run = undefined
    this.#done.push({
      damage: run.damage,
      range: { from: run.first, to: successor(run.last) },
      entries: run.entries,
      bytes: run.bytes,
      firstSequence: run.least,
      lastSequence: run.greatest
    })
  }

  told(): ReadonlyArray<LostValues> {
    this.end()
    const done = this.#done
    if (done.length <= lostRunsMax) return done
    return [
      {
        damage: done[0]!.damage,
        range: { from: done[0]!.range.from, to: done[done.length - 1]!.range.to },
        entries: done.reduce((sum, run) => sum + run.entries, 0),
        bytes: done.reduce((sum, run) => sum + run.bytes, 0),
        firstSequence: done.reduce((least, run) => Math.min(least, run.firstSequence), Infinity),
        lastSequence: done.reduce((greatest, run) => Math.max(greatest, run.lastSequence), 0)
      }
    ]
  }
}
