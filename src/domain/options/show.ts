import { describeType } from "../keys/describeType.ts"

/** What was given in place of an option, for an error: short values as they are, of others their type. */
export const show = (value: unknown): string => {
  if (typeof value === "number" || typeof value === "boolean") return String(value)
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  return describeType(value)
}
