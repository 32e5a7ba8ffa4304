import type * as Effect from "effect/Effect"
import type { CliFailure, OutputClosed } from "../CliFailure.ts"
import type { ExportEntry } from "./encoder.ts"

export type ExportError = CliFailure | OutputClosed

/** What the entries of an export become: lines, or files. */
export interface ExportTarget {
  /** Takes one entry; the reason why it cannot be written, with nothing written of it. An Effect where it must wait first. */
  readonly take: (entry: ExportEntry) => string | undefined | Effect.Effect<string | undefined, ExportError>
  /** Whether it is time for `cut`: asked after each entry. */
  readonly wantsCut: () => boolean
  /** Makes what was taken durable and complete; how many bytes of the output that are, or undefined where it cannot be taken up again from here. */
  readonly cut: Effect.Effect<number | undefined, ExportError>
  /** The end of the entries. */
  readonly finish: Effect.Effect<void, ExportError>
  /** Bytes of the output so far. */
  readonly bytes: () => number
}
