/** From what was asked for to what is shown: which files, of which kind. */
import * as fs from "node:fs"
import * as path from "node:path"
import { Damage } from "../../../domain/failures.ts"
import { type FileKind, fileName, parseFileName } from "../../../domain/manifest/fileNames.ts"
import { formatBytes } from "../format/numbers.ts"
import { isGone, type Kind, recogniseKind, type Source, withFile } from "./files.ts"
import { damageItem, type Items, noteItem, type Render, type Selection } from "./Item.ts"
import { inspectLog } from "./log.ts"
import { inspectCurrent, inspectManifest } from "./manifest.ts"
import { inspectDatabase } from "./overview.ts"
import { surroundingsOf, type Surroundings } from "./surroundings.ts"
import { inspectTable } from "./table.ts"
import { inspectValues } from "./values.ts"

/** What was asked for cannot be shown. */
export class Refusal {
  readonly reason: "usage" | "notADatabase" | "notOurs"
  readonly message: string
  readonly hint: string
  constructor(reason: Refusal["reason"], message: string, hint: string) {
    this.reason = reason
    this.message = message
    this.hint = hint
  }
}

export interface Wanted {
  readonly directory: string
  readonly what: string | undefined
  readonly which: string | undefined
  readonly selection: Selection
}

const fileKinds: ReadonlyArray<FileKind> = ["manifest", "log", "table", "values"]
const isFileKind = (text: string): text is FileKind => fileKinds.some((kind) => kind === text)

/** Flags that mean something for a kind. */
const flagsOf: Readonly<Record<Kind, ReadonlyArray<keyof Selection>>> = {
  manifest: ["record", "limit"],
  log: ["record", "from", "limit"],
  table: ["block", "key", "entries", "limit"],
  values: ["record", "limit"],
  current: []
}

const refuseFlags = (kind: Kind | undefined, selection: Selection): Refusal | undefined => {
  const allowed = kind === undefined ? [] : flagsOf[kind]
  for (const name of ["record", "from", "limit", "block", "key", "entries"] as const) {
    const value = selection[name]
    if (value === undefined || value === false || allowed.includes(name)) continue
    return new Refusal(
      "usage",
      `--${name} means nothing for ${kind === undefined ? "a whole database" : kind === "current" ? "CURRENT" : `a file of kind ${kind}`}`,
      "--record is for manifest, log and values, --from for log, --block, --key and --entries for table; each of them with one file."
    )
  }
  return undefined
}

/** The items to show, or why there are none. Throws `IoFailure`. */
export const itemsOf = (render: Render, { directory, selection, what, which }: Wanted): Items | Refusal => {
  if (what === undefined) return database(render, directory, selection)
  if (!isFileKind(what)) {
    if (which !== undefined)
      return new Refusal(
        "usage",
        `${JSON.stringify(what)} is none of manifest, log, table and values`,
        "Give one of them and a file, or the path of a file alone."
      )
    const file = [what, path.join(directory, what)].find((candidate) => fs.existsSync(candidate))
    if (file === undefined)
      return new Refusal(
        "usage",
        `There is no file ${JSON.stringify(what)}`,
        `Give manifest, log, table or values, or the path of a file; ${directory} was looked into as well.`
      )
    return fs.statSync(file).isDirectory() ? database(render, file, selection) : single(render, file, selection)
  }
  const file = which === undefined ? undefined : fileOf(directory, what, which)
  if (file instanceof Refusal) return file
  if (file !== undefined) return single(render, file, selection)
  const around = surroundingsOf(directory)
  const refused = refuseDirectory(around)
  if (refused !== undefined) return refused
  if (what === "manifest") {
    if (around.manifestId === undefined) return inspectDatabase(render, around, "all")
    return single(render, `${directory}/${fileName("manifest", around.manifestId)}`, selection)
  }
  if (what === "log") return logs(render, around, selection)
  return refuseFlags(undefined, selection) ?? inspectDatabase(render, around, what)
}

const database = (render: Render, directory: string, selection: Selection): Items | Refusal => {
  const around = surroundingsOf(directory)
  return refuseDirectory(around) ?? refuseFlags(undefined, selection) ?? inspectDatabase(render, around, "all")
}

const refuseDirectory = ({ directory, isDatabase }: Surroundings): Refusal | undefined => {
  if (isDatabase) return undefined
  const isThere = fs.existsSync(directory)
  const ours = isThere && fs.statSync(directory).isDirectory() ? fs.readdirSync(directory).filter((name) => parseFileName(name) !== undefined) : []
  return new Refusal(
    "notADatabase",
    `${directory} is not a database: ${isThere ? "it has no file CURRENT" : "it does not exist"}`,
    ours.length === 0
      ? "Check --path, or give the path of a file."
      : `It holds ${ours.length} files of one (${ours.slice(0, 3).join(", ")}${ours.length > 3 ? ", …" : ""}): give the path of one of them.`
  )
}

/** "42", "000042.table" (in the database or as a path). */
const fileOf = (directory: string, kind: FileKind, which: string): string | Refusal => {
  const id = /^\d{1,16}$/.test(which) ? Number(which) : undefined
  const names = id === undefined ? [which, path.join(directory, which)] : [`${directory}/${fileName(kind, id)}`]
  const found = names.find((name) => fs.existsSync(name))
  return (
    found ??
    new Refusal(
      "usage",
      `There is no ${kind} file ${JSON.stringify(which)} in ${directory}`,
      `\`lightning inspect\` lists the files of the database.`
    )
  )
}

