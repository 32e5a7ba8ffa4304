/** A table: header, root and what it points to, leaves, entries. Each part is looked at by itself, so that damage of one hides no other. */
import { Damage } from "../../../domain/failures.ts"
import type { TableMeta } from "../../../domain/manifest/TableMeta.ts"
import { BloomFilter } from "../../../domain/table/BloomFilter.ts"
import { readFencePage } from "../../../domain/table/FencePages.ts"
import { FragmentedTombstones } from "../../../domain/table/RangeTombstones.ts"
import { verifyStored } from "../../../domain/table/storedBlock.ts"
import {
  type BlockPointer,
  decodeRoot,
  decodeTableFooter,
  decodeTableHeader,
  type Section,
  SectionKind,
  tableFooterBytes,
  tableHeaderBytes,
  type TableIdentity
} from "../../../domain/table/tableFormat.ts"
import { decodeTableProperties, type TableProperties } from "../../../domain/table/TableProperties.ts"
import { codecs } from "../../../layers/codecs.ts"
import { crc32 } from "../../../layers/crc32.ts"
import { formatNoun } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { orDamage, readExact, type Source } from "./files.ts"
import {
  absentItem,
  damageItem,
  hex8,
  idText,
  type Item,
  type Items,
  keyJson,
  keyspaceText,
  keyText,
  type Render,
  type Selection,
  timeText
} from "./Item.ts"
import { inspectLeaf, type Leaf, leafMayHold } from "./leaf.ts"

const sectionNames: Readonly<Record<number, string>> = {
  [SectionKind.fencePage]: "fence page",
  [SectionKind.filter]: "filter",
  [SectionKind.tombstones]: "tombstones",
  [SectionKind.properties]: "properties"
}

/** A block by its pointer, verified. Throws `Damage`. */
export const readBlock = (source: Source, pointer: BlockPointer): Uint8Array =>
  verifyStored(crc32, codecs, source.path, pointer, readExact(source, pointer.offset, pointer.storedLength))

/** Decoders of blocks throw what knows no file: a block whose sum is right and whose content is not. */
const decoded = <A>(source: Source, offset: number, decode: () => A): A | Damage => {
  try {
    return decode()
  } catch (cause) {
    if (cause instanceof Damage) return cause
    if (cause instanceof RangeError) return new Damage(source.path, offset, "Malformed", cause.message)
    throw cause
  }
}

/** The sections of the root, and the properties where they can be read. */
export interface TableOutline {
  readonly sections: ReadonlyArray<Section>
  readonly properties: TableProperties | undefined
}

/** Root and properties; the first damage met otherwise. */
export const outlineOf = (source: Source, root: BlockPointer): TableOutline | Damage =>
  decoded(source, root.offset, () => {
    const sections = decodeRoot(readBlock(source, root), source.path, root.offset)
    const place = sections.find((section) => section.kind === SectionKind.properties)
    return { sections, properties: place === undefined ? undefined : decodeTableProperties(readBlock(source, place)) }
  })

const partItem = (source: Source, name: string, pointer: BlockPointer, facts: string, more: Record<string, unknown>): Item => ({
  text: () => [`  ${name.padEnd(10)}  offset ${pointer.offset}  ${pointer.storedLength} bytes  sum ok${facts === "" ? "" : `  ${facts}`}`],
  json: () => ({
    type: name.replace(" p", "P"),
    file: source.name,
    offset: pointer.offset,
    bytes: pointer.storedLength,
    sum: hex8(pointer.sum),
    ...more
  })
})

