import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { DatabaseShape, Operations } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { jsonField } from "../format/bytesText.ts"
import { formatBytes, formatCount, formatNoun } from "../format/numbers.ts"
import { formatProblem, type ImportProblem, makeTally } from "../importing/batches.ts"
import { eventsOf, treeOptionsOf } from "../importing/events.ts"
import { batchesOf, defaultBatch, importEvents, type ImportState, makeImportState } from "../importing/importing.ts"
import type { InputMeter } from "../importing/input.ts"
import { type ImportFlags, type ImportPlan, planImport } from "../importing/plan.ts"
import { type Checkpoint, findPlace, makeCheckpoint, type StoredPlace } from "../importing/resume.ts"
import { measureTree, sumTree } from "../importing/sources.ts"
import { describePlace, type Rehearsal, rehearsalJson, rehearsalLines, stopped, summaryJson, summaryLines } from "../importing/summary.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { openWriter, printResult, type Shared } from "../shared.ts"

/** Problems printed as they happen; the rest are counted. */
const notesMax = 10

/** Entries that a dry run shows. */
const rehearsedMax = 5

/** Values that it shows as JSON. */
const rehearsedBytesMax = 1_000

/** Keyspaces that the records of one import may name: more is a field that was not meant. */
const namedKeyspacesMax = 1_000

export const importVerb = Effect.fnUntraced(function* (shared: Shared, flags: ImportFlags) {
  const output = yield* Output
  const plan = yield* planImport(shared, flags)
  if (plan.inputs.some((input) => input.type === "text" && input.path === undefined) && process.stdin.isTTY)
    yield* output.note("Reading from the terminal; Ctrl-D ends the input.")
  if (flags.dryRun) return yield* rehearse(shared, flags, plan)

  const { db, target } = yield* openWriter(shared, { create: true, durability: flags.durability, bulk: true })
  if (Option.isSome(flags.metadata)) yield* Effect.mapError(db.keyspace(flags.metadata.value), explain)
  const { before, noted } = yield* placeToGoOnFrom(shared, flags, plan, db)
  const state = makeImportState(before)
  const startMs = performance.now()
  const checkpoint = plan.identity === undefined ? undefined : makeCheckpoint(db, plan.identity, noted)
  yield* store(shared, flags, plan, before, { db, target, checkpoint }, state)
  const ms = performance.now() - startMs
  if (state.stop !== undefined) return yield* stopped(state.stop, state, checkpoint?.isKept() === true ? "resumable" : "import")
  // The first problems were printed as they came; a last line says that there were more.
  yield* noteMore(shared, state.tally.problems - (before?.problems ?? 0))
  yield* printResult(shared, summaryLines(state, before, ms, flags.durability), summaryJson(state, before, ms, flags.durability))
})

interface Earlier {
  readonly before: StoredPlace | undefined
  /** Something is noted, of use or not. */
  readonly noted: boolean
}

/** Where an earlier run of this import came to; says so, or why it begins again. */
const placeToGoOnFrom = Effect.fnUntraced(function* (
  shared: Shared,
  flags: ImportFlags,
  plan: ImportPlan,
  db: DatabaseShape
): Effect.fn.Return<Earlier, CliFailure, Output> {
  const output = yield* Output
  if (plan.identity === undefined) return { before: undefined, noted: false }
  const found = yield* findPlace(db, plan.identity)
  if (found.type === "none" || flags.restart) return { before: undefined, noted: found.type !== "none" }
  let fault = found.type === "void" ? found.reason : undefined
  if (found.type === "found") {
    const { place } = found
    const input = plan.inputs[place.source]
    if (input?.type === "tree") {
      const there = yield* Effect.promise(() => sumTree(input.path, treeOptionsOf(shared, flags), place.end))
      if (there?.sum !== place.sum) fault = `${input.name} has changed since`
    }
    if (fault === undefined) {
      const stored = formatNoun(place.entries, "entry is stored", "entries are stored")
      yield* output.note(`resuming at ${describePlace(place, input?.name ?? "")} (${stored}); --restart begins again`)
      return { before: place, noted: true }
    }
  }
  yield* output.note(`beginning again: ${fault}`)
  return { before: undefined, noted: true }
})

/** The size of trees is only for the time left: nobody waits for it, and where nobody sees it, nobody looks. */
const totalBytes = Effect.fnUntraced(function* (shared: Shared, flags: ImportFlags, plan: ImportPlan) {
  const output = yield* Output
  const total = { bytes: plan.bytes }
  const trees = plan.inputs.filter((input) => input.type === "tree")
  if (trees.length > 0 && output.stderrIsTerminal) {
    yield* Effect.forkChild(
      Effect.promise(async (signal) => {
        let bytes = 0
        for (const { path } of trees) bytes += await measureTree(path, treeOptionsOf(shared, flags), signal)
        total.bytes = bytes
      })
    )
  }
  return total
})

/** Problems are printed at once, on a line of their own, in the order they occur. */
const problemNotes = Effect.fnUntraced(function* (shared: Shared) {
  const output = yield* Output
  const run = Effect.runForkWith(yield* Effect.context<never>())
  let count = 0
  return (problem: ImportProblem): void => {
    if (!shared.json && ++count <= notesMax) run(output.note(`skipped ${formatProblem(problem)}`))
  }
})

