import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DatabaseShape, Reads } from "../../../services/Database.ts"
import { CliFailure } from "../CliFailure.ts"
import { ask, canAsk } from "../confirm.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { escapeText } from "../format/bytesText.ts"
import { formatBytes, formatCount, formatDuration, formatNoun } from "../format/numbers.ts"
import { paint } from "../format/paint.ts"
import { formatTable } from "../format/table.ts"
import { cutToWidth } from "../format/textWidth.ts"
import { Output } from "../Output.ts"
import { openReader, openWriter, printResult, type Shared, usage } from "../shared.ts"
import { durationFlag } from "../timeText.ts"

/** A keyspace with what it holds, about. */
export interface KeyspaceSize {
  readonly name: string
  /** Undefined where the index of its tables cannot be read: `problem` says why, and `bytes` are those of its tables. */
  readonly entries?: number
  readonly bytes: number
  readonly problem?: CliFailure
  readonly historyMs?: number | "unlimited"
  readonly historyVersions?: number
  readonly beforeImages?: boolean
}

/** What damage leaves to be said of a keyspace, so that the others are still told of. */
const sizeOf = (reads: Reads, tableBytes: number): Effect.Effect<Pick<KeyspaceSize, "entries" | "bytes" | "problem">> =>
  Effect.match(reads.estimate(), {
    onFailure: (error) => ({ bytes: tableBytes, problem: explain(error) }),
    onSuccess: ({ bytes, entries }) => ({ entries, bytes })
  })

/** The default keyspace first, then the others by name. */
export const keyspaceSizes = Effect.fnUntraced(function* (db: DatabaseShape): Effect.fn.Return<ReadonlyArray<KeyspaceSize>, CliFailure> {
  const sizes: Array<KeyspaceSize> = [{ name: "default", ...(yield* sizeOf(db, 0)) }]
  for (const { beforeImages, historyMs, historyVersions, name, tableBytes } of yield* Effect.mapError(db.keyspaces, explain)) {
    const keyspace = yield* Effect.mapError(db.keyspace(name), explain)
    const size = yield* sizeOf(keyspace, tableBytes)
    sizes.push({
      name,
      ...size,
      ...(historyMs === undefined ? {} : { historyMs: historyMs === Infinity ? "unlimited" : historyMs }),
      ...(historyVersions === undefined ? {} : { historyVersions }),
      ...(beforeImages === undefined ? {} : { beforeImages })
    })
  }
  return sizes
})

/** As JSON: a problem is the words for it. */
export const keyspacesJson = (sizes: ReadonlyArray<KeyspaceSize>): ReadonlyArray<object> =>
  sizes.map(({ problem, ...size }) => (problem === undefined ? size : { ...size, problem: problem.message }))

export const keptText = ({ historyMs, historyVersions }: Pick<KeyspaceSize, "historyMs" | "historyVersions">): string =>
  historyVersions === undefined ? historyText(historyMs) : formatNoun(historyVersions, "version", "versions")

const historyText = (historyMs: number | "unlimited" | undefined): string =>
  historyMs === undefined ? "" : historyMs === "unlimited" ? "unlimited" : historyMs === 0 ? "none" : formatLongDuration(historyMs)

const dayMs = 86_400_000

/** Days where it is whole days: "7 d" says more than "168 h 00 m". */
const formatLongDuration = (ms: number): string => (ms >= dayMs && ms % dayMs === 0 ? `${formatCount(ms / dayMs)} d` : formatDuration(ms))

