/**
 * The code blocks of documents as programs. A block that imports stands for itself; one with `yield*` is the inside of an Effect, one without is that of an async function, in
 * both of which `db` is a database in an empty directory, with the options of the document. Where a line prints and says in a comment what, that is checked.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { spawnSync } from "node:child_process"

export interface Example {
  /** Of the block's first line in its document. */
  readonly line: number
  readonly code: string
}

/** The blocks of `markdown` in TypeScript or JavaScript; with `marked`, only those after a line `<!-- runs -->`. */
export const examplesOf = (markdown: string, marked = false): ReadonlyArray<Example> =>
  [...markdown.matchAll(/^(<!-- runs -->\n)?```(?:ts|js)\n([\s\S]*?)^```$/gm)].flatMap((match) =>
    marked && match[1] === undefined
      ? []
      : [{ line: markdown.slice(0, match.index).split("\n").length + (match[1] === undefined ? 1 : 2), code: match[2]! }]
  )

const printed = /^(\s*)console\.log\((.*)\) \/\/ (.*)$/gm

const imports = `import { Console, Duration, Effect, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { Database, LightningDb, TransactionConflict } from "lightning-db"
`

/** The program of a block. `options` is source text. */
export const programOf = ({ code }: Example, options: string): string => {
  const checked = code.replace(
    printed,
    (_, indent: string, shown: string, expected: string) => `${indent}expectPrinted([${shown}], ${JSON.stringify(expected)})`
  )
  const check = `import { format } from "node:util"
const expectPrinted = (shown: ReadonlyArray<unknown>, expected: string): void => {
  const found = format(...shown)
  if (found !== expected) throw new Error(\`printed \${found}, and the document says \${expected}\`)
}
void expectPrinted
`
  if (/^import /m.test(code)) return `${check}${checked}`
  const inside = checked.replace(/^/gm, "  ")
  const unused = "void [Console, Duration, Effect, Fiber, Layer, Option, Schedule, Stream, Database, LightningDb, TransactionConflict]\n"
  return code.includes("yield*")
    ? `${check}${imports}${unused}const program = Effect.gen(function*() {\n  const db = yield* Database\n${inside}\n})
await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(LightningDb.layer({ path: "./data", ...${options} }))))\nexport {}\n`
    : `${check}${imports}${unused}const db = await LightningDb.open({ path: "./data", ...${options} })\n{\n${inside}\n}\nawait db.close()\nexport {}\n`
}

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
  const { error, status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 60_000 })
  return error === undefined && status === 0 ? "" : `${error?.message ?? ""}${stdout}${stderr}`
}

/** Runs every program in an empty folder of its own, one after the other in one process, and checks their types. Answers with what went wrong, which names their lines. */
export const runExamples = (root: string, examples: ReadonlyArray<Example>, options: string): string => {
  mkdirSync(join(root, ".lightning"), { recursive: true })
  // Within the repository, so that the package finds itself by its name.
  const folder = mkdtempSync(join(root, ".lightning", "examples-"))
  try {
    for (const example of examples) {
      const place = join(folder, `line-${example.line}`)
      mkdirSync(place)
      writeFileSync(join(place, "example.ts"), programOf(example, options))
    }
    const places = examples.map(({ line }) => `line-${line}`)
    const all = places
      .map(
        (place) =>
          `process.chdir(new URL("./${place}", import.meta.url).pathname)\nawait import("./${place}/example.ts").catch((error) => { throw new Error("${place}", { cause: error }) })`
      )
      .join("\n")
    writeFileSync(join(folder, "all.ts"), `${all}\nexport {}\n`)
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: "../../tsconfig.json",
        compilerOptions: { rootDir: "../..", types: ["node"], noUnusedLocals: false },
        include: ["line-*/example.ts"]
      })
    )
    const tsc = join(root, "node_modules", ".bin", "tsc")
    return run(process.execPath, ["all.ts"], folder) + run(tsc, ["--project", "tsconfig.json"], folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
