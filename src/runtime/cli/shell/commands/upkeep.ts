/** `stats`, `verify`, `compact`, `flush`, `checkpoint`, `refresh`: the database as a whole. */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliFailure } from "../../CliFailure.ts"
import { ExitCode } from "../../exitCodes.ts"
import { escapeText } from "../../format/bytesText.ts"
import { formatBytes, formatCount, formatNoun } from "../../format/numbers.ts"
import { paint } from "../../format/paint.ts"
import { withWaiting } from "../../waiting.ts"
import { keyOf, textOf } from "../arguments.ts"
import type { Session } from "../Session.ts"
import type { ShellCommand } from "../ShellCommand.ts"
import type { Writer } from "../Writer.ts"
import { jsonText } from "../jsonText.ts"

const report = (session: Session, out: Writer, lines: ReadonlyArray<string>, json: unknown) =>
  out.write(session.format === "json" ? jsonText(session, json) : lines.map((line) => `${line}\n`).join(""))

const field = (session: Session, name: string, value: string): string =>
  session.output.stdoutIsTerminal ? `${paint(session.output.stdoutColours)("dim", name.padEnd(18))}${value}` : `${name}\t${value}`

const simple = { positionsMin: 0, positionsMax: 0, options: {}, completes: "nothing" } as const

export const statsCommand: ShellCommand = {
  ...simple,
  name: "stats",
  usage: "stats",
  summary: "Show what the database consists of",
  details: ["In short; .format json prints every figure, and `lightning stats` more of them."],
  examples: [["stats", "Sequences, space, caches, health"]],
  writes: false,
  run: Effect.fnUntraced(function* ({ out, session }) {
    const stats = yield* session.db.stats
    const health = yield* session.db.health
    const { blockCache, disk, memtables, valueCache } = stats
    const rate = ({ hits, misses }: { readonly hits: number; readonly misses: number }): string =>
      hits + misses === 0 ? "not used yet" : `${Math.round((hits * 100) / (hits + misses))} % of ${formatCount(hits + misses)} reads`
    const rows: ReadonlyArray<readonly [string, string]> = [
      ["path", escapeText(stats.path)],
      ["health", [health.state, ...health.reasons].map(escapeText).join(": ")],
      ["sequence", `${stats.visibleSequence}, in tables up to ${stats.flushedSequence}`],
      ["not in tables", `${formatNoun(memtables.entries, "entry", "entries")}, ${formatBytes(memtables.bytes)} of memory`],
      ...stats.levels
        .filter(({ tables }) => tables > 0)
        .map(({ bytes, level, tables }) => [`level ${level}`, `${formatNoun(tables, "table")}, ${formatBytes(bytes)}`] as const),
      ["value files", `${formatBytes(disk.valueFiles)}, ${formatBytes(disk.valueFilesLive)} live`],
      ["log", formatBytes(disk.log)],
      ["total", formatBytes(disk.total)],
      ["block cache", `${formatBytes(blockCache.bytes)} of ${formatBytes(blockCache.capacityBytes)}, ${rate(blockCache)}`],
      ["value cache", `${formatBytes(valueCache.bytes)} of ${formatBytes(valueCache.capacityBytes)}, ${rate(valueCache)}`],
      ...(stats.writeAmplification > 0 ? [["write amplification", ` ${stats.writeAmplification.toFixed(1)}`] as const] : [])
    ]
    const lines = rows.map(([name, value]) => field(session, name, value))
    yield* report(session, out, lines, { ...stats, health })
    return undefined
  })
}

export const verifyCommand: ShellCommand = {
  ...simple,
  name: "verify",
  usage: "verify",
  summary: "Check every checksum of every file",
  details: ["The first damaged block ends it, with its file and offset."],
  examples: [["verify", "All that is on disk"]],
  writes: false,
  run: Effect.fnUntraced(function* ({ out, session }) {
    const checked = yield* withWaiting("verifying", session.db.verify)
    const text = `sound: ${formatNoun(checked.tables, "table")}, ${formatNoun(checked.blocks, "block")}, ${formatNoun(checked.entries, "entry", "entries")}, ${formatBytes(checked.bytes + checked.logBytes)} read`
    yield* report(session, out, [text], { sound: true, ...checked })
    return undefined
  })
}

