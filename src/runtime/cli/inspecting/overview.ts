/** What a database directory consists of: the manifest, log segments, tables by level, value files, and what nobody names. */
import { Damage, IoFailure } from "../../../domain/failures.ts"
import { type FileKind, fileName } from "../../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../../domain/manifest/ManifestState.ts"
import type { SegmentMeta } from "../../../domain/manifest/SegmentMeta.ts"
import type { TableMeta, ValueFileMeta } from "../../../domain/manifest/TableMeta.ts"
import { decodeSegmentHeader, segmentAlignmentMax } from "../../../domain/wal/SegmentHeader.ts"
import { walkSegment } from "../../../domain/wal/walkSegment.ts"
import { crc32 } from "../../../layers/crc32.ts"
import { nodeDisk } from "../../../layers/disk/nodeDisk.ts"
import { listDirectory } from "../../../layers/recovery/readState.ts"
import { formatBytes, formatCount, formatNoun } from "../format/numbers.ts"
import { formatTable } from "../format/table.ts"
import { isGone, readHead, type Source, withFile } from "./files.ts"
import { damageItem, hex8, idText, type Item, type Items, keyspaceText, noteItem, type Render, timeText } from "./Item.ts"
import { rangeText, tableJson } from "./manifest.ts"
import { surroundingsOf, type Surroundings } from "./surroundings.ts"
import { outlineOf } from "./table.ts"

export type Part = "all" | "table" | "values" | "log"

export function* inspectDatabase(render: Render, around: Surroundings, part: Part): Items {
  const { damages, directory, manifestId, state, writerPid } = around
  if (part === "all") {
    yield {
      text: () => [
        render.style("bold", directory),
        ...(writerPid === undefined
          ? []
          : [`  process ${writerPid} has it open for writing: what is shown of its newest files may be in the middle of being written`])
      ],
      json: () => ({ type: "database", directory, ...(writerPid === undefined ? {} : { writerPid }) })
    }
    yield {
      text: () => [`  CURRENT names ${manifestId === undefined ? "no manifest" : fileName("manifest", manifestId)}`],
      json: () => ({ type: "current", manifest: manifestId === undefined ? null : fileName("manifest", manifestId) })
    }
    for (const damage of damages) yield damageItem(render, damage)
  }
  if (state === undefined) {
    if (part !== "all") for (const damage of damages) yield damageItem(render, damage)
    return yield* namesOnly(render, directory)
  }
  if (part === "all") yield stateItem(state)
  const missing = (kind: FileKind, id: number): Damage | undefined => {
    // The writer may have moved on since the manifest was read: then it is not missed.
    const now = surroundingsOf(directory).state
    const isNamed = now === undefined || (kind === "log" ? now.segments : kind === "table" ? now.tables : now.valueFiles).has(id)
    return isNamed ? new Damage(`${directory}/${fileName(kind, id)}`, 0, "Missing", "the manifest names this file") : undefined
  }
  if (part === "all" || part === "log") {
    yield titleItem(render, "log", formatNoun(state.segments.size, "segment"))
    for (const meta of state.segments.values())
      yield* fileItems(render, directory, "log", meta.fileId, missing, (source) => segmentItems(render, source, meta))
  }
  if (part === "all" || part === "table") {
    const byLevel = [...state.tables.values()].sort((a, b) => a.level - b.level || a.fileId - b.fileId)
    let level = -1
    for (const meta of byLevel) {
      if (meta.level !== level) {
        level = meta.level
        const own = byLevel.filter((table) => table.level === level)
        yield titleItem(
          render,
          `level ${level}`,
          `${formatNoun(own.length, "table")}, ${formatBytes(own.reduce((sum, table) => sum + table.fileBytes, 0))}`
        )
      }
      yield* fileItems(render, directory, "table", meta.fileId, missing, (source) => tableItems(render, source, meta))
    }
    if (byLevel.length === 0) yield titleItem(render, "tables", "none")
  }
  if (part === "all" || part === "values") {
    yield titleItem(render, "value files", state.valueFiles.size === 0 ? "none" : formatCount(state.valueFiles.size))
    const live = new Map<number, number>()
    for (const { valueRefs } of state.tables.values()) for (const { bytes, fileId } of valueRefs) live.set(fileId, (live.get(fileId) ?? 0) + bytes)
    for (const meta of state.valueFiles.values())
      yield* fileItems(render, directory, "values", meta.fileId, missing, (source) =>
        valueFileItems(render, source, meta, live.get(meta.fileId) ?? 0)
      )
  }
  if (part === "all") yield* unnamedItems(render, directory, state, manifestId)
}

