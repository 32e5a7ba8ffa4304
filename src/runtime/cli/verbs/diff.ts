import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CliFailure, OutputClosed, OutputUnwritable, QuietExit } from "../CliFailure.ts"
import { compareEntries, noCounts } from "../diffing/compareEntries.ts"
import { differenceFormat } from "../diffing/formatDifference.ts"
import { openSide, pullOf, type Side } from "../diffing/Side.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { escapeText } from "../format/bytesText.ts"
import { formatCount, formatNoun } from "../format/numbers.ts"
import { paint } from "../format/paint.ts"
import { formatTable } from "../format/table.ts"
import { Output } from "../Output.ts"
import { withProgress } from "../progress.ts"
import { printResult, type Shared, usage } from "../shared.ts"
import { type BoundFlags, boundsOf } from "./rangeOf.ts"

export interface DiffOptions extends BoundFlags {
  readonly a: string
  readonly b: string
  readonly atA: Option.Option<number>
  readonly atB: Option.Option<number>
  readonly summary: boolean
  readonly keysOnly: boolean
  readonly full: boolean
}

/** As diff(1) has it: 1 says that they differ, so whatever went wrong says something else. */
const different = ExitCode.failure
const trouble = (failure: CliFailure): CliFailure =>
  failure.exitCode === ExitCode.failure ? new CliFailure({ ...failure, message: failure.message, exitCode: ExitCode.usage }) : failure

const chunkCharsMax = 32 * 1024

/** What to compare, and whether it is there on each side. */
interface Pair {
  readonly keyspace: string
  readonly inA: boolean
  readonly inB: boolean
}

const pairsOf = Effect.fnUntraced(function* (shared: Shared, a: Side, b: Side) {
  if (Option.isSome(shared.keyspace)) {
    const keyspace = shared.keyspace.value
    const pair: Pair = { keyspace, inA: a.names.has(keyspace), inB: b.names.has(keyspace) }
    if (!pair.inA && !pair.inB) {
      return yield* new CliFailure({
        tag: "KeyspaceNotFound",
        message: `There is no keyspace ${JSON.stringify(keyspace)} in ${a.path}, nor in ${b.path}`,
        hint: "Leave out --keyspace to compare all of them.",
        exitCode: ExitCode.notFound,
        details: { name: keyspace }
      })
    }
    return [pair]
  }
  const names = [...new Set([...a.names, ...b.names])].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
  return [{ keyspace: "", inA: true, inB: true }, ...names.map((keyspace) => ({ keyspace, inA: a.names.has(keyspace), inB: b.names.has(keyspace) }))]
})

const nothing = { next: Effect.undefined }

/** Compares two databases key by key, in one walk over both, each as of one moment. */
export const diff = (shared: Shared, options: DiffOptions) =>
  compare(shared, options).pipe(
    Effect.mapError((error) => (error instanceof CliFailure ? trouble(error) : error)),
    Effect.catchDefect((defect) => Effect.fail(trouble(explain(defect))))
  )

const compare = Effect.fnUntraced(function* (shared: Shared, options: DiffOptions) {
  const bounds = yield* boundsOf(shared, options)
  for (const at of [options.atA, options.atB])
    if (Option.isSome(at) && at.value < 0)
      return yield* usage("A sequence is negative", "Give --at-a and --at-b sequences that `lightning stats` or the change feed has shown.")
  const output = yield* Output
  const style = paint(output.stdoutColours)
  const a = yield* openSide(options.a, Option.getOrUndefined(options.atA))
  const b = yield* openSide(options.b, Option.getOrUndefined(options.atB))
  const counts = noCounts()
  const onlyInA: Array<string> = []
  const onlyInB: Array<string> = []
  const differ = () => counts.added + counts.removed + counts.changed + onlyInA.length + onlyInB.length > 0

  const compareAll = Effect.gen(function* () {
    for (const { inA, inB, keyspace } of yield* pairsOf(shared, a, b)) {
      if (!inA) onlyInB.push(keyspace)
      if (!inB) onlyInA.push(keyspace)
      const line = differenceFormat({ ...options, json: shared.json, hex: shared.hex }, keyspace, output)
      const only = inA ? (inB ? "" : `, only in ${options.a}`) : `, only in ${options.b}`
      let heading = shared.json
        ? only === ""
          ? ""
          : `${JSON.stringify({ change: inA ? "keyspaceRemoved" : "keyspaceAdded", keyspace })}\n`
        : keyspace === ""
          ? ""
          : `${style("bold", `# keyspace ${escapeText(keyspace)}`)}${only}\n`
      if (!options.summary && only !== "") {
        yield* output.write(heading)
        heading = ""
      }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const left = inA ? yield* pullOf(a, keyspace, bounds) : nothing
          const right = inB ? yield* pullOf(b, keyspace, bounds) : nothing
          yield* compareEntries(left, right, counts, (differences) =>
            Effect.gen(function* () {
              if (options.summary || differences.length === 0) return yield* Effect.yieldNow
              let text = shared.json ? "" : heading
              heading = ""
              for (const difference of differences) {
                text += line(difference)
                if (text.length >= chunkCharsMax) {
                  yield* output.write(text)
                  text = ""
                }
              }
              if (text !== "") yield* output.write(text)
            })
          )
        })
      )
    }
  })
  yield* withProgress(
    () => ({
      verb: "comparing",
      done: counts.added + counts.removed + counts.changed + counts.same,
      noun: ["key", "keys"],
      bytes: counts.bytes
    }),
    shared.json,
    compareAll
  ).pipe(
    Effect.onInterrupt(() =>
      output.note("Stopped. Nothing was changed; what was not reached is not compared. Run the same command again to start over.")
    ),
    // Whoever has read enough has seen that they differ.
    Effect.mapError((error) =>
      error instanceof OutputClosed && !(error instanceof OutputUnwritable) && differ() ? new QuietExit({ exitCode: different }) : error
    )
  )
  const { added, changed, removed, same } = counts
  if (options.summary) {
    yield* printResult(
      shared,
      differ()
        ? formatTable(
            [
              ["added", formatCount(added), `only in ${options.b}`],
              ["removed", formatCount(removed), `only in ${options.a}`],
              ["changed", formatCount(changed), "another value"],
              ["same", formatCount(same), ""],
              ...onlyInB.map((name) => ["keyspace", escapeText(name), `only in ${options.b}`]),
              ...onlyInA.map((name) => ["keyspace", escapeText(name), `only in ${options.a}`])
            ],
            ["left", "right"]
          ).map((row) => row.trimEnd())
        : [`the same: ${formatNoun(same, "entry", "entries")}`],
      { identical: !differ(), added, removed, changed, same, keyspacesAdded: onlyInB, keyspacesRemoved: onlyInA }
    )
  } else if (!shared.json)
    yield* output.note(
      differ()
        ? `${formatCount(added)} added, ${formatCount(removed)} removed, ${formatCount(changed)} changed, ${formatCount(same)} the same`
        : `the same: ${formatNoun(same, "entry", "entries")}`
    )
  if (differ()) return yield* new QuietExit({ exitCode: different })
})
