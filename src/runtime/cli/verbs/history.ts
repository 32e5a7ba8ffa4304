import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Version } from "../../../services/History.ts"
import { CliFailure } from "../CliFailure.ts"
import { explain } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { formatLine, formatLineCut, jsonField } from "../format/bytesText.ts"
import { paint } from "../format/paint.ts"
import { cutToWidth } from "../format/textWidth.ts"
import { Output } from "../Output.ts"
import { openReader, parseKey, type Shared, usage } from "../shared.ts"

export interface HistoryFlags {
  readonly key: string
  readonly reverse: boolean
  readonly limit: Option.Option<number>
}

const kindColumns = "delete".length

/** One version a line: sequence, what happened, value. */
export const history = Effect.fnUntraced(function* (shared: Shared, options: HistoryFlags) {
  if (Option.isSome(options.limit) && options.limit.value < 0) return yield* usage("--limit is negative", "Give 0 or more.")
  const output = yield* Output
  const key = yield* parseKey(shared, options.key)
  const { target } = yield* openReader(shared)
  const line = shared.json ? jsonLine : plainLine(output)
  let seen = 0
  const wanted = { reverse: options.reverse, ...(Option.isSome(options.limit) ? { limit: options.limit.value } : {}) }
  yield* Stream.runForEachArray(Stream.mapError(target.history(key, wanted), explain), (versions) => {
    seen += versions.length
    return output.write(versions.map(line).join(""))
  })
  if (seen > 0 || (Option.isSome(options.limit) && options.limit.value === 0)) return
  return yield* new CliFailure({
    tag: "KeyNotFound",
    message: `There is no version of ${JSON.stringify(options.key)}`,
    hint: "`lightning keyspaces` shows how far back the past of each keyspace is kept.",
    exitCode: ExitCode.notFound,
    details: { key: options.key }
  })
})

const jsonLine = ({ expiresAt, sequence, type, value }: Version): string =>
  `${JSON.stringify({ sequence, type, ...(value === undefined ? {} : jsonField("value", value)), ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }) })}\n`

const plainLine = (output: Output["Service"]): ((version: Version) => string) => {
  const style = paint(output.stdoutColours)
  return ({ expiresAt, sequence, type, value }) => {
    const until = expiresAt === undefined ? "" : `until ${new Date(expiresAt).toISOString()}  `
    if (!output.stdoutIsTerminal) return `${sequence}\t${type}\t${value === undefined ? "" : formatLine(value)}\n`
    const columns = Math.max(20, output.columns())
    const head = `${String(sequence).padStart(10)}  ${type.padEnd(kindColumns)}  ${until}`
    const shown = value === undefined ? "" : formatLineCut(value, columns)
    const line = cutToWidth(head + shown, columns).trimEnd()
    return `${style(type === "put" ? "cyan" : "yellow", line.slice(0, head.length))}${line.slice(head.length)}\n`
  }
}