export const compactCommand: ShellCommand = {
  ...simple,
  name: "compact",
  usage: "compact [--gte <key>] [--lt <key>]",
  options: { gte: "key", lt: "key" },
  summary: "Give the space of old versions and deletions back",
  details: ["Of the keyspace in use, or of all of them from the default one. Ctrl-C loses nothing: run it again to go on."],
  examples: [
    ["compact", "All of it"],
    ["compact --gte user/ --lt user0", "The keys that begin with user/"]
  ],
  writes: true,
  run: Effect.fnUntraced(function* ({ arguments: { options }, out, session }) {
    const gte = options.get("gte")
    const lt = options.get("lt")
    const range = {
      ...(gte === undefined ? {} : { gte: yield* keyOf(session, gte, "bound --gte") }),
      ...(lt === undefined ? {} : { lt: yield* keyOf(session, lt, "bound --lt") }),
      ...(session.keyspace === undefined ? {} : { keyspace: session.keyspace })
    }
    const before = yield* session.db.stats
    yield* withWaiting("compacting", Object.keys(range).length === 0 ? session.db.compact() : session.db.compact(range))
    const after = yield* session.db.stats
    yield* report(session, out, [`compacted: ${formatBytes(before.disk.total)} before, ${formatBytes(after.disk.total)} after`], {
      before: before.disk,
      after: after.disk
    })
    return undefined
  })
}

export const flushCommand: ShellCommand = {
  ...simple,
  name: "flush",
  usage: "flush",
  summary: "Write what is in memory to tables",
  details: ["Nothing depends on it: what was acknowledged is stored in the log."],
  examples: [["flush", "The next start has nothing to replay"]],
  writes: true,
  run: Effect.fnUntraced(function* ({ out, session }) {
    yield* withWaiting("flushing", session.db.flush)
    const { flushedSequence } = yield* session.db.stats
    yield* report(session, out, [`flushed up to sequence ${flushedSequence}`], { flushedSequence })
    return undefined
  })
}

export const checkpointCommand: ShellCommand = {
  ...simple,
  name: "checkpoint",
  usage: "checkpoint <directory>",
  positionsMin: 1,
  positionsMax: 1,
  summary: "Make a consistent copy in a new directory",
  details: ["The directory must not exist. It is a database of its own, which every command of lightning opens."],
  examples: [["checkpoint ./copy", "Beside the database"]],
  // A database that is open read-only refuses it by itself, or can do it: its word counts.
  writes: false,
  run: Effect.fnUntraced(function* ({ arguments: { positions }, out, session }) {
    const made = yield* withWaiting("copying", session.db.checkpoint(path.resolve(textOf(positions[0]!))))
    const line = `${escapeText(made.path)}: sequence ${made.sequence}, ${formatNoun(made.files, "file")}, ${formatBytes(made.bytes)}`
    yield* report(session, out, [line], made)
    return undefined
  })
}

const gone = (session: Session): CliFailure =>
  new CliFailure({
    tag: "NotADatabase",
    message: `The database at ${session.path} is gone`,
    hint: "What this shell has open can still be read. .exit ends it.",
    exitCode: ExitCode.failure,
    details: { path: session.path }
  })

export const refreshCommand: ShellCommand = {
  ...simple,
  name: "refresh",
  usage: "refresh",
  summary: "Read-only: move forward to what the writer has logged since",
  details: ["A database that is open for writing is always current."],
  examples: [["refresh", "See the newest"]],
  writes: false,
  run: Effect.fnUntraced(function* ({ out, session }) {
    const before = (yield* session.db.stats).visibleSequence
    if (session.readOnly)
      yield* Effect.catchTag(session.db.refresh, "CorruptFile", (failure) => Effect.fail(fs.existsSync(session.path) ? failure : gone(session)))
    const { visibleSequence } = yield* session.db.stats
    const moved = visibleSequence === before ? `sequence ${visibleSequence}, nothing new` : `sequence ${visibleSequence}, was ${before}`
    yield* report(session, out, [moved], { sequence: visibleSequence, before })
    return undefined
  })
}