/** The directory of the file is asked what it is meant to be; alone, a file says as much itself. */
const single = (render: Render, file: string, selection: Selection): Items | Refusal => {
  let kind: Kind | undefined
  // Closed again at once: what is shown is opened when it is shown.
  for (const _ of withFile(file, function* (source) {
    kind = recogniseKind(source)
    yield noteItem(render, source.name, "")
  }));
  if (kind === undefined)
    return new Refusal(
      "notOurs",
      `${file} is not a file of a Lightning DB database`,
      "Neither its first bytes nor its name are those of a log segment, a manifest, a table or a value file."
    )
  return refuseFlags(kind, selection) ?? fileItems(render, file, kind, selection)
}

const titles: Readonly<Record<Kind, string>> = { log: "log segment", manifest: "manifest", table: "table", values: "value file", current: "CURRENT" }

function* fileItems(render: Render, file: string, kind: Kind, selection: Selection): Items {
  const directory = path.dirname(file)
  const around = surroundingsOf(directory)
  const named = parseFileName(path.basename(file))
  // A copy that lies beside another database is not what that one names.
  const state = named?.kind === kind ? around.state : undefined
  yield* withFile(file, function* (source) {
    const size = source.sizeBytes()
    yield {
      text: () => [`${render.style("bold", source.path)}  ${titles[kind]}, ${formatBytes(size)}`],
      json: () => ({ type: "file", file: source.name, path: source.path, kind, bytes: size })
    }
    if (named !== undefined && named.kind !== kind)
      yield noteItem(render, source.name, `its name says ${titles[named.kind]}, its first bytes say ${titles[kind]}`)
    if (size === 0) return yield damageItem(render, new Damage(source.path, 0, "Truncated", "the file is empty"))
    const id = named?.id ?? -1
    if (around.writerPid !== undefined && (kind === "log" || kind === "manifest"))
      yield noteItem(
        render,
        source.name,
        `process ${around.writerPid} has the database open for writing: the end may be in the middle of being written`
      )
    if (kind === "log") {
      const meta = state?.segments.get(id)
      if (state !== undefined && meta === undefined) yield unnamed(render, source)
      yield* inspectLog(render, source, selection, meta)
    } else if (kind === "table") {
      const meta = state?.tables.get(id)
      if (state !== undefined && meta === undefined) yield unnamed(render, source)
      yield* inspectTable(render, source, selection, meta)
    } else if (kind === "values") {
      const meta = state?.valueFiles.get(id)
      if (state !== undefined && meta === undefined) yield unnamed(render, source)
      yield* inspectValues(render, source, selection, meta)
    } else if (kind === "manifest") {
      if (around.manifestId !== undefined && named?.id !== around.manifestId)
        yield noteItem(render, source.name, `CURRENT names ${fileName("manifest", around.manifestId)}, and not this one`)
      yield* inspectManifest(render, source, selection)
    } else yield* inspectCurrent(render, source)
  })
}

const unnamed = (render: Render, source: Source) =>
  noteItem(render, source.name, "the manifest beside it does not name it: being written, or left behind by a crash, or let go of")

/** All segments in log order; one of them where only one holds what is wanted. */
const logs = (render: Render, around: Surroundings, selection: Selection): Items | Refusal => {
  const { directory, state } = around
  if (state === undefined) return inspectDatabase(render, around, "log")
  const metas = [...state.segments.values()].sort((a, b) => a.fileId - b.fileId)
  const refused = refuseFlags("log", selection)
  if (refused !== undefined) return refused
  if (selection.record !== undefined && metas.length > 1)
    return new Refusal(
      "usage",
      "--record wants one segment",
      `Give its number: ${metas.map(({ fileId }) => `lightning inspect log ${fileId} --record ${selection.record}`).join(", ")}.`
    )
  if (selection.limit !== undefined && selection.from === undefined && metas.length > 1)
    return new Refusal(
      "usage",
      "--limit wants one segment, or --from",
      `Give its number: ${metas.map(({ fileId }) => `lightning inspect log ${fileId}`).join(", ")}.`
    )
  return (function* () {
    let left = selection.limit
    for (const { fileId, sealed } of metas) {
      if (selection.from !== undefined && sealed !== undefined && sealed.lastSequence < selection.from) continue
      if (left !== undefined && left <= 0) return
      const file = `${directory}/${fileName("log", fileId)}`
      if (!fs.existsSync(file)) {
        const isNamed = surroundingsOf(directory).state?.segments.has(fileId) === true
        if (isNamed) yield damageItem(render, new Damage(file, 0, "Missing", "the manifest names this log segment"))
        continue
      }
      try {
        for (const item of fileItems(render, file, "log", { ...selection, limit: left })) {
          if (left !== undefined && item.isTransaction === true) left--
          yield item
        }
      } catch (cause) {
        // The writer has let go of it between two looks.
        if (!isGone(cause)) throw cause
      }
    }
  })()
}
