import { InvalidOptions } from "../errors.ts"
import type { KeyspaceSettings } from "../keys/catalogRows.ts"
import { didYouMean } from "./didYouMean.ts"
import { historyExpects, readHistory } from "./historyOption.ts"
import { show } from "./show.ts"

const fields: ReadonlyArray<string> = ["history", "beforeImages"]

/** What the options a keyspace is opened with say of how it is kept; undefined where they do not say. Throws `InvalidOptions`. */
export const keyspaceSettings = (given: unknown): KeyspaceSettings => {
  if (given === undefined) return {}
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new InvalidOptions({ problems: [`the options of a keyspace must be an object such as { history: "1 day" }, found ${show(given)}`] })
  }
  const problems: Array<string> = []
  for (const name of Object.keys(given)) {
    if (fields.includes(name)) continue
    const meant = didYouMean(name, fields)
    const hint = meant === undefined ? `there are ${fields.join(", ")}` : `did you mean ${meant}?`
    problems.push(`${JSON.stringify(name)} is not an option of a keyspace; ${hint}`)
  }
  const { beforeImages, history }: { readonly history?: unknown; readonly beforeImages?: unknown } = given
  const kept = history === undefined ? undefined : readHistory(history)
  if (history !== undefined && kept === undefined) problems.push(`history must be ${historyExpects}, found ${show(history)}`)
  const isFlag = beforeImages === undefined || typeof beforeImages === "boolean"
  if (!isFlag) problems.push(`beforeImages must be true or false, found ${show(beforeImages)}`)
  if (problems.length > 0 || !isFlag) throw new InvalidOptions({ problems })
  return kept === undefined ? { beforeImages } : { ...kept, historyMs: Math.ceil(kept.historyMs), beforeImages }
}

/** What a keyspace says once it is opened with these options: what they do not name stays as it is. */
export const withSettings = (own: KeyspaceSettings, wanted: KeyspaceSettings): KeyspaceSettings => ({
  ...(wanted.historyMs === undefined
    ? { historyMs: own.historyMs, historyVersions: own.historyVersions }
    : { historyMs: wanted.historyMs, historyVersions: wanted.historyVersions }),
  beforeImages: wanted.beforeImages ?? own.beforeImages
})

/** Whether opening it with these options leaves it as it is. */
export const isConfiguredAs = (own: KeyspaceSettings, wanted: KeyspaceSettings): boolean =>
  (wanted.historyMs === undefined || (wanted.historyMs === own.historyMs && wanted.historyVersions === own.historyVersions)) &&
  (wanted.beforeImages ?? own.beforeImages) === own.beforeImages
