import { MalformedBytes } from "../bytes/varint.ts"
import { type KeyPlace, successor } from "../compaction/KeySpan.ts"
import { Damage } from "../failures.ts"
import type { Codecs, Crc32 } from "../seams.ts"
import type { StepMachine } from "../steps.ts"
import { checkLeaf } from "../table/checkLeaf.ts"
import { readFencePage } from "../table/FencePages.ts"
import { leafKeyspace } from "../table/leaf.ts"
import { leafEntries } from "../table/leafEntries.ts"
import { FragmentedTombstones } from "../table/RangeTombstones.ts"
import { type StoredBlock, verifyStored } from "../table/storedBlock.ts"
import {
  type BlockPointer,
  decodeRoot,
  decodeTableFooter,
  decodeTableHeader,
  SectionKind,
  tableFooterBytes,
  tableHeaderBytes
} from "../table/tableFormat.ts"
import { decodeTableProperties, type TableProperties } from "../table/TableProperties.ts"
import type { LostRange } from "./Loss.ts"

export interface SurveyOpening {
  readonly crc32: Crc32
  readonly codecs: Codecs
  readonly fileId: number
  /** For messages. */
  readonly path: string
  /** Of the file as it is. */
  readonly fileBytes: number
  /** From the manifest; undefined: the footer is believed. */
  readonly root: BlockPointer | undefined
  readonly uuid: Uint8Array | undefined
}

/** A leaf whose sum holds. */
export interface SoundLeaf extends StoredBlock {
  readonly keyspace: number
}

/** A part of a table that cannot be read. */
export interface TableGap {
  readonly kind: "block" | "tombstones"
  readonly damage: Damage
  readonly bytes: number
  /** Undefined: anywhere in the table. */
  readonly range: LostRange | undefined
  /** Whether older versions of a key at its edge lie in the next leaf. */
  readonly versionsGoOn: boolean
}

/** What of a damaged table can be read. */
export interface TableSurvey {
  /** Nothing can be: this is why. */
  readonly unreadable: Damage | undefined
  readonly properties: TableProperties | undefined
  readonly tombstones: FragmentedTombstones
  /** In key order. */
  readonly leaves: ReadonlyArray<SoundLeaf>
  readonly gaps: ReadonlyArray<TableGap>
}

interface Fence {
  readonly keyspace: number
  readonly key: Uint8Array
  /** -1: before all versions of its key. */
  readonly sequence: number
  readonly block: StoredBlock
}

const unreadable = (damage: Damage): TableSurvey => ({
  unreadable: damage,
  properties: undefined,
  tombstones: FragmentedTombstones.empty,
  leaves: [],
  gaps: []
})

/** Decodes, and answers with the damage where that fails. */
const attempt = <A>(path: string, offset: number, decode: () => A): A | Damage => {
  try {
    return decode()
  } catch (error) {
    if (error instanceof Damage) return error
    if (error instanceof MalformedBytes) return new Damage(path, offset, "Malformed", error.message)
    throw error
  }
}

/**
 * Reads a table that is not what was written, block by block, and goes on behind each damaged one: which leaves are sound, and which keys those that are not held. A block is believed
 * only when its parent's sum holds. Throws nothing of its own; what reading throws (`IoFailure`) it does not catch.
 */
