/** All inputs of an import as one sequence of events, from the beginning or from where an earlier run came to. */
import * as Option from "effect/Option"
import { realPath, type Shared } from "../shared.ts"
import type { ImportEvent, ImportPlace } from "./batches.ts"
import { csvEvents } from "./csvRows.ts"
import { valueBytesMax } from "./entry.ts"
import { faultsAsProblems, type InputMeter, openText, type TextInput } from "./input.ts"
import { parseKeyValueLine, parseMappedLine } from "./jsonLine.ts"
import { jsonLineEvents, type TextPlace } from "./jsonLines.ts"
import type { ImportFlags, ImportPlan } from "./plan.ts"
import { treeEvents, type TreeSourceOptions } from "./sources.ts"

export const treeOptionsOf = (shared: Shared, flags: ImportFlags): TreeSourceOptions => ({
  extensions: flags.extensions.map((extension) => (extension.startsWith(".") ? extension : `.${extension}`)),
  exclude: [realPath(shared.path)],
  keyPrefix: flags.keyPrefix,
  metadata: Option.getOrUndefined(flags.metadata),
  filesMax: 16,
  readBytesMax: 8 * 1024 * 1024
})

const textEvents = (input: TextInput, { mapping }: ImportPlan, from: TextPlace, meter: InputMeter): AsyncIterable<ReadonlyArray<ImportEvent>> => {
  const limits = { valueBytesMax }
  if (input.format === "jsonl") {
    const standard = Object.keys(mapping).length === 0
    const parse = standard ? parseKeyValueLine : parseMappedLine(mapping)
    return jsonLineEvents(openText(input, from.end, meter), { file: input.name, from, limits, parse, standard })
  }
  // The header, read again where an import goes on, is no progress.
  const open = (end: number): AsyncIterable<Uint8Array> => openText(input, end, end === from.end ? meter : { bytes: 0 })
  return csvEvents(open, { file: input.name, separator: input.format === "csv" ? "," : "\t", mapping, limits, from })
}

/** `current.source` is the input that the group which was just yielded belongs to. */
export async function* eventsOf(
  shared: Shared,
  flags: ImportFlags,
  plan: ImportPlan,
  place: ImportPlace | undefined,
  meter: InputMeter,
  current: { source: number }
): AsyncGenerator<ReadonlyArray<ImportEvent>, void, undefined> {
  const first = place?.source ?? 0
  for (const [i, input] of plan.inputs.entries()) {
    if (i < first) {
      if (input.type === "text") meter.bytes += input.bytes ?? 0
      continue
    }
    current.source = i
    const at = i === first ? place : undefined
    const events =
      input.type === "tree"
        ? treeEvents(input.path, { ...treeOptionsOf(shared, flags), from: at?.end }, meter)
        : textEvents(input, plan, { end: at?.end ?? 0, line: at?.lines ?? 0 }, meter)
    for await (const group of faultsAsProblems(events, input.name)) {
      yield group
      if (group.some((event) => event.type === "problem" && event.fatal === true)) return
    }
  }
}
