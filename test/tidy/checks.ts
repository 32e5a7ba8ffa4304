/**
 * The rules of the source tree as functions over an in-memory map of files (path from the root → text), so that each can be shown to catch a violation.
 * A rule returns one line per violation, `path:line what is wrong`; none means it holds.
 */
import { posix } from "node:path"
import { parseAst } from "rolldown/parseAst"

export type Files = ReadonlyMap<string, string>

type Node = { readonly type: string; readonly start: number } & { readonly [field: string]: unknown }

interface Parsed {
  readonly path: string
  readonly text: string
  readonly imports: ReadonlyArray<Import>
  /** Every node of the tree with its parent, in source order. */
  readonly nodes: ReadonlyArray<{ readonly node: Node; readonly parent: Node | undefined }>
}

interface Import {
  readonly specifier: string
  readonly start: number
  /** Erased when types are stripped: `import type`, `export type … from`, `import("…").T` in a type. `import { type T }` is not: the module is still loaded. */
  readonly typeOnly: boolean
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value && typeof value.type === "string"

const parsedFiles = new Map<string, Parsed>()

const parse = (path: string, text: string): Parsed => {
  const known = parsedFiles.get(path)
  if (known !== undefined && known.text === text) return known
  const nodes: Array<{ node: Node; parent: Node | undefined }> = []
  const imports: Array<Import> = []
  const visit = (value: unknown, parent: Node | undefined): void => {
    if (Array.isArray(value)) {
      for (const item of value) visit(item, parent)
    } else if (isNode(value)) {
      nodes.push({ node: value, parent })
      const source = value["source"]
      if (isNode(source) && typeof source["value"] === "string") {
        const typeOnly = value.type === "TSImportType" || value["importKind"] === "type" || value["exportKind"] === "type"
        imports.push({ specifier: source["value"], start: value.start, typeOnly })
      }
      for (const field of Object.values(value)) visit(field, value)
    }
  }
  visit(parseAst(text, { lang: "ts", sourceType: "module" }, path), undefined)
  const parsed = { path, text, imports, nodes }
  parsedFiles.set(path, parsed)
  return parsed
}

const all = (files: Files): ReadonlyArray<Parsed> => [...files].map(([path, text]) => parse(path, text))

const place = (file: Parsed, start: number): string => `${file.path}:${file.text.slice(0, start).split("\n").length}`

const isRelative = (specifier: string): boolean =>
  specifier.startsWith("./") || specifier.startsWith("../") || specifier === "." || specifier === ".."

const resolve = (from: string, specifier: string): string => posix.normalize(posix.join(posix.dirname(from), specifier))

/** The layers of the source tree, lowest first. A file imports from its own layer and the ones before it. */
const layerOrder = ["domain", "services", "layers", "runtime"]

/** Imports point one way, and type-only imports count too: a type from above is knowledge of what is above. */
export const importDirection = (files: Files): ReadonlyArray<string> =>
  all(files).flatMap((file) => {
    const own = layerOrder.indexOf(file.path.split("/")[1] ?? "")
    if (own < 0) return [`${file.path}:1 is in none of ${layerOrder.join(", ")}`]
    return file.imports
      .filter((entry) => isRelative(entry.specifier))
      .flatMap((entry) => {
        const [root, folder = ""] = resolve(file.path, entry.specifier).split("/")
        const target = root === "src" ? layerOrder.indexOf(folder) : -1
        return target < 0 || target > own ? [`${place(file, entry.start)} ${layerOrder[own]} must not import ${entry.specifier}`] : []
      })
  })

/** Relative imports name the file with its extension (what Node's type stripping needs), and the file exists. */
export const importExtensions = (files: Files): ReadonlyArray<string> =>
  all(files).flatMap((file) =>
    file.imports
      .filter((entry) => isRelative(entry.specifier))
      .flatMap((entry) => {
        if (!entry.specifier.endsWith(".ts")) return [`${place(file, entry.start)} ${entry.specifier} has no .ts extension`]
        return files.has(resolve(file.path, entry.specifier)) ? [] : [`${place(file, entry.start)} ${entry.specifier} does not exist`]
      })
  )

/** Deep imports only: a barrel costs 145 ms and 51 MB at start. */
export const effectBarrel = (files: Files): ReadonlyArray<string> =>
  all(files).flatMap((file) =>
    file.imports.filter((entry) => entry.specifier === "effect").map((entry) => `${place(file, entry.start)} imports the "effect" barrel`)
  )

const folderOf = (file: Parsed): string => file.path.split("/")[1] ?? ""

/** `domain` is plain computation: no module of Node, and none of the globals through which time, chance or the outside comes in. */
export const domainIsPure = (files: Files): ReadonlyArray<string> =>
  all(files)
    .filter((file) => folderOf(file) === "domain")
    .flatMap((file) => [
      ...file.imports
        .filter((entry) => entry.specifier.startsWith("node:") || builtins.has(entry.specifier))
        .map((entry) => `${place(file, entry.start)} domain imports ${entry.specifier}`),
      ...globals(file)
        .filter(({ name }) => impure.has(name))
        .map(({ name, node }) => `${place(file, node.start)} domain uses ${name}`)
    ])

const builtins = new Set([
  "assert",
  "buffer",
  "crypto",
  "events",
  "fs",
  "fs/promises",
  "os",
  "path",
  "perf_hooks",
  "process",
  "stream",
  "timers",
  "url",
  "util",
  "worker_threads",
  "zlib"
])
const impure = new Set([
  "Buffer",
  "crypto",
  "fetch",
  "performance",
  "process",
  "queueMicrotask",
  "require",
  "setImmediate",
  "setInterval",
  "setTimeout"
])

/** Identifiers that stand for a value of that name, not for a property, a key or a label. Shadowing is not looked at: a local `process` is confusing as well. */
const globals = (file: Parsed): ReadonlyArray<{ readonly name: string; readonly node: Node }> =>
  file.nodes.flatMap(({ node, parent }) => {
    const name = node["name"]
    if (node.type !== "Identifier" || typeof name !== "string") return []
    if (parent?.type === "MemberExpression" && parent["property"] === node && parent["computed"] === false) return globalThisName(parent, name, node)
    const isKey = parent !== undefined && parent["key"] === node && parent["computed"] !== true
    const isTypeName = parent !== undefined && parent.type.startsWith("TS")
    return isKey || isTypeName ? [] : [{ name, node }]
  })

const globalThisName = (member: Node, name: string, node: Node): ReadonlyArray<{ readonly name: string; readonly node: Node }> => {
  const object = member["object"]
  return isNode(object) && object["name"] === "globalThis" ? [{ name, node }] : []
}

/** Places that may ask the machine for the time or for chance; everything else is given a clock and a generator. */
export const clockAndRandomFiles: ReadonlyArray<string> = []

const callsOf = (file: Parsed, object: string, property: string): ReadonlyArray<Node> =>
  file.nodes.flatMap(({ node }) => {
    const left = node["object"]
    const right = node["property"]
    const isIt =
      node.type === "MemberExpression" && isNode(left) && isNode(right) && left["name"] === object && (right["name"] ?? right["value"]) === property
    return isIt ? [node] : []
  })

/** `new Date()` and `Date()` without arguments are `Date.now` in another dress. */
const datesOfNow = (file: Parsed): ReadonlyArray<Node> =>
  file.nodes.flatMap(({ node }) => {
    const callee = node["callee"]
    const given = node["arguments"]
    const isIt =
      (node.type === "NewExpression" || node.type === "CallExpression") &&
      isNode(callee) &&
      callee["name"] === "Date" &&
      Array.isArray(given) &&
      given.length === 0
    return isIt ? [node] : []
  })

export const clockAndRandom = (files: Files, allowed: ReadonlyArray<string> = clockAndRandomFiles): ReadonlyArray<string> => [
  ...allowed.filter((path) => !files.has(path)).map((path) => `${path}:1 is on the list of clocks and generators, and does not exist`),
  ...allowed.filter((path) => !path.startsWith("src/layers/")).map((path) => `${path}:1 only layers may be on the list of clocks and generators`),
  ...all(files)
    .filter((file) => !allowed.includes(file.path))
    .flatMap((file) => [
      ...callsOf(file, "Date", "now").map((node) => `${place(file, node.start)} uses Date.now`),
      ...datesOfNow(file).map((node) => `${place(file, node.start)} uses the date of now`),
      ...callsOf(file, "Math", "random").map((node) => `${place(file, node.start)} uses Math.random`)
    ])
]

/** Only the command line speaks to a terminal. */
export const consoleUse = (files: Files): ReadonlyArray<string> =>
  all(files)
    .filter((file) => !file.path.startsWith("src/runtime/cli/"))
    .flatMap((file) =>
      globals(file)
        .filter(({ name }) => name === "console")
        .map(({ node }) => `${place(file, node.start)} uses console`)
    )

/** Matches of `pattern` in the whole text, comments included. */
const textMatches = (file: Parsed, pattern: RegExp, what: (found: string) => string): ReadonlyArray<string> =>
  [...file.text.matchAll(pattern)].map((match) => `${place(file, match.index)} ${what(match[0])}`)

/** Marks of unfinished work, casts that silence the checker, and its suppressions. */
export const leftovers = (files: Files): ReadonlyArray<string> =>
  all(files).flatMap((file) => [
    ...textMatches(file, /\b(?:TODO|FIXME|XXX)\b/g, (found) => `has a leftover marker ${found}`),
    ...textMatches(file, /@ts-(?:ignore|expect-error|nocheck)\b/g, (found) => `has ${found}`),
    ...textMatches(file, /\b(?:v8|c8|istanbul) ignore\b/g, (found) => `hides from coverage: ${found}`),
    ...file.nodes.flatMap(({ node }) => {
      const to = node["typeAnnotation"]
      const inner = node["expression"]
      if ((node.type !== "TSAsExpression" && node.type !== "TSTypeAssertion") || !isNode(to)) return []
      if (to.type === "TSAnyKeyword") return [`${place(file, node.start)} casts to any`]
      const innerTo = isNode(inner) && inner.type === "TSAsExpression" ? inner["typeAnnotation"] : undefined
      return isNode(innerTo) && innerTo.type === "TSUnknownKeyword" ? [`${place(file, node.start)} casts through unknown`] : []
    })
  ])

export const linesMax = 500

/** Beyond this a file holds more than one concept. */
export const fileLength = (files: Files): ReadonlyArray<string> =>
  all(files).flatMap((file) => {
    const lines = file.text.split("\n").length - (file.text.endsWith("\n") ? 1 : 0)
    return lines > linesMax ? [`${file.path}:${lines} has more than ${linesMax} lines`] : []
  })

export const workerEntry = "src/runtime/worker/workerEntry.ts"

/**
 * What a worker loads at start, walked through everything that is not erased: of Effect at most `effect/Result` (28 ms, 21 MB; `Schema` is 92 ms and 50 MB),
 * and therefore never the public error classes.
 */
export const workerReach = (
  files: Files,
  entry = workerEntry
): { readonly reached: ReadonlyArray<string>; readonly violations: ReadonlyArray<string> } => {
  const violations: Array<string> = []
  const reached: Array<string> = []
  const queue: Array<readonly [path: string, by: string]> = [[entry, "itself"]]
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    const [path, by] = at
    if (reached.includes(path)) continue
    reached.push(path)
    const text = files.get(path)
    if (text === undefined) {
      violations.push(`${path}:1 does not exist (reached by ${by})`)
      continue
    }
    if (posix.basename(path) === "errors.ts") violations.push(`${path}:1 holds the public error classes, and the worker loads it through ${by}`)
    const file = parse(path, text)
    for (const entry of file.imports) {
      if (entry.typeOnly) continue
      if (isRelative(entry.specifier)) queue.push([resolve(path, entry.specifier), path])
      else if (/^(?:effect|@effect)(?:\/|$)/.test(entry.specifier) && entry.specifier !== "effect/Result") {
        violations.push(`${place(file, entry.start)} the worker would load ${entry.specifier}`)
      }
    }
  }
  return { reached, violations }
}