export const listKeyspaces = Effect.fnUntraced(function* (shared: Shared) {
  const output = yield* Output
  const { db } = yield* openReader(shared)
  const sizes = yield* keyspaceSizes(db)
  const style = paint(output.stdoutColours)
  const [head, ...rows] = formatTable(
    [
      ["keyspace", "entries, about", "bytes", "history"],
      ...sizes.map((size) => [
        escapeText(size.name),
        size.entries === undefined ? "not readable" : formatCount(size.entries),
        formatBytes(size.bytes),
        keptText(size)
      ])
    ],
    ["left", "right", "right"]
  ).map((line) => line.trimEnd())
  const columns = output.stdoutIsTerminal ? Math.max(20, output.columns()) : Number.POSITIVE_INFINITY
  const lines = [style("bold", cutToWidth(head!, columns)), ...rows.map((row) => cutToWidth(row, columns))]
  yield* printResult(shared, lines, { keyspaces: keyspacesJson(sizes) })
  // What can be told was told; the exit code says that it was not everything.
  const problem = sizes.find((size) => size.problem !== undefined)?.problem
  if (problem !== undefined) return yield* problem
})

/** Whatever `--keyspace` says: the name is an argument here, and nothing else is to be opened, or created. */
const withoutKeyspace = (shared: Shared): Shared => ({ ...shared, keyspace: Option.none() })

export const createKeyspace = Effect.fnUntraced(function* (
  shared: Shared,
  options: { readonly name: string; readonly history: Option.Option<string> }
) {
  const { name } = options
  const given = Option.getOrUndefined(options.history)
  const history =
    given === undefined || given === "unlimited" ? given : given === "none" ? 0 : yield* durationFlag("--history", given, ", none or unlimited")
  const { db } = yield* openWriter(withoutKeyspace(shared), { create: true })
  const before = (yield* Effect.mapError(db.keyspaces, explain)).find((keyspace) => keyspace.name === name)
  yield* Effect.mapError(db.keyspace(name, history === undefined ? undefined : { history }), explain)
  const kept = history === undefined ? "" : `, history ${historyText(history)}`
  yield* printResult(
    shared,
    [before === undefined ? `created keyspace ${JSON.stringify(name)}${kept}` : `keyspace ${JSON.stringify(name)} was there already${kept}`],
    { name, created: before === undefined, ...(history === undefined ? {} : { historyMs: history }) }
  )
})

export const dropKeyspace = Effect.fnUntraced(function* (shared: Shared, options: { readonly name: string; readonly yes: boolean }) {
  const { name } = options
  const output = yield* Output
  if (!options.yes && !canAsk(output))
    return yield* usage(`Nobody can be asked whether keyspace ${JSON.stringify(name)} is to be dropped`, "Give --yes to drop it without being asked.")
  const { db } = yield* openWriter(withoutKeyspace(shared), { create: false })
  const names = (yield* Effect.mapError(db.keyspaces, explain)).map((keyspace) => keyspace.name)
  if (!names.includes(name)) {
    return yield* new CliFailure({
      tag: "KeyspaceNotFound",
      message: `There is no keyspace ${JSON.stringify(name)} in ${shared.path}`,
      hint: names.length === 0 ? "It has no keyspaces besides the default one, which cannot be dropped." : `It has: ${names.join(", ")}.`,
      exitCode: ExitCode.notFound,
      details: { name, keyspaces: names }
    })
  }
  const keyspace = yield* Effect.mapError(db.keyspace(name), explain)
  const { bytes, entries } = yield* Effect.mapError(keyspace.estimate(), explain)
  if (!options.yes) {
    const typed = yield* ask(
      `Keyspace ${escapeText(JSON.stringify(name))} of ${shared.path} has about ${formatCount(entries)} entries (${formatBytes(bytes)}). Type its name to drop it for good:`
    )
    if (typed !== name) {
      return yield* new CliFailure({
        tag: "NotConfirmed",
        message: "That is not its name: nothing was dropped",
        hint: "Run the command again, or give --yes.",
        exitCode: ExitCode.failure
      })
    }
  }
  const result = yield* Effect.mapError(db.dropKeyspace(name), explain)
  yield* printResult(
    shared,
    [
      `dropped keyspace ${JSON.stringify(name)}, sequence ${result.sequence}; its space is given back by compaction, in time or by \`lightning compact\``
    ],
    { name, dropped: true, entries, bytes, sequence: result.sequence }
  )
})
