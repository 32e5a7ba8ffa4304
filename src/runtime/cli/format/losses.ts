import type { Loss } from "../../../domain/repair/Loss.ts"
import type { SalvageReport } from "../../../domain/repair/RepairReport.ts"
import { formatLine } from "./bytesText.ts"
import { formatCount, formatNoun } from "./numbers.ts"

const keyspaceText = (id: number): string =>
  id === 0 ? "the catalog" : id === 1 ? "the default keyspace" : id === 2 ? "the expiry index" : `keyspace ${id}`

const keyText = (key: Uint8Array): string => (key.length === 0 ? "its first key" : formatLine(key))

const rangeText = ({ range }: Loss): string => {
  if (range === undefined) return "any key"
  const { from, to } = range
  const begin = `${keyspaceText(from.keyspace)} from ${keyText(from.key)}`
  if (to === undefined) return `${begin} to the end`
  // A bound that ends in a zero byte is what lies directly after the key.
  const isInclusive = to.key.at(-1) === 0
  const end = isInclusive ? keyText(to.key.subarray(0, -1)) : keyText(to.key)
  if (to.keyspace !== from.keyspace) return `${begin} to ${keyspaceText(to.keyspace)} ${isInclusive ? "through" : "before"} ${end}`
  return `${begin} ${isInclusive ? "through" : "to before"} ${end}`
}

const sequencesText = ({ sequences }: Loss): string =>
  sequences === undefined || sequences.last === 0
    ? ""
    : sequences.last === undefined
      ? `, transactions from ${formatCount(sequences.first)} on`
      : `, transactions ${formatCount(sequences.first)} to ${formatCount(sequences.last)}`

const effectText = {
  missing: "may be missing",
  stale: "may be missing or show an older value",
  none: "no key is concerned"
} as const

/** What was lost in one place, for a person. */
export const lossLines = (loss: Loss): ReadonlyArray<string> => [
  `  ${loss.file} at byte ${loss.offsetBytes}: ${loss.reason}${loss.detail === "" ? "" : ` (${loss.detail})`}`,
  `    ${loss.effect === "none" ? `${loss.kind}: ${effectText.none}` : `${loss.kind}: ${rangeText(loss)} ${effectText[loss.effect]}`}${sequencesText(loss)}` +
    (loss.entries === undefined || loss.entries === 0 ? "" : `, ${formatNoun(loss.entries, "entry", "entries")}`)
]

const placeJson = (place: { readonly keyspace: number; readonly key: Uint8Array }) => ({ keyspace: place.keyspace, key: formatLine(place.key) })

export const lossJson = ({ range, ...loss }: Loss) => ({
  ...loss,
  range: range === undefined ? undefined : { from: placeJson(range.from), to: range.to === undefined ? undefined : placeJson(range.to) }
})

/** What a salvaging open has lost, line by line; nothing where the database is sound. */
export const salvageLines = ({ healthy, laterTransactions, losses, sequence }: SalvageReport): ReadonlyArray<string> => {
  if (healthy) return []
  const real = losses.filter(({ effect }) => effect !== "none")
  const others = losses.filter(({ effect }) => effect === "none")
  return [
    `salvage: the database is damaged, and shown as of sequence ${formatCount(sequence)} as far as it can be read. ${real.length === 0 ? "Nothing of the data is lost" : "Lost:"}`,
    ...real.flatMap(lossLines),
    ...(others.length === 0 ? [] : ["damaged, without loss of data:", ...others.flatMap(lossLines)]),
    ...(laterTransactions === 0
      ? []
      : [`left out: ${formatNoun(laterTransactions, "later transaction", "later transactions")}, because earlier ones are missing`])
  ]
}

export const salvageJson = ({ healthy, laterTransactions, losses, sequence }: SalvageReport) => ({
  healthy,
  sequence,
  losses: losses.map(lossJson),
  laterTransactions
})