export function* inspectTable(render: Render, source: Source, selection: Selection, meta: TableMeta | undefined): Items {
  const wantsOnlyEntries = selection.block !== undefined || selection.key !== undefined
  const footerAt = source.sizeBytes() - tableFooterBytes
  const header = orDamage(() => decodeTableHeader(crc32, readExact(source, 0, tableHeaderBytes), source.path))
  if (header instanceof Damage) yield damageItem(render, header)
  else if (!wantsOnlyEntries) yield identityItem(source, "header", 0, header)
  if (meta !== undefined && meta.fileBytes !== source.sizeBytes())
    yield damageItem(
      render,
      new Damage(
        source.path,
        Math.min(meta.fileBytes, source.sizeBytes()),
        "Truncated",
        `${source.sizeBytes()} bytes, and the manifest says ${meta.fileBytes}`
      )
    )
  const footer = orDamage(() => decodeTableFooter(crc32, readExact(source, footerAt, tableFooterBytes), source.path, Math.max(0, footerAt)))
  if (footer instanceof Damage) yield damageItem(render, footer)
  else if (!wantsOnlyEntries) yield identityItem(source, "footer", footerAt, footer)
  // The manifest is the root's parent; a file by itself has only its footer.
  const root = meta?.root ?? (footer instanceof Damage ? undefined : footer.root)
  if (root === undefined) return
  const rootBytes = orDamage(() => readBlock(source, root))
  const sections = rootBytes instanceof Damage ? rootBytes : decoded(source, root.offset, () => decodeRoot(rootBytes, source.path, root.offset))
  if (sections instanceof Damage) return yield damageItem(render, sections)
  if (!wantsOnlyEntries) yield partItem(source, "root", root, formatNoun(sections.length, "section"), { sections: sections.length })
  const leaves: Array<ReadonlyArray<Leaf>> = []
  let leafCount = 0
  // Properties first: they say what the rest is.
  for (const section of [...sections].sort((a, b) => b.kind - a.kind || a.offset - b.offset)) {
    const bytes = orDamage(() => readBlock(source, section))
    if (bytes instanceof Damage) {
      yield damageItem(
        render,
        new Damage(
          bytes.file,
          bytes.offsetBytes,
          bytes.reason,
          `${sectionNames[section.kind] ?? "section"}${bytes.detail === "" ? "" : `, ${bytes.detail}`}`
        )
      )
    } else if (section.kind === SectionKind.fencePage) {
      const page = decoded(source, section.offset, () => leavesOf(section, bytes, leafCount))
      if (page === undefined || page instanceof Damage)
        yield damageItem(render, page ?? new Damage(source.path, section.offset, "Malformed", "fence page"))
      else {
        leaves.push(page)
        if (!wantsOnlyEntries)
          yield partItem(source, "fence page", section, `leaves ${leafCount} to ${leafCount + page.length - 1}`, {
            firstLeaf: leafCount,
            leaves: page.length
          })
      }
    } else if (!wantsOnlyEntries) yield* sectionItems(render, source, section, bytes)
    leafCount += section.leafCount
  }
  yield* leavesItems(render, source, selection, leaves, leafCount)
}

function* leavesItems(render: Render, source: Source, selection: Selection, pages: ReadonlyArray<ReadonlyArray<Leaf>>, leafCount: number): Items {
  let shown = 0
  let wasFound = false
  for (const page of pages) {
    for (const [i, leaf] of page.entries()) {
      if (selection.block !== undefined && leaf.index !== selection.block) continue
      if (selection.key !== undefined && !leafMayHold(leaf, page[i + 1], selection.key)) continue
      if (shown++ === selection.limit) return
      for (const item of inspectLeaf(render, source, leaf, selection)) {
        wasFound = true
        yield item
      }
    }
  }
  if (selection.block !== undefined && !wasFound) yield absentItem(source.name, `block ${selection.block}`, leafCount)
  else if (selection.key !== undefined && !wasFound) yield absentItem(source.name, `entry with the key ${keyText(render, selection.key, 30)}`, -1)
}

/** The leaves of a page; undefined where its content contradicts itself. */
const leavesOf = (section: Section, bytes: Uint8Array, firstLeaf: number): ReadonlyArray<Leaf> | undefined => {
  const leaves: Array<Leaf> = []
  const isGood = readFencePage(bytes, section.leafCount, (entry) => {
    const { codec, fence, fenceLength, keyspace, offset, rawLength, sequence, storedLength, sum } = entry
    leaves.push({
      index: firstLeaf + leaves.length,
      keyspace,
      fence: fence.slice(0, fenceLength),
      sequence,
      offset,
      storedLength,
      rawLength,
      codec,
      sum
    })
    return true
  })
  return isGood ? leaves : undefined
}

const identityItem = (source: Source, name: "header" | "footer", offset: number, { fileId, uuid }: TableIdentity): Item => ({
  text: () => [
    `  ${name.padEnd(10)}  offset ${offset}  ${name === "header" ? tableHeaderBytes : tableFooterBytes} bytes  sum ok  file ${fileId}  database ${idText(uuid)}`
  ],
  json: () => ({ type: name, file: source.name, offset, fileId, uuid: idText(uuid) })
})

