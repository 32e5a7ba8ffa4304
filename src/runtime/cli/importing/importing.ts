/** Writes a sequence of events to a database: one batch is written while the next is read, parsed and packed. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Durability, Operations } from "../../../services/Database.ts"
import type { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { type ImportBatch, type ImportEvent, type ImportProblem, type ImportTally, makeTally, packBatches } from "./batches.ts"
import type { InputMeter } from "./sources.ts"

/** Where an import is: only what was acknowledged counts as stored. */
export interface ImportState {
  entries: number
  bytes: number
  inputBytes: number
  batches: number
  sequence: number
  readonly tally: ImportTally
  stop: ImportProblem | undefined
}

export const makeImportState = (): ImportState => ({
  entries: 0,
  bytes: 0,
  inputBytes: 0,
  batches: 0,
  sequence: 0,
  tally: makeTally(),
  stop: undefined
})

export interface ImportOptions {
  readonly durability: Durability
  readonly onError: "stop" | "skip"
  readonly operationsMax: number
  readonly batchBytesMax: number
}

export const defaultBatch = { operationsMax: 1_000, batchBytesMax: 256 * 1024 } as const

/**
 * Stores all events of `source` in order and keeps `state` up to date. Batches are written one after the other, so that of two entries with one key the later wins;
 * a repeated import overwrites, which is what makes it resumable. After a problem with `onError` "stop" it succeeds with `state.stop` set.
 */
export const importEvents = (
  target: Operations,
  source: AsyncIterable<ReadonlyArray<ImportEvent>>,
  options: ImportOptions,
  meter: InputMeter,
  state: ImportState,
  onProblem: (problem: ImportProblem) => void
): Effect.Effect<void, CliFailure> => {
  const batches = packBatches(
    source,
    { onError: options.onError, operationsMax: options.operationsMax, bytesMax: options.batchBytesMax },
    state.tally,
    () => meter.bytes,
    onProblem
  )
  const write = Effect.fnUntraced(function* (batch: ImportBatch) {
    if (batch.operations.length > 0) {
      const result = yield* Effect.mapError(target.write(batch.operations, { durability: options.durability }), explain)
      state.sequence = result.sequence
      state.batches++
    }
    state.entries += batch.entries
    state.bytes += batch.bytes
    state.inputBytes = batch.inputBytes
    state.stop = batch.stop
  })
  return Stream.fromAsyncIterable(batches, explain).pipe(Stream.buffer({ capacity: 2 }), Stream.runForEach(write))
}
