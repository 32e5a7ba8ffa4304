import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import type { Durability, Operations } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain, ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatByteRate, formatBytes, formatCount, formatDuration, formatNoun, formatRate } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { formatProblem, type ImportEvent, type ImportProblem } from "../importing/batches.ts"
import { defaultBatch, importEvents, type ImportState, makeImportState } from "../importing/importing.ts"
import { parseKeyFieldLine, parseKeyValueLine } from "../importing/jsonLine.ts"
import { type InputMeter, lineEvents, measureTree, treeEvents, type TreeSourceOptions } from "../importing/sources.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { openWriter, printResult, realPath, type Shared, usage } from "../shared.ts"

export interface ImportFlags {
  /** Directories, files of JSON lines, or `-` for standard input. */
  readonly sources: ReadonlyArray<string>
  readonly keyField: Option.Option<string>
  readonly keyPrefix: string
  readonly extensions: ReadonlyArray<string>
  readonly metadata: Option.Option<string>
  readonly onError: "stop" | "skip"
  readonly durability: Durability
}

interface Input {
  readonly name: string
  readonly kind: "tree" | "lines" | "stdin"
  /** Known beforehand for a file; measured meanwhile for a tree. */
  readonly bytes: number | undefined
}

const inspect = (name: string): Effect.Effect<Input, CliFailure> =>
  Effect.suspend(() => {
    if (name === "-") {
      const stat = fs.fstatSync(0)
      return Effect.succeed<Input>({ name, kind: "stdin", bytes: stat.isFile() ? stat.size : undefined })
    }
    try {
      const stat = fs.statSync(name)
      return Effect.succeed<Input>(
        stat.isDirectory() ? { name, kind: "tree", bytes: undefined } : { name, kind: "lines", bytes: stat.isFile() ? stat.size : undefined }
      )
    } catch (error) {
      return Effect.fail(unreadable(name, ioReason(error)))
    }
  })

const unreadable = (file: string, reason: string): CliFailure =>
  new CliFailure({
    tag: "InputUnreadable",
    message: `${file} cannot be read: ${reason}`,
    hint: "Give a directory, a file of JSON lines, or - for standard input.",
    exitCode: ExitCode.failure,
    details: { file }
  })

const normaliseExtension = (extension: string): string => (extension.startsWith(".") ? extension : `.${extension}`)

/** Problems printed as they happen; the rest are counted. */
const notesMax = 10

export const importVerb = Effect.fnUntraced(function* (shared: Shared, flags: ImportFlags) {
  const output = yield* Output
  if (shared.hex) return yield* usage("--hex does not apply to import", 'Lines may give a key as "keyHex" or "keyBase64".')
  const inputs = yield* Effect.forEach(flags.sources, inspect)
  const trees = inputs.some((input) => input.kind === "tree")
  if (!trees && flags.extensions.length > 0) return yield* usage("--ext applies to directories only")
  if (!trees && Option.isSome(flags.metadata)) return yield* usage("--metadata applies to directories only")
  if (!trees && flags.keyPrefix !== "") return yield* usage("--key-prefix applies to directories only")
  if (trees && inputs.length > 1 && inputs.some((input) => input.kind !== "tree"))
    return yield* usage("Directories and files of lines cannot be mixed in one import")
  if (trees && Option.isSome(flags.keyField)) return yield* usage("--key-field applies to JSON lines only")
  if (Option.isSome(flags.metadata) && Option.isSome(shared.keyspace) && flags.metadata.value === shared.keyspace.value) {
    return yield* usage("--metadata and --keyspace name the same keyspace", "The content and its metadata would overwrite each other.")
  }

  const { db, target } = yield* openWriter(shared, { create: true, durability: flags.durability })
  if (Option.isSome(flags.metadata)) yield* Effect.mapError(db.keyspace(flags.metadata.value), explain)

  const state = makeImportState()
  const startMs = performance.now()
  for (const input of inputs) {
    yield* importInput(shared, flags, input, target, state)
    if (state.stop !== undefined) return yield* stopped(state)
  }
  const ms = performance.now() - startMs
  // The first problems were printed as they came; a last line says that there were more.
  if (!shared.json && state.tally.problems > notesMax) yield* output.note(`… and ${formatCount(state.tally.problems - notesMax)} more`)
  yield* printResult(shared, summaryLines(state, ms, flags.durability), summaryJson(state, ms, flags.durability))
})