const titleItem = (render: Render, title: string, facts: string): Item => ({
  text: () => ["", `${render.style("bold", title)}  ${facts}`],
  json: () => ({ type: "section", section: title, facts })
})

const stateItem = (state: ManifestState): Item => ({
  text: () =>
    formatTable(
      [
        ["database", idText(state.uuid)],
        ["lineage", idText(state.lineageId)],
        ["epoch", String(state.epoch)],
        ["engine time", timeText(state.engineTimeMs)],
        ["flushed through", `sequence ${state.flushedThrough.sequence}, position ${state.flushedThrough.position}`],
        ["reserved through", `sequence ${state.sequencesThrough}, file id ${state.fileIdsThrough}`],
        ...state.lostRanges.map(({ from, to }) => ["lost sequences", `${from} to ${to - 1}`]),
        ...Array.from(state.historyFrom, ([keyspace, sequence]) => ["history", `of keyspace ${keyspaceText(keyspace)} from sequence ${sequence}`]),
        ...Array.from(state.droppedKeyspaces, ([keyspace, sequence]) => ["dropped", `keyspace ${keyspace} at sequence ${sequence}`])
      ],
      [],
      "  "
    ),
  json: () => ({
    type: "state",
    uuid: idText(state.uuid),
    lineageId: idText(state.lineageId),
    epoch: state.epoch,
    hashSeed: hex8(state.hashSeed),
    engineTime: timeText(state.engineTimeMs),
    flushedThrough: state.flushedThrough,
    sequencesThrough: state.sequencesThrough,
    fileIdsThrough: state.fileIdsThrough,
    lostRanges: state.lostRanges,
    historyFrom: Object.fromEntries(state.historyFrom),
    droppedKeyspaces: Object.fromEntries(state.droppedKeyspaces)
  })
})

function* fileItems(
  render: Render,
  directory: string,
  kind: FileKind,
  id: number,
  missing: (kind: FileKind, id: number) => Damage | undefined,
  items: (source: Source) => Items
): Items {
  const name = fileName(kind, id)
  try {
    yield* withFile(`${directory}/${name}`, items)
  } catch (cause) {
    if (cause instanceof Damage) return yield damageItem(render, cause)
    if (!isGone(cause)) throw cause
    const damage = missing(kind, id)
    if (damage === undefined) return yield noteItem(render, name, `${name} is not part of the database any more: the writer has moved on`)
    yield { text: () => [`  ${name}`], json: () => ({ type: kind, file: name }) }
    yield damageItem(render, damage, "    ")
  }
}

function* sizeItems(render: Render, source: Source, expected: number): Items {
  const size = source.sizeBytes()
  if (size !== expected)
    yield damageItem(
      render,
      new Damage(source.path, Math.min(size, expected), "Truncated", `${size} bytes, and the manifest says ${expected}`),
      "    "
    )
}

function* segmentItems(render: Render, source: Source, meta: SegmentMeta): Items {
  const { sealed } = meta
  const line = (state: string, first: number, last: number, more: string): Item => ({
    text: () => [
      `  ${source.name}  ${formatBytes(source.sizeBytes())}  epoch ${meta.epoch}  ${state}  ${first > last ? "no transaction" : `sequences ${first} to ${last}`}${more}`
    ],
    json: () => ({
      type: "log",
      file: source.name,
      bytes: source.sizeBytes(),
      epoch: meta.epoch,
      state,
      ...(first > last ? {} : { firstSequence: first, lastSequence: last })
    })
  })
  if (sealed !== undefined) yield line("sealed", sealed.firstSequence, sealed.lastSequence, `  ends at ${sealed.lengthBytes}`)
  const head = readHead(source, segmentAlignmentMax)
  try {
    const header = decodeSegmentHeader(crc32, source.path, head)
    if (header.sum !== meta.headerSum) throw new Damage(source.path, 0, "Unexpected", "not the header that the manifest names")
    if (sealed === undefined) {
      let first = 1
      let last = 0
      let groups = 0
      for (const part of walkSegment(crc32, header, source, { basePosition: meta.basePosition })) {
        if (part.type !== "group") continue
        const { firstSequence, transactionCount } = part.group.header
        if (groups++ === 0) first = firstSequence
        last = firstSequence + transactionCount - 1
      }
      yield line(groups === 0 ? "prepared" : "open", first, last, groups === 0 ? "" : `  ${formatNoun(groups, "group")}`)
    } else if (source.sizeBytes() < sealed.lengthBytes)
      throw new Damage(source.path, source.sizeBytes(), "Truncated", `sealed at ${sealed.lengthBytes} bytes`)
  } catch (cause) {
    if (!(cause instanceof Damage)) throw cause
    if (sealed === undefined) yield line("not sealed", 1, 0, "")
    yield damageItem(render, cause, "    ")
  }
}

