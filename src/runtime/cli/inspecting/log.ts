/** A log segment: header, groups, transactions, operations. */
import { Damage } from "../../../domain/failures.ts"
import type { SegmentMeta } from "../../../domain/manifest/SegmentMeta.ts"
import { atomicNameOf } from "../../../domain/transaction/atomic.ts"
import type { BeforeImage } from "../../../domain/wal/beforeImage.ts"
import { GroupFlag } from "../../../domain/wal/GroupHeader.ts"
import { decodeTransactions, type LoggedOperation, type LoggedTransaction } from "../../../domain/wal/LoggedTransaction.ts"
import { decodeSegmentHeader, segmentAlignmentMax } from "../../../domain/wal/SegmentHeader.ts"
import { frameOfDamaged, type SegmentPart, walkSegment } from "../../../domain/wal/walkSegment.ts"
import { codecs } from "../../../layers/codecs.ts"
import { crc32 } from "../../../layers/crc32.ts"
import { formatNoun } from "../format/numbers.ts"
import { orDamage, readHead, type Source } from "./files.ts"
import {
  absentItem,
  annotationText,
  codecName,
  damageItem,
  hex8,
  idText,
  type Item,
  type Items,
  keyJson,
  keyText,
  noteItem,
  type Render,
  type Selection,
  timeText,
  valueJson,
  valueText
} from "./Item.ts"

type GroupPart = Extract<SegmentPart, { type: "group" }>

/** `meta`: what the manifest says of the segment, where that can be read. */
export function* inspectLog(render: Render, source: Source, selection: Selection, meta: SegmentMeta | undefined): Items {
  const head = readHead(source, segmentAlignmentMax)
  const header = orDamage(() => decodeSegmentHeader(crc32, source.path, head))
  const frame = header instanceof Damage ? frameOfDamaged(crc32, head) : header
  if (header instanceof Damage) yield damageItem(render, header)
  else {
    if (selection.record === undefined && selection.from === undefined)
      yield {
        text: () => [
          `  header  offset 0  ${header.alignment} bytes  sum ok  file ${header.fileId}  epoch ${header.epoch}  salt ${idText(header.salt)}`,
          `          database ${idText(header.uuid)}`
        ],
        json: () => ({
          type: "header",
          file: source.name,
          offset: 0,
          fileId: header.fileId,
          epoch: header.epoch,
          alignment: header.alignment,
          salt: idText(header.salt),
          uuid: idText(header.uuid),
          sum: hex8(header.sum)
        })
      }
    if (meta !== undefined && (header.sum !== meta.headerSum || header.epoch !== meta.epoch))
      yield damageItem(render, new Damage(source.path, 0, "Unexpected", "not the header that the manifest names"))
  }
  if (frame === undefined) return
  const sealed = meta?.sealed
  let end = frame.alignment
  let base = meta?.basePosition
  // By what this segment and the manifest's word for it prove; `verify` also asks the segments after it.
  let durable = meta?.floorPosition ?? 0
  let lastSum: number | undefined
  let transactions = 0
  let groups = 0
  /** What ends the readable log, until it is known whether it was known to be durable. */
  let tail: Extract<SegmentPart, { type: "gap" }> | undefined
  for (const part of walkSegment(crc32, frame, source, { basePosition: base, limit: sealed?.lengthBytes })) {
    if (part.type === "zeros") {
      if (selection.record === undefined)
        yield {
          text: () => [`  zeros   offset ${part.offset}  ${part.lengthBytes} bytes: room for more`],
          json: () => ({ type: "zeros", file: source.name, offset: part.offset, bytes: part.lengthBytes })
        }
      continue
    }
    if (part.type === "gap") {
      if (part.laterGroups) yield damageItem(render, gapDamage(source, part.offset, part.lengthBytes, "and a valid group follows"))
      else tail = part
      continue
    }
    const { header: group, offset } = part.group
    const paddingFrom = end
    end = offset + group.lengthBytes
    groups++
    if (part.sumHolds && part.problem === undefined) base ??= group.position - (offset - frame.alignment)
    durable = Math.max(durable, part.sumHolds ? group.durableThrough : 0)
    lastSum = group.sum
    if (selection.record !== undefined && part.index !== selection.record) continue
    const lastSequence = group.firstSequence + group.transactionCount - 1
    if (selection.from !== undefined && lastSequence < selection.from) continue
    yield groupItem(render, source, part)
    if (!part.sumHolds)
      yield damageItem(render, new Damage(source.path, offset, "ChecksumMismatch", "what is shown of this group may be wrong"), "    ")
    if (!part.follows)
      yield damageItem(render, new Damage(source.path, offset, "Unexpected", "it does not name the group before as its previous one"), "    ")
    if (part.problem !== undefined) yield damageItem(render, part.problem, "    ")
    if (sealed !== undefined && !part.paddingIsZero)
      yield damageItem(render, new Damage(source.path, paddingFrom, "Malformed", "padding is not zero"), "    ")
    const decoded = orDamage(() => transactionsOf(part, source))
    if (decoded instanceof Damage) {
      // That a damaged group cannot be decoded is no further damage.
      if (part.sumHolds && part.problem === undefined) yield damageItem(render, decoded, "    ")
      continue
    }
    for (const transaction of decoded) {
      if (selection.from !== undefined && transaction.sequence < selection.from) continue
      if (transactions++ === selection.limit) return
      yield* transactionItems(render, source, transaction)
    }
  }
  if (selection.record !== undefined) {
    if (selection.record >= groups) yield absentItem(source.name, `group ${selection.record}`, groups)
    return
  }
  const endPosition = base === undefined ? undefined : base + end - frame.alignment
  if (sealed !== undefined) {
    if (end !== sealed.lengthBytes || source.sizeBytes() < sealed.lengthBytes)
      yield damageItem(
        render,
        new Damage(
          source.path,
          Math.min(end, source.sizeBytes()),
          source.sizeBytes() < sealed.lengthBytes ? "Truncated" : "ChecksumMismatch",
          `sealed at ${sealed.lengthBytes} bytes`
        )
      )
    else if (lastSum !== undefined && lastSum !== sealed.lastSum)
      yield damageItem(render, new Damage(source.path, end, "ChecksumMismatch", "the last group is not the one it was sealed with"))
  } else if (endPosition !== undefined && endPosition < durable) {
    yield damageItem(
      render,
      new Damage(
        source.path,
        end,
        tail === undefined ? "Truncated" : "ChecksumMismatch",
        `the log ends at position ${endPosition}, but was durable through ${durable}`
      )
    )
  } else if (tail !== undefined) {
    const { lengthBytes, offset } = tail
    yield noteItem(
      render,
      source.name,
      `torn tail at offset ${offset}: ${formatNoun(lengthBytes, "byte")} without a valid group. A write that was not finished, or is being made; recovery cuts it`,
      offset
    )
  }
}

