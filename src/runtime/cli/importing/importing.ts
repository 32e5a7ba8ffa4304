/** Writes a sequence of events to a database: one batch is written while the next is read, parsed and packed. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Durability, Operations, WriteOperation } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import {
  type BatchOptions,
  type ImportBatch,
  type ImportEvent,
  type ImportPlace,
  type ImportProblem,
  type ImportTally,
  makeTally,
  packBatches
} from "./batches.ts"
import type { InputMeter } from "./input.ts"
import type { Checkpoint, StoredPlace } from "./resume.ts"

/** Where an import is: only what was acknowledged counts as stored. */
export interface ImportState {
  entries: number
  bytes: number
  inputBytes: number
  batches: number
  sequence: number
  readonly tally: ImportTally
  /** After the last batch that was stored. */
  place: ImportPlace | undefined
  stop: ImportProblem | undefined
}

/** `before`: what an earlier run of the same import has stored, which counts. */
export const makeImportState = (before?: StoredPlace): ImportState => ({
  entries: before?.entries ?? 0,
  bytes: before?.bytes ?? 0,
  inputBytes: 0,
  batches: 0,
  sequence: 0,
  tally: makeTally(before),
  place: undefined,
  stop: undefined
})

export interface ImportOptions {
  readonly durability: Durability
  readonly onError: "stop" | "skip"
  readonly operationsMax: number
  readonly batchBytesMax: number
  readonly source?: BatchOptions["source"]
  /** Keeps the place in the same writes. */
  readonly checkpoint?: Checkpoint | undefined
  /** Called before the batch that first names a keyspace. */
  readonly openKeyspace?: ((name: string) => Effect.Effect<void, CliFailure>) | undefined
}

export const defaultBatch = { operationsMax: 1_000, batchBytesMax: 256 * 1024 } as const

/** The batches of `source`, packed as the options say. */
export const batchesOf = (
  source: AsyncIterable<ReadonlyArray<ImportEvent>>,
  options: Pick<ImportOptions, "onError" | "operationsMax" | "batchBytesMax" | "source">,
  meter: InputMeter,
  tally: ImportTally,
  onProblem: (problem: ImportProblem) => void
): Stream.Stream<ImportBatch, CliFailure> => {
  const { batchBytesMax, onError, operationsMax } = options
  return Stream.fromAsyncIterable(
    packBatches(source, { onError, operationsMax, bytesMax: batchBytesMax, source: options.source }, tally, () => meter.bytes, onProblem),
    explain
  )
}

/**
 * Stores all events of `source` in order and keeps `state` up to date. Batches are written one after the other, so that of two entries with one key the later wins;
 * a repeated import overwrites, which is what makes it resumable. A batch that is being written is seen through when it is interrupted, so that `state` is what is stored. After a problem with `onError` "stop" it succeeds with `state.stop` set.
 */
export const importEvents = (
  target: Operations,
  source: AsyncIterable<ReadonlyArray<ImportEvent>>,
  options: ImportOptions,
  meter: InputMeter,
  state: ImportState,
  onProblem: (problem: ImportProblem) => void
): Effect.Effect<void, CliFailure> => {
  const { checkpoint, openKeyspace } = options
  const write = Effect.fnUntraced(function* (batch: ImportBatch) {
    const entries = state.entries + batch.entries
    const bytes = state.bytes + batch.bytes
    let operations = batch.operations
    if (openKeyspace !== undefined) for (const name of namesIn(operations)) yield* openKeyspace(name)
    if (checkpoint !== undefined) {
      const more = yield* checkpoint.operations(batch, entries, bytes)
      if (more.length > 0) operations = [...operations, ...more]
    }
    if (operations.length > 0) {
      const result = yield* Effect.mapError(target.write(operations, { durability: options.durability }), explain)
      state.sequence = result.sequence
      state.batches++
    }
    state.entries = entries
    state.bytes = bytes
    state.inputBytes = batch.inputBytes
    state.place = batch.place
    state.stop = batch.stop
  })
  return batchesOf(source, options, meter, state.tally, onProblem).pipe(
    Stream.buffer({ capacity: 1 }),
    Stream.runForEach((batch) => Effect.uninterruptible(write(batch)))
  )
}

const namesIn = (operations: ReadonlyArray<WriteOperation>): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const { keyspace } of operations) if (keyspace !== undefined) names.add(keyspace)
  return names
}
