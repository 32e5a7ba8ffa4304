import * as Effect from "effect/Effect"
import type { ExportEntry, LineEncoder } from "./encoder.ts"
import type { ExportError, ExportTarget } from "./target.ts"
import { blockBytes, sliceBytes, TextBlock } from "./TextBlock.ts"
import type { TextSink } from "./textSink.ts"

/** Text after which an export is made durable and a compressed member ends: what a killed one repeats at most, and a share of a percent of the compression. */
const cutBytes = 8 * 1024 * 1024

/** Entries as lines into `sink`. Where a cut falls depends on the entries since the last one only, so that a resumed export gives the same bytes as one that was not stopped. */
export const textTarget = (encoder: LineEncoder, sink: TextSink, resumed: boolean): ExportTarget => {
  const block = new TextBlock()
  let sinceCut = 0
  if (!resumed) block.text(encoder.header)

  const flush: Effect.Effect<void, ExportError> = Effect.suspend(() => {
    if (block.length === 0) return Effect.void
    const chunk = block.view()
    sinceCut += chunk.length
    return Effect.map(sink.write(chunk), () => block.clear())
  })
  const flushed = Effect.as(flush, undefined)

  const large = Effect.fnUntraced(function* (entry: ExportEntry) {
    const size = entry.value.length
    for (let from = 0; from < size; from += sliceBytes) {
      encoder.value(block, entry, from, Math.min(size, from + sliceBytes))
      if (block.length >= blockBytes) yield* flush
    }
    encoder.end(block, entry)
    if (block.length >= blockBytes) yield* flush
    return undefined
  })

  return {
    take: (entry) => {
      const refused = encoder.begin(block, entry)
      if (refused !== undefined) return refused
      const size = entry.value.length
      if (size > sliceBytes) return large(entry)
      encoder.value(block, entry, 0, size)
      encoder.end(block, entry)
      return block.length >= blockBytes ? flushed : undefined
    },
    wantsCut: () => sinceCut >= cutBytes,
    cut: Effect.andThen(
      flush,
      Effect.suspend(() => {
        sinceCut = 0
        return sink.cut
      })
    ),
    finish: Effect.andThen(flush, sink.finish),
    bytes: sink.bytes
  }
}