const importInput = Effect.fnUntraced(function* (shared: Shared, flags: ImportFlags, input: Input, target: Operations, state: ImportState) {
  const output = yield* Output
  const meter: InputMeter = { bytes: 0 }
  let bytesTotal = input.bytes
  let source: AsyncIterable<ReadonlyArray<ImportEvent>>
  if (input.kind === "tree") {
    const options: TreeSourceOptions = {
      extensions: flags.extensions.map(normaliseExtension),
      exclude: [realPath(shared.path)],
      keyPrefix: flags.keyPrefix,
      metadata: Option.getOrUndefined(flags.metadata),
      filesMax: 16,
      readBytesMax: 32 * 1024 * 1024
    }
    // The walk compares real paths, so it starts from one.
    const root = realPath(input.name)
    source = treeEvents(root, options, meter)
    // The size of the tree is only for the time left; nobody waits for it, and where nobody sees it, nobody looks.
    if (output.stderrIsTerminal) {
      yield* Effect.forkChild(
        Effect.map(
          Effect.promise((signal) => measureTree(root, options, signal)),
          (bytes) => {
            bytesTotal = bytes
          }
        )
      )
    }
  } else {
    if (input.kind === "stdin" && process.stdin.isTTY) yield* output.note("Reading JSON lines from the terminal; Ctrl-D ends the input.")
    const parse = Option.isSome(flags.keyField) ? parseKeyFieldLine(flags.keyField.value) : parseKeyValueLine
    const stream = input.kind === "stdin" ? process.stdin : fs.createReadStream(input.name, { highWaterMark: 256 * 1024 })
    source = lineEvents(stream, input.kind === "stdin" ? "standard input" : input.name, parse, meter)
  }
  const before = { entries: state.entries }
  state.inputBytes = 0
  // The file's own problems are printed at once, on a line of their own, in the order they occur.
  const runNote = Effect.runForkWith(yield* Effect.context<never>())
  const onProblem = (problem: ImportProblem): void => {
    if (!shared.json && state.tally.problems <= notesMax) runNote(output.note(`skipped ${formatProblem(problem)}`))
  }
  yield* withProgress(
    () => ({ verb: "importing", done: state.entries - before.entries, noun: ["entry", "entries"], bytes: state.inputBytes, bytesTotal }),
    shared.json,
    importEvents(target, source, { ...defaultBatch, durability: flags.durability, onError: flags.onError }, meter, state, onProblem)
  ).pipe(
    Effect.onInterrupt(() =>
      output.note(
        `Stopped. ${formatNoun(state.entries, "entry is", "entries are")} stored (${formatBytes(state.bytes)}` +
          `${before.entries > 0 ? `, ${formatCount(state.entries - before.entries)} of them from ${input.name}` : ""}). ` +
          "Run the same command again to resume: what is there is overwritten with the same content."
      )
    )
  )
})

const stopped = (state: ImportState): CliFailure =>
  new CliFailure({
    tag: "MalformedInput",
    message: formatProblem(state.stop!),
    hint:
      `${formatNoun(state.entries, "entry", "entries")} before it ${state.entries === 1 ? "is" : "are"} stored. ` +
      "Correct the input and run the command again, or leave out what cannot be read with --on-error skip.",
    exitCode: ExitCode.failure,
    details: { file: state.stop!.file, line: state.stop!.line, reason: state.stop!.reason, entries: state.entries, bytes: state.bytes }
  })

const skipNames: Readonly<Record<string, readonly [string, string]>> = {
  symbolicLink: ["symbolic link", "symbolic links"],
  specialFile: ["special file", "special files"],
  extension: ["file with another extension", "files with another extension"],
  excluded: ["excluded directory", "excluded directories"]
}

const summaryLines = (state: ImportState, ms: number, durability: Durability): Array<string> => {
  const left = [...state.tally.skips].map(([reason, n]) => formatNoun(n, ...(skipNames[reason] ?? [reason, reason])))
  return [
    `imported ${formatNoun(state.entries, "entry", "entries")}, ${formatBytes(state.bytes)}, in ${formatDuration(ms)}`,
    ...formatTable(
      [
        ["rate", `${formatByteRate(state.bytes, ms)}, ${formatRate(state.entries, ms)}`],
        ["batches", `${formatCount(state.batches)}, ${durability}`],
        ...(state.tally.problems > 0 ? [["skipped", `${formatNoun(state.tally.problems, "entry", "entries")} that could not be read`]] : []),
        ...(left.length > 0 ? [["left out", left.join(", ")]] : [])
      ],
      [],
      "  "
    )
  ]
}

const summaryJson = (state: ImportState, ms: number, durability: Durability): unknown => ({
  entries: state.entries,
  bytes: state.bytes,
  milliseconds: Math.round(ms),
  batches: state.batches,
  sequence: state.sequence,
  durability,
  skipped: state.tally.problems,
  problems: state.tally.firstProblems.map(({ file, line, reason }) => ({ file, line, reason })),
  leftOut: Object.fromEntries(state.tally.skips)
})
