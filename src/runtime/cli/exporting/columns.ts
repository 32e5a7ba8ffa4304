/** The columns of CSV and TSV: given by `--fields`, and typed by a look at all entries where types are not given. */
import { isText } from "./TextBlock.ts"
import type { ExportEntry } from "./encoder.ts"

export const columnTypes = ["text", "base64", "hex", "json", "number", "boolean"] as const
export type ColumnType = (typeof columnTypes)[number]

/** Columns of the entry itself; every other name is a field of its value. */
const ownColumns = ["key", "value", "keyspace", "expiresAt"] as const
type OwnColumn = (typeof ownColumns)[number]

export interface Column {
  readonly name: string
  readonly type: ColumnType
}

/** As asked for: without a type where the data decides. */
export interface WantedColumn {
  readonly name: string
  readonly type: ColumnType | undefined
}

export const isOwn = (name: string): name is OwnColumn => ownColumns.some((own) => own === name)

const typesOf = (name: string): ReadonlyArray<ColumnType> => {
  switch (name) {
    case "key":
    case "value":
      return ["text", "base64", "hex"]
    case "keyspace":
      return ["text"]
    case "expiresAt":
      return ["number"]
    default:
      return ["text", "json", "number", "boolean"]
  }
}

/** "key,total:number,customer.name" as columns, or what is wrong with it. */
export const parseFields = (text: string): ReadonlyArray<WantedColumn> | string => {
  const columns: Array<WantedColumn> = []
  for (const part of text.split(",")) {
    const colon = part.lastIndexOf(":")
    const name = colon < 0 ? part : part.slice(0, colon)
    const typeName = colon < 0 ? undefined : part.slice(colon + 1)
    if (name === "") return "--fields has an empty name"
    if (columns.some((column) => column.name === name)) return `--fields names ${JSON.stringify(name)} twice`
    const allowed = typesOf(name)
    const type = allowed.find((known) => known === typeName)
    if (typeName !== undefined && type === undefined)
      return `--fields gives ${JSON.stringify(name)} the type ${JSON.stringify(typeName)}; use ${allowed.join(", ")}`
    columns.push({ name, type: type ?? (name === "keyspace" || name === "expiresAt" ? allowed[0] : undefined) })
  }
  return columns
}

/** A field of a JSON object: by its whole name, or else through nested objects by its parts. */
export const fieldOf = (object: unknown, name: string, path: ReadonlyArray<string>): unknown => {
  const own = (from: unknown, field: string): unknown =>
    typeof from === "object" && from !== null && !Array.isArray(from) && Object.hasOwn(from, field) ? Reflect.get(from, field) : undefined
  const whole = own(object, name)
  if (whole !== undefined || path.length === 1) return whole
  let found = object
  for (const part of path) found = own(found, part)
  return found
}

/** The value as a JSON object; undefined where it is none. */
export const objectOf = (value: Uint8Array): object | undefined => {
  if (value.length === 0 || !isText(value)) return undefined
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString())
    return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

const seenKinds = { text: 1, number: 2, boolean: 4, other: 8 } as const

const kindOf = (value: unknown): number => {
  if (typeof value === "string") return value.isWellFormed() ? seenKinds.text : seenKinds.other
  if (typeof value === "number") return seenKinds.number
  return typeof value === "boolean" ? seenKinds.boolean : seenKinds.other
}

/** Looks at entries until it knows what the columns are. */
export class ColumnSurvey {
  private readonly wanted: ReadonlyArray<WantedColumn> | undefined
  private readonly fields: ReadonlyArray<{ readonly name: string; readonly path: ReadonlyArray<string> }>
  private readonly kinds = new Map<string, number>()
  private readonly hexKeys: boolean
  private readonly all: boolean
  private keyIsText = true
  private valueIsText = true
  private expires = false

  /** `wanted` is undefined for what every entry has. */
  constructor(wanted: ReadonlyArray<WantedColumn> | undefined, all: boolean, hexKeys: boolean) {
    this.wanted = wanted
    this.all = all
    this.hexKeys = hexKeys
    this.fields = (wanted ?? []).filter(({ name, type }) => type === undefined && !isOwn(name)).map(({ name }) => ({ name, path: name.split(".") }))
  }

  /** Nothing that follows can change the columns. */
  get isDecided(): boolean {
    if (this.wanted === undefined) return (this.hexKeys || !this.keyIsText) && !this.valueIsText && this.expires
    return this.wanted.every(({ name, type }) => {
      if (type !== undefined) return true
      if (name === "key") return this.hexKeys || !this.keyIsText
      return name === "value" && !this.valueIsText
    })
  }

  /** Whether anything still depends on values. */
  get needsValues(): boolean {
    if (this.fields.length > 0) return true
    return this.valueIsText && (this.wanted === undefined || this.wanted.some(({ name, type }) => name === "value" && type === undefined))
  }

  /** The value of the entry may be empty in place of what it is, once `needsValues` is false. */
  add(entry: ExportEntry): void {
    if (this.keyIsText && !isText(entry.key)) this.keyIsText = false
    if (this.valueIsText && !isText(entry.value)) this.valueIsText = false
    if (entry.expiresAt !== undefined) this.expires = true
    if (this.fields.length === 0) return
    const object = objectOf(entry.value)
    if (object === undefined) return
    for (const { name, path } of this.fields) {
      const value = fieldOf(object, name, path)
      if (value !== undefined) this.kinds.set(name, (this.kinds.get(name) ?? 0) | kindOf(value))
    }
  }

  columns(): ReadonlyArray<Column> {
    const wanted: ReadonlyArray<WantedColumn> = this.wanted ?? [
      { name: "key", type: undefined },
      { name: "value", type: undefined },
      ...(this.all ? [{ name: "keyspace", type: "text" } as const] : []),
      ...(this.expires ? [{ name: "expiresAt", type: "number" } as const] : [])
    ]
    return wanted.map(({ name, type }) => ({ name, type: type ?? this.typeOf(name) }))
  }

  private typeOf(name: string): ColumnType {
    if (name === "key") return this.hexKeys ? "hex" : this.keyIsText ? "text" : "base64"
    if (name === "value") return this.valueIsText ? "text" : "base64"
    switch (this.kinds.get(name)) {
      case undefined:
      case seenKinds.text:
        return "text"
      case seenKinds.number:
        return "number"
      case seenKinds.boolean:
        return "boolean"
      default:
        return "json"
    }
  }
}