const gapDamage = (source: Source, offset: number, lengthBytes: number, rest: string): Damage =>
  new Damage(source.path, offset, "ChecksumMismatch", `${formatNoun(lengthBytes, "byte")} without a valid group, ${rest}`)

const transactionsOf = (part: GroupPart, source: Source): ReadonlyArray<LoggedTransaction> => {
  try {
    return decodeTransactions(part.group, codecs)
  } catch (cause) {
    if (cause instanceof Damage || part.sumHolds) throw cause
    // A codec may throw anything at damaged bytes.
    throw new Damage(source.path, part.group.offset, "Malformed", String(cause))
  }
}

const groupItem = (render: Render, source: Source, part: GroupPart): Item => {
  const { header, offset } = part.group
  const last = header.firstSequence + header.transactionCount - 1
  return {
    text: () => [
      render.style(
        "bold",
        `  group ${part.index}  offset ${offset}  ${header.lengthBytes} bytes  ${part.sumHolds ? "sum ok" : "sum WRONG"}  ` +
          `${header.transactionCount === 0 ? "no transaction" : `sequences ${header.firstSequence} to ${last}`}`
      ),
      `    position ${header.position}, epoch ${header.epoch}, sum ${hex8(header.sum)} after ${hex8(header.previousSum)}, durable through ${header.durableThrough}` +
        `${header.codec === 0 ? "" : `, ${codecName(header.codec)} of ${header.rawBytes} bytes`}${(header.flags & GroupFlag.rewritten) === 0 ? "" : ", rewritten by an open"}`
    ],
    json: () => ({
      type: "group",
      file: source.name,
      group: part.index,
      offset,
      bytes: header.lengthBytes,
      sumHolds: part.sumHolds,
      follows: part.follows,
      firstSequence: header.firstSequence,
      transactions: header.transactionCount,
      position: header.position,
      epoch: header.epoch,
      durableThrough: header.durableThrough,
      codec: codecName(header.codec),
      rewritten: (header.flags & GroupFlag.rewritten) !== 0,
      sum: hex8(header.sum),
      previousSum: hex8(header.previousSum)
    })
  }
}

