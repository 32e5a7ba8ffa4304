import type { TextBlock } from "./TextBlock.ts"

/** An entry with the keyspace it is in, where the export names them (`--all`): undefined stands for the default one. */
export interface ExportEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly expiresAt: number | undefined
  readonly keyspace: string | undefined
}

/** Writes one entry after the other as text: `begin`, then the value in slices, then `end`. It holds what it must remember of the entry in between. */
export interface LineEncoder {
  /** Before the first entry. */
  readonly header: string
  /** What stands before the value; or the reason why the entry cannot be written, with nothing written of it. */
  readonly begin: (block: TextBlock, entry: ExportEntry) => string | undefined
  /** A slice of the value: see `sliceBytes`. */
  readonly value: (block: TextBlock, entry: ExportEntry, from: number, to: number) => void
  readonly end: (block: TextBlock, entry: ExportEntry) => void
}