function* tableItems(render: Render, source: Source, meta: TableMeta): Items {
  const outline = outlineOf(source, meta.root)
  const filterBits = outline instanceof Damage ? undefined : outline.properties?.filterBitsPerKey
  yield {
    text: () => {
      const tombstones = meta.rangeTombstoneCount === 0 ? "" : `, ${formatNoun(meta.rangeTombstoneCount, "range tombstone")}`
      const facts =
        `  ${source.name}  ${formatBytes(meta.fileBytes)}  ${formatNoun(meta.entryCount, "entry", "entries")} (${formatNoun(meta.deleteCount, "delete")}${tombstones})  ` +
        `sequences ${meta.smallestSequence} to ${meta.largestSequence}${filterBits === undefined ? "" : `  filter ${filterBits} bits`}`
      return [facts, `    ${rangeText(render, meta, 8)}`]
    },
    json: () => ({
      type: "table",
      file: source.name,
      ...tableJson(render, meta),
      ...(filterBits === undefined ? {} : { filterBitsPerKey: filterBits })
    })
  }
  yield* sizeItems(render, source, meta.fileBytes)
  if (outline instanceof Damage) yield damageItem(render, outline, "    ")
}

function* valueFileItems(render: Render, source: Source, meta: ValueFileMeta, liveBytes: number): Items {
  const dead = meta.valueBytes - liveBytes
  yield {
    text: () => [
      `  ${source.name}  ${formatBytes(meta.fileBytes)}  ${formatBytes(meta.valueBytes)} of values: ${formatBytes(liveBytes)} live, ${formatBytes(dead)} dead`
    ],
    json: () => ({ type: "values", file: source.name, bytes: meta.fileBytes, valueBytes: meta.valueBytes, liveBytes, deadBytes: dead })
  }
  yield* sizeItems(render, source, meta.fileBytes)
}

/** Without a manifest only the names are known. */
function* namesOnly(render: Render, directory: string): Items {
  const { files } = listDirectory(nodeDisk, directory)
  yield titleItem(render, "files", files.length === 0 ? "none" : "as they lie there; which of them belong to the database is not known")
  for (const { kind, name } of [...files].sort((a, b) => a.id - b.id)) {
    const bytes = nodeDisk.stat(`${directory}/${name}`)?.sizeBytes ?? 0
    yield { text: () => [`  ${name}  ${formatBytes(bytes)}`], json: () => ({ type: "file", kind, file: name, bytes }) }
  }
}

function* unnamedItems(render: Render, directory: string, state: ManifestState, manifestId: number | undefined): Items {
  let listing: ReturnType<typeof listDirectory>["files"]
  try {
    listing = listDirectory(nodeDisk, directory).files
  } catch (cause) {
    if (cause instanceof IoFailure) return
    throw cause
  }
  const unnamed = listing
    .filter(
      ({ id, kind }) =>
        !(kind === "manifest" ? id === manifestId : (kind === "log" ? state.segments : kind === "table" ? state.tables : state.valueFiles).has(id))
    )
    .sort((a, b) => a.id - b.id)
  if (unnamed.length === 0) return
  yield titleItem(
    render,
    "not named",
    `${formatNoun(unnamed.length, "file")} that the manifest does not name: being written, or left behind by a crash, or let go of`
  )
  for (const { kind, name } of unnamed) {
    const bytes = nodeDisk.stat(`${directory}/${name}`)?.sizeBytes ?? 0
    yield { text: () => [`  ${name}  ${formatBytes(bytes)}`], json: () => ({ type: "unnamed", kind, file: name, bytes }) }
  }
}