function* transactionItems(render: Render, source: Source, transaction: LoggedTransaction): Items {
  const { annotation, commitTimeMs, operations, sequence } = transaction
  yield {
    isTransaction: true,
    text: () => [
      `    ${sequence}  ${timeText(commitTimeMs)}  ${formatNoun(operations.length, "operation")}${annotation === undefined ? "" : `  annotated ${annotationText(render, annotation)}`}`
    ],
    json: () => ({
      type: "transaction",
      file: source.name,
      sequence,
      commitTime: timeText(commitTimeMs),
      operations: operations.length,
      ...(annotation === undefined ? {} : { annotation: annotationText({ ...render, full: true }, annotation) })
    })
  }
  for (const operation of operations)
    yield {
      text: () => operationLines(render, operation),
      json: () => ({ type: "operation", file: source.name, sequence, ...operationJson(render, operation) })
    }
}

/** What a key held before, where its keyspace has the log keep it; undefined where not. */
const beforeOf = (operation: LoggedOperation): BeforeImage => (operation.type === "rangeDelete" ? undefined : operation.before)

const operationLines = (render: Render, operation: LoggedOperation): Array<string> => {
  const before = beforeOf(operation)
  const was = before === undefined ? [] : [`        was ${before === null ? "nothing" : valueText(render, before, 12)}`]
  const lead = `      ${operation.type === "rangeDelete" ? "deleteRange" : operation.type}  ${operation.keyspace}/`
  if (operation.type === "rangeDelete") {
    const start = keyText(render, operation.start, lead.length + 8)
    return [`${lead}${start} .. ${keyText(render, operation.end, lead.length + 8)}`]
  }
  const key = keyText(render, operation.key, lead.length)
  if (operation.type === "expire") return [`${lead}${key}  version ${operation.version}, of ${timeText(operation.expiresAt)}`, ...was]
  const atomic = atomicNameOf(operation.annotation)
  const by = atomic === undefined ? "" : `  by ${atomic}`
  if (operation.type === "delete") return [`${lead}${key}${by}`, ...was]
  const more = `${operation.expiresAt === 0 ? "" : `  until ${timeText(operation.expiresAt)}`}${by}  ${formatNoun(operation.value.length, "byte")}`
  const shown = `${lead}${key}`
  // What does not fit goes onto a line of its own, as a value of three characters tells nothing.
  const left = render.columns - shown.length - more.length - 3
  return render.full || left >= 16
    ? [`${shown} = ${valueText(render, operation.value, render.columns - left)}${more}`, ...was]
    : [shown + more, `        ${valueText(render, operation.value, 8)}`, ...was]
}

const operationJson = (render: Render, operation: LoggedOperation): Record<string, unknown> => {
  const common = { kind: operation.type, keyspace: operation.keyspace }
  if (operation.type === "rangeDelete") return { ...common, ...keyJson(render, operation.start, "start"), ...keyJson(render, operation.end, "end") }
  const before = beforeOf(operation)
  const keyed = {
    ...common,
    ...keyJson(render, operation.key),
    ...(before === undefined ? {} : before === null ? { before: null } : valueJson(render, before, "before"))
  }
  if (operation.type === "expire") return { ...keyed, expiresAt: operation.expiresAt, version: operation.version }
  const atomic = atomicNameOf(operation.annotation)
  return {
    ...keyed,
    ...(operation.type === "put"
      ? { ...valueJson(render, operation.value), ...(operation.expiresAt === 0 ? {} : { expiresAt: operation.expiresAt }) }
      : {}),
    ...(atomic === undefined ? {} : { atomic })
  }
}