const noteMore = Effect.fnUntraced(function* (shared: Shared, problems: number) {
  const output = yield* Output
  if (!shared.json && problems > notesMax) yield* output.note(`… and ${formatCount(problems - notesMax)} more`)
})

/** Opens the keyspaces that records name; they are made where they do not exist, as that of `--keyspace` is. */
const keyspaceOpener = (db: DatabaseShape, opened: ReadonlyArray<string>) => {
  const known = new Set(opened)
  return (name: string): Effect.Effect<void, CliFailure> =>
    Effect.suspend((): Effect.Effect<void, CliFailure> => {
      if (known.has(name)) return Effect.void
      if (known.size >= namedKeyspacesMax) {
        return Effect.fail(
          new CliFailure({
            tag: "TooManyKeyspaces",
            message: `The input names more than ${formatCount(namedKeyspacesMax)} keyspaces`,
            hint: "Is this the field that says the keyspace? Look at it with --dry-run.",
            exitCode: ExitCode.failure
          })
        )
      }
      known.add(name)
      return Effect.asVoid(Effect.mapError(db.keyspace(name), explain))
    })
}

interface Destination {
  readonly db: DatabaseShape
  readonly target: Operations
  readonly checkpoint: Checkpoint | undefined
}

const store = Effect.fnUntraced(function* (
  shared: Shared,
  flags: ImportFlags,
  plan: ImportPlan,
  before: StoredPlace | undefined,
  { checkpoint, db, target }: Destination,
  state: ImportState
) {
  const output = yield* Output
  const meter: InputMeter = { bytes: 0 }
  const current = { source: before?.source ?? 0 }
  const total = yield* totalBytes(shared, flags, plan)
  const options = {
    ...defaultBatch,
    durability: flags.durability,
    onError: flags.onError,
    source: () => current.source,
    checkpoint,
    openKeyspace: keyspaceOpener(db, Option.isSome(flags.metadata) ? [flags.metadata.value] : [])
  }
  const onProblem = yield* problemNotes(shared)
  yield* withProgress(
    () => ({ verb: "importing", done: state.entries, noun: ["entry", "entries"], bytes: state.inputBytes, bytesTotal: total.bytes }),
    shared.json,
    importEvents(target, eventsOf(shared, flags, plan, before, meter, current), options, meter, state, onProblem)
  ).pipe(Effect.onInterrupt(() => output.note(interruptedNote(plan, checkpoint, state))))
  if (checkpoint !== undefined && state.stop === undefined) yield* checkpoint.finish
})

const interruptedNote = (plan: ImportPlan, checkpoint: Checkpoint | undefined, state: ImportState): string => {
  const input = plan.inputs[state.place?.source ?? 0]
  const how =
    checkpoint?.isKept() !== true || state.place === undefined || input === undefined
      ? "Run the same command again to resume: what is there is overwritten with the same content."
      : `Run the same command again to resume at ${describePlace(state.place, input.name)}; --restart begins again.`
  return `Stopped. ${formatNoun(state.entries, "entry is", "entries are")} stored (${formatBytes(state.bytes)}). ${how}`
}

const bytesOf = (data: string | Uint8Array): Uint8Array => (typeof data === "string" ? Buffer.from(data) : data)

/** `--dry-run`: everything but writing. No database is opened, and none needs to be there. */
const rehearse = Effect.fnUntraced(function* (shared: Shared, flags: ImportFlags, plan: ImportPlan) {
  const output = yield* Output
  const meter: InputMeter = { bytes: 0 }
  const current = { source: 0 }
  const tally = makeTally()
  const total = yield* totalBytes(shared, flags, plan)
  const rehearsal: Rehearsal = { entries: 0, bytes: 0, first: [], keyspaces: new Set(), stop: undefined }
  const options = { ...defaultBatch, onError: flags.onError, source: () => current.source }
  const batches = batchesOf(eventsOf(shared, flags, plan, undefined, meter, current), options, meter, tally, yield* problemNotes(shared))
  yield* withProgress(
    () => ({ verb: "reading", done: rehearsal.entries, noun: ["entry", "entries"], bytes: meter.bytes, bytesTotal: total.bytes }),
    shared.json,
    Stream.runForEach(batches, (batch) =>
      Effect.sync(() => {
        for (const operation of batch.operations) {
          if (operation.type !== "put") continue
          if (operation.keyspace !== undefined) rehearsal.keyspaces.add(operation.keyspace)
          // The metadata of a file is no entry.
          if (rehearsal.first.length === rehearsedMax || operation.keyspace === Option.getOrNull(flags.metadata)) continue
          rehearsal.first.push({ key: bytesOf(operation.key), value: bytesOf(operation.value), keyspace: operation.keyspace })
        }
        rehearsal.entries += batch.entries
        rehearsal.bytes += batch.bytes
        rehearsal.stop = batch.stop
      })
    )
  )
  if (rehearsal.stop !== undefined) return yield* stopped(rehearsal.stop, rehearsal, "dryRun")
  yield* noteMore(shared, tally.problems)
  const columns = output.stdoutIsTerminal ? output.columns() : 120
  yield* printResult(
    shared,
    rehearsalLines(rehearsal, tally, columns),
    rehearsalJson(rehearsal, tally, ({ key, keyspace, value }) => ({
      ...jsonField("key", key),
      valueBytes: value.length,
      ...(value.length > rehearsedBytesMax ? {} : jsonField("value", value)),
      ...(keyspace === undefined ? {} : { keyspace })
    }))
  )
})