export function* surveyTable(opening: SurveyOpening): StepMachine<TableSurvey> {
  const { codecs, crc32, fileBytes, fileId, path } = opening
  const readable = function* (offset: number, length: number): StepMachine<Uint8Array> {
    return (yield { step: "read", kind: "table", fileId, offset, length })!
  }
  const block = function* (pointer: StoredBlock): StepMachine<Uint8Array | Damage> {
    if (pointer.offset + pointer.storedLength > fileBytes)
      return new Damage(path, pointer.offset, "Truncated", `${pointer.storedLength} bytes in a file of ${fileBytes}`)
    const stored = yield* readable(pointer.offset, pointer.storedLength)
    return attempt(path, pointer.offset, () => verifyStored(crc32, codecs, path, pointer, stored))
  }
  const fits = (identity: { readonly fileId: number; readonly uuid: Uint8Array }, offset: number): Damage | undefined =>
    identity.fileId !== fileId || (opening.uuid !== undefined && identity.uuid.some((byte, i) => byte !== opening.uuid![i]))
      ? new Damage(path, offset, "Unexpected", "another table, or one of another database")
      : undefined

  if (fileBytes < tableHeaderBytes + tableFooterBytes) return unreadable(new Damage(path, 0, "Truncated", `a table of ${fileBytes} bytes`))
  const header = yield* readable(0, tableHeaderBytes)
  const headerDamage = attempt(path, 0, () => decodeTableHeader(crc32, header, path))
  let root = opening.root
  if (root === undefined) {
    const offset = fileBytes - tableFooterBytes
    const bytes = yield* readable(offset, tableFooterBytes)
    const footer = attempt(path, offset, () => decodeTableFooter(crc32, bytes, path, offset))
    if (footer instanceof Damage) return unreadable(footer)
    const misfit = fits(footer, offset)
    if (misfit !== undefined) return unreadable(misfit)
    root = footer.root
  }
  const rootBytes = yield* block(root)
  if (rootBytes instanceof Damage) return unreadable(headerDamage instanceof Damage && headerDamage.reason === "BadMagic" ? headerDamage : rootBytes)
  const rootOffset = root.offset
  const sections = attempt(path, rootOffset, () => decodeRoot(rootBytes, path, rootOffset))
  if (sections instanceof Damage) return unreadable(sections)

  let properties: TableProperties | undefined
  let tombstones = FragmentedTombstones.empty
  const gaps: Array<TableGap> = []
  const fences: Array<Fence | { readonly damage: Damage; readonly bytes: number }> = []
  for (const section of sections) {
    const { kind, offset } = section
    if (kind !== SectionKind.fencePage && kind !== SectionKind.tombstones && kind !== SectionKind.properties) continue
    const bytes = yield* block(section)
    if (kind === SectionKind.properties) {
      const decoded = bytes instanceof Damage ? bytes : attempt(path, offset, () => decodeTableProperties(bytes))
      if (decoded instanceof Damage) continue
      const misfit = fits(decoded, offset)
      if (misfit !== undefined) return unreadable(misfit)
      properties = decoded
    } else if (kind === SectionKind.tombstones) {
      const decoded = bytes instanceof Damage ? bytes : attempt(path, offset, () => FragmentedTombstones.decode(bytes, path, offset))
      if (decoded instanceof Damage)
        gaps.push({ kind: "tombstones", damage: decoded, bytes: section.storedLength, range: undefined, versionsGoOn: false })
      else tombstones = decoded
    } else {
      const page: Array<Fence> = []
      const read =
        bytes instanceof Damage
          ? bytes
          : attempt(path, offset, () =>
              readFencePage(bytes, section.leafCount, ({ codec, fence, fenceLength, keyspace, rawLength, sequence, storedLength, sum, ...at }) => {
                page.push({
                  keyspace,
                  key: fence.slice(0, fenceLength),
                  sequence,
                  block: { offset: at.offset, storedLength, rawLength, codec, sum }
                })
                return true
              })
            )
      if (read === true) fences.push(...page)
      else fences.push({ damage: read instanceof Damage ? read : new Damage(path, offset, "Malformed", "fence page"), bytes: section.storedLength })
    }
  }
  const leaves = yield* surveyLeaves(path, fences, block, gaps)
  return { unreadable: undefined, properties, tombstones, leaves, gaps }
}

/** Reads every leaf that a fence points to; leaves that cannot be read, or found, become gaps, one for each run of them. */
function* surveyLeaves(
  path: string,
  fences: ReadonlyArray<Fence | { readonly damage: Damage; readonly bytes: number }>,
  block: (pointer: StoredBlock) => StepMachine<Uint8Array | Damage>,
  gaps: Array<TableGap>
): StepMachine<Array<SoundLeaf>> {
  const leaves: Array<SoundLeaf> = []
  let open: { readonly damage: Damage; bytes: number; readonly from: KeyPlace } | undefined
  /** Directly after the last entry of the last sound leaf: where what is lost may begin if no fence says it. */
  let lastPlace: KeyPlace = { keyspace: 0, key: new Uint8Array(0) }
  const close = (to: KeyPlace | undefined, versionsGoOn: boolean) => {
    if (open !== undefined) gaps.push({ kind: "block", damage: open.damage, bytes: open.bytes, range: { from: open.from, to }, versionsGoOn })
    open = undefined
  }
  for (const fence of fences) {
    if (!("key" in fence)) {
      open ??= { damage: fence.damage, bytes: 0, from: lastPlace }
      open.bytes += fence.bytes
      continue
    }
    const bytes = yield* block(fence.block)
    const problem = bytes instanceof Damage ? bytes : checkLeaf(bytes)
    const place: KeyPlace = { keyspace: fence.keyspace, key: fence.key }
    if (problem !== undefined || bytes instanceof Damage) {
      const damage = problem instanceof Damage ? problem : new Damage(path, fence.block.offset, "Malformed", problem)
      open ??= { damage, bytes: 0, from: place }
      open.bytes += fence.block.storedLength
      continue
    }
    // Where versions of the fence's key go on from the leaf before, that key is of the lost ones too.
    close(fence.sequence >= 0 ? successor(place) : place, fence.sequence >= 0)
    const keyspace = leafKeyspace(bytes, 0)
    leaves.push({ ...fence.block, keyspace })
    let last: Uint8Array | undefined
    for (const { key } of leafEntries(bytes)) last = key
    // Its own versions may go on in what follows.
    if (last !== undefined) lastPlace = { keyspace, key: last }
    if (leaves.length % 64 === 0) yield { step: "pause" }
  }
  close(undefined, false)
  return leaves
}
