/** One leaf of a table: its place, whether its sum holds, and its entries. */
import { Damage } from "../../../domain/failures.ts"
import { compareBytes } from "../../../domain/keys/compareBytes.ts"
import { Kind } from "../../../domain/keys/kinds.ts"
import { checkLeaf } from "../../../domain/table/checkLeaf.ts"
import { leafCount, leafKeyspace } from "../../../domain/table/leaf.ts"
import { leafEntries, type LeafEntry } from "../../../domain/table/leafEntries.ts"
import { verifyStored } from "../../../domain/table/storedBlock.ts"
import type { BlockPointer } from "../../../domain/table/tableFormat.ts"
import { decodeValuePointer } from "../../../domain/values/ValuePointer.ts"
import { codecs } from "../../../layers/codecs.ts"
import { crc32 } from "../../../layers/crc32.ts"
import { formatNoun } from "../format/numbers.ts"
import { orDamage, readExact, type Source } from "./files.ts"
import {
  codecName,
  damageItem,
  hex8,
  type Item,
  type Items,
  keyJson,
  keyText,
  kindName,
  type Render,
  type Selection,
  timeText,
  valueJson,
  valueText
} from "./Item.ts"

/** What a fence page says of a leaf. */
export interface Leaf extends BlockPointer {
  /** In the table, from 0. */
  readonly index: number
  readonly keyspace: number
  readonly fence: Uint8Array
  /** -1: before all versions. */
  readonly sequence: number
}

/** Whether versions of the key, in whatever keyspace, may stand in the leaf; `next` is the leaf after it in its page. */
export const leafMayHold = (leaf: Leaf, next: Leaf | undefined, key: Uint8Array): boolean =>
  compareBytes(leaf.fence, key) <= 0 && (next === undefined || next.keyspace !== leaf.keyspace || compareBytes(next.fence, key) >= 0)

/** The leaf's line; its entries where they are asked for. */
export function* inspectLeaf(render: Render, source: Source, leaf: Leaf, selection: Selection): Items {
  const wantsEntries = selection.entries || selection.block !== undefined || selection.key !== undefined
  const stored = orDamage(() => readExact(source, leaf.offset, leaf.storedLength))
  if (stored instanceof Damage) return yield damageItem(render, stored)
  const verified = orDamage(() => verifyStored(crc32, codecs, source.path, leaf, stored))
  // Without compression the bytes can be looked at all the same.
  const block = verified instanceof Damage ? (leaf.codec === 0 ? stored : undefined) : verified
  const problem = block === undefined ? undefined : checkLeaf(block)
  const sumHolds = !(verified instanceof Damage)
  if (selection.key === undefined)
    yield leafItem(render, source, leaf, sumHolds, sumHolds && problem === undefined && block !== undefined ? leafCount(block, 0) : undefined)
  if (verified instanceof Damage)
    yield damageItem(
      render,
      new Damage(verified.file, verified.offsetBytes, verified.reason, `block ${leaf.index}${verified.detail === "" ? "" : `, ${verified.detail}`}`),
      "    "
    )
  if (block === undefined || problem !== undefined) {
    if (sumHolds) yield damageItem(render, new Damage(source.path, leaf.offset, "Malformed", problem ?? ""), "    ")
    return
  }
  if (sumHolds && leafKeyspace(block, 0) !== leaf.keyspace)
    yield damageItem(render, new Damage(source.path, leaf.offset, "Malformed", "a leaf of another keyspace than its fence"), "    ")
  if (!wantsEntries) return
  for (const entry of leafEntries(block)) {
    if (selection.key !== undefined && compareBytes(entry.key, selection.key) !== 0) continue
    yield entryItem(render, source, leaf, entry, sumHolds)
  }
}

const leafItem = (render: Render, source: Source, leaf: Leaf, sumHolds: boolean, entries: number | undefined): Item => ({
  text: () => [
    `  block ${leaf.index}  offset ${leaf.offset}  ${leaf.storedLength} bytes${leaf.codec === 0 ? "" : ` (${codecName(leaf.codec)} of ${leaf.rawLength})`}  ` +
      `${sumHolds ? "sum ok" : "sum WRONG"}  ${entries === undefined ? "" : `${formatNoun(entries, "entry", "entries")}  `}from ${leaf.keyspace}/` +
      `${leaf.fence.length === 0 ? "" : keyText(render, leaf.fence, 60)}${leaf.sequence < 0 ? "" : ` at ${leaf.sequence}`}`
  ],
  json: () => ({
    type: "block",
    file: source.name,
    block: leaf.index,
    offset: leaf.offset,
    bytes: leaf.storedLength,
    rawBytes: leaf.rawLength,
    codec: codecName(leaf.codec),
    sum: hex8(leaf.sum),
    sumHolds,
    keyspace: leaf.keyspace,
    ...keyJson(render, leaf.fence, "fence"),
    ...(leaf.sequence < 0 ? {} : { fenceSequence: leaf.sequence }),
    ...(entries === undefined ? {} : { entries })
  })
})

const pointerOf = (entry: LeafEntry) => {
  try {
    return decodeValuePointer(entry.value, 0, entry.value.length)
  } catch {
    return undefined
  }
}

const entryItem = (render: Render, source: Source, leaf: Leaf, entry: LeafEntry, sumHolds: boolean): Item => ({
  text: () => {
    const lead = `    ${entry.sequence === 0 ? "-" : entry.sequence}  ${kindName(entry.kind)}  ${leaf.keyspace}/`
    const key = keyText(render, entry.key, lead.length)
    const until = entry.expiresAt === 0 ? "" : `  until ${timeText(entry.expiresAt)}`
    if (entry.kind !== Kind.put) return [`${lead}${key}${until}`]
    if (entry.isPointer) {
      const pointer = pointerOf(entry)
      const where =
        pointer === undefined
          ? "a pointer that cannot be read"
          : `value file ${pointer.fileId}, offset ${pointer.offset}, ${pointer.storedLength} bytes`
      return [`${lead}${key} -> ${where}${until}`]
    }
    const shown = `${lead}${key}`
    const left = render.columns - shown.length - until.length - 3
    return render.full || left >= 16
      ? [`${shown} = ${valueText(render, entry.value, render.columns - left)}${until}`]
      : [shown + until, `        ${valueText(render, entry.value, 8)}`]
  },
  json: () => ({
    type: "entry",
    file: source.name,
    block: leaf.index,
    sumHolds,
    keyspace: leaf.keyspace,
    ...keyJson(render, entry.key),
    kind: kindName(entry.kind),
    ...(entry.sequence === 0 ? {} : { sequence: entry.sequence }),
    ...(entry.expiresAt === 0 ? {} : { expiresAt: entry.expiresAt }),
    ...(entry.kind !== Kind.put ? {} : entry.isPointer ? { pointer: pointerOf(entry) } : valueJson(render, entry.value))
  })
})