function* sectionItems(render: Render, source: Source, section: Section, bytes: Uint8Array): Items {
  if (section.kind === SectionKind.properties) {
    const properties = decoded(source, section.offset, () => decodeTableProperties(bytes))
    if (properties instanceof Damage) return yield damageItem(render, properties)
    const { json, text } = partItem(source, "properties", section, "", { properties: propertiesJson(render, properties) })
    return yield { text: () => [...text(), ...propertiesLines(render, properties)], json }
  }
  if (section.kind === SectionKind.filter) {
    const filter = BloomFilter.decode(bytes)
    if (filter === undefined) return yield damageItem(render, new Damage(source.path, section.offset, "Malformed", "filter"))
    return yield partItem(source, "filter", section, `${formatNoun(filter.sizeBytes / 32, "block")} of 256 bits`, { blocks: filter.sizeBytes / 32 })
  }
  if (section.kind === SectionKind.tombstones) {
    const tombstones = decoded(source, section.offset, () => FragmentedTombstones.decode(bytes, source.path, section.offset))
    if (tombstones instanceof Damage) return yield damageItem(render, tombstones)
    yield partItem(source, "tombstones", section, formatNoun(tombstones.count, "fragment"), { fragments: tombstones.count })
    for (const { end, keyspace, sequences, start } of tombstones.fragments())
      yield {
        text: () => [`    ${keyspace}/${keyText(render, start, 40)} .. ${keyText(render, end, 40)}  deleted at ${sequences.join(" ")}`],
        json: () => ({
          type: "tombstone",
          file: source.name,
          keyspace,
          ...keyJson(render, start, "start"),
          ...keyJson(render, end, "end"),
          sequences
        })
      }
    return
  }
  yield partItem(source, `section ${section.kind}`, section, "of a kind that this version does not know", { kind: section.kind })
}

const propertiesLines = (render: Render, properties: TableProperties): Array<string> => {
  const place = ({ key, keyspace }: NonNullable<TableProperties["smallest"]>) => `keyspace ${keyspaceText(keyspace)}, ${keyText(render, key, 40)}`
  const rows: Array<ReadonlyArray<string>> = [
    ["level", String(properties.level)],
    ["made", timeText(properties.createdAtMs)],
    ["entries", `${properties.entryCount} of ${formatNoun(properties.keyCount, "key")}, ${formatNoun(properties.deleteCount, "delete")}`],
    ["range tombstones", String(properties.rangeTombstoneCount)],
    ["leaves", `${properties.leafCount} of about ${properties.blockBytes} bytes`],
    ["smallest", properties.smallest === undefined ? "-" : place(properties.smallest)],
    ["largest", properties.largest === undefined ? "-" : `${place(properties.largest)}${properties.largestIsExclusive ? " (not included)" : ""}`],
    ["sequences", `${properties.smallestSequence} to ${properties.largestSequence}`],
    ["bytes", `${properties.keyBytes} of keys, ${properties.valueBytes} of values`],
    ["filter", properties.filterBitsPerKey === 0 ? "none" : `${properties.filterBitsPerKey} bits per key, hash seed ${hex8(properties.hashSeed)}`],
    ...(properties.lastExpiryMs === 0 ? [] : [["expires", `${timeText(properties.firstExpiryMs)} to ${timeText(properties.lastExpiryMs)}`]]),
    ...(properties.replaced.length === 0 ? [] : [["replaces", properties.replaced.join(" ")]]),
    ...(properties.valueRefs.length === 0
      ? []
      : [["values in", properties.valueRefs.map(({ bytes, fileId }) => `${fileId} (${bytes} bytes)`).join(" ")]])
  ]
  return formatTable(rows, [], "    ")
}

const propertiesJson = (render: Render, { hashSeed, largest, smallest, uuid, ...properties }: TableProperties): Record<string, unknown> => ({
  ...properties,
  uuid: idText(uuid),
  hashSeed: hex8(hashSeed),
  ...(smallest === undefined ? {} : { smallest: { keyspace: smallest.keyspace, ...keyJson(render, smallest.key) } }),
  ...(largest === undefined ? {} : { largest: { keyspace: largest.keyspace, ...keyJson(render, largest.key) } })
})
