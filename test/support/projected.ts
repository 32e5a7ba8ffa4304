/** A projection whose content tells what was folded, how often and in which order: under each key the sequences of its puts. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { decodeText } from "../../src/domain/bytes/decodeText.ts"
import type { TransactionReadError, TransactionWriteError } from "../../src/domain/errors.ts"
import type * as Projection from "../../src/runtime/projections/Projection.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"

export const noteSequences: Projection.Apply<TransactionReadError | TransactionWriteError, never> = (target, change) =>
  Effect.forEach(
    change.operations,
    (operation) => {
      if (operation.type !== "put") return Effect.void
      return Effect.flatMap(target.getText(operation.key), (before) => target.put(operation.key, `${before ?? ""}${change.sequence};`))
    },
    { discard: true }
  )

/** What it must hold once everything up to `through` is folded. */
export class ExpectedNotes {
  private readonly written: Array<{ readonly key: string; readonly sequence: number }> = []

  wrote(key: string, sequence: number): void {
    this.written.push({ key, sequence })
  }

  at(through: number): Record<string, string> {
    const notes: Record<string, string> = {}
    for (const { key, sequence } of this.written.toSorted((a, b) => a.sequence - b.sequence)) {
      if (sequence <= through) notes[key] = `${notes[key] ?? ""}${sequence};`
    }
    return notes
  }
}

export const contentOf = (reads: Pick<DatabaseShape, "scan">) =>
  Effect.map(Stream.runCollect(reads.scan()), (entries): Record<string, string> =>
    Object.fromEntries(entries.map(({ key, value }) => [decodeText(key), decodeText(value)]))
  )
