/**
 * What a stopped export leaves beside its unfinished output, in `<destination>.part.json`, so that the same command goes on: the moment, the last entry, and how much of the
 * output is complete. It is written after the output it speaks of is durable, and replaced as a whole.
 */
import * as fs from "node:fs"
import type { Column } from "./columns.ts"
import { codeOf } from "./io.ts"

const stateVersion = 1

export interface ExportProblem {
  readonly keyBase64: string
  readonly keyspace: string | null
  readonly reason: string
}

export interface Position {
  /** Index in `spaces`. */
  readonly space: number
  readonly lastKeyBase64: string
  /** Of the output; 0 for trees. */
  readonly bytes: number
  readonly entries: number
  readonly dataBytes: number
  readonly skipped: number
  readonly problems: ReadonlyArray<ExportProblem>
}

export interface ResumeState {
  readonly version: typeof stateVersion
  /** Which database and which command: what a resumed export must share with the one that stopped. */
  readonly command: string
  readonly sequence: number
  /** Names of the keyspaces, in order; null: the default one. */
  readonly spaces: ReadonlyArray<string | null>
  readonly columns: ReadonlyArray<Column> | null
  readonly entriesTotal: number | null
  /** The process that writes, or wrote, the output. */
  readonly writer: { readonly pid: number; readonly started: string | null }
  /** Null before the first point to go on from. */
  readonly position: Position | null
}

export const stateOf = (fields: Omit<ResumeState, "version" | "writer">): ResumeState => ({
  ...fields,
  version: stateVersion,
  writer: { pid: process.pid, started: startedOf(process.pid) }
})

/** When the process began, in the words of the system: a number alone may be another process by now. */
const startedOf = (pid: number): string | null => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    // The second field is a name in parentheses, which may hold anything; the 22nd is the time.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null
  } catch {
    return null
  }
}

/** Whether the process that wrote the state is another one that still runs. */
export const isRunning = ({ writer: { pid, started } }: ResumeState): boolean => {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) === "EPERM"
  }
  return started === null || startedOf(pid) === started
}

const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value)

const isPosition = (value: unknown): boolean =>
  isObject(value) &&
  isCount(value["space"]) &&
  typeof value["lastKeyBase64"] === "string" &&
  ["bytes", "entries", "dataBytes", "skipped"].every((name) => isCount(value[name])) &&
  Array.isArray(value["problems"])

const isState = (value: unknown): value is ResumeState =>
  isObject(value) &&
  value["version"] === stateVersion &&
  typeof value["command"] === "string" &&
  isCount(value["sequence"]) &&
  Array.isArray(value["spaces"]) &&
  (value["columns"] === null || Array.isArray(value["columns"])) &&
  isObject(value["writer"]) &&
  isCount(value["writer"]["pid"]) &&
  (value["position"] === null || isPosition(value["position"]))

/** Undefined where there is none; a string says why the one there is of no use. Throws what reading throws. */
export const readState = (path: string): ResumeState | string | undefined => {
  let text: string
  try {
    text = fs.readFileSync(path, "utf8")
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined
    throw error
  }
  try {
    const parsed: unknown = JSON.parse(text)
    return isState(parsed) ? parsed : "its state is not one of this version"
  } catch {
    return "its state cannot be read"
  }
}

/** Throws what writing throws. Not synced: what a power cut leaves of it is the old one, this one, or something that cannot be read, and then the export starts again. */
export const writeState = (path: string, state: ResumeState): void => {
  const beside = `${path}.new`
  fs.rmSync(beside, { force: true })
  fs.writeFileSync(beside, `${JSON.stringify(state)}\n`, { flag: "wx" })
  fs.renameSync(beside, path)
}
