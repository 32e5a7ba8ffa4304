/**
 * Takes the package the way a stranger would: installs the packed tarball beside `effect` in an empty folder, runs the first examples of README.md from it in
 * plain JavaScript and in TypeScript, type-checks the latter with the library's declarations included, and starts the command line.
 *
 * An example is a fenced block after a line `<!-- example: js -->` or `<!-- example: ts -->`.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

/** The fenced blocks of `markdown` that are marked as examples, in order. */
export const examples = (markdown) =>
  [...markdown.matchAll(/^<!-- example: (js|ts) -->[ \t]*\n\s*?^```[^\n]*\n([\s\S]*?)^```[ \t]*$/gm)].map(([, language, code]) => ({
    language,
    code
  }))

const run = (command, args, cwd, env) => {
  console.log(`$ ${command} ${args.join(" ")}`)
  const result = spawnSync(command, args, { cwd, env, encoding: "utf8", timeout: 180_000 })
  process.stdout.write(`${result.stdout ?? ""}${result.stderr ?? ""}`)
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${result.status ?? result.signal}`)
  return result.stdout
}

/** A session with the command line from the tarball: verbs that load different parts of the bundle, one of them (compact) with the worker thread. */
const useCommandLine = (folder, env) => {
  const place = join(folder, "session")
  mkdirSync(place)
  const lightning = (...args) => run(join(folder, "node_modules", ".bin", "lightning"), args, place, env)
  const expect = (found, wanted) => {
    if (found !== wanted) throw new Error(`the command line printed ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`)
  }
  writeFileSync(join(place, "lines.jsonl"), ["a", "b", "c"].map((key) => `{"key":"${key}","value":"of ${key}"}\n`).join(""))
  lightning("import", "lines.jsonl")
  lightning("put", "d", "of d", "--keyspace", "other")
  expect(lightning("get", "b"), "of b")
  lightning("delete", "b")
  lightning("compact")
  expect(lightning("scan"), "a\tof a\nc\tof c\n")
  expect(lightning("count", "--keyspace", "other"), "1\n")
  lightning("export", "out.csv.gz", "--all")
  lightning("import", "out.csv.gz", "--path", "copy")
  lightning("checkpoint", "kept")
  lightning("diff", "copy", "kept")
  for (const verb of ["verify", "stats", "inspect", "keyspaces"]) lightning(verb)
  expect(lightning("shell", "--command", "= await db.getText('a')"), "'of a'\n")
  lightning("bench", "--seconds", "1")
}

const main = () => {
  const root = fileURLToPath(new URL("../", import.meta.url))
  const { name, version, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const tarball = join(root, `${name}-${version}.tgz`)
  if (!existsSync(tarball)) throw new Error(`${tarball} is not there: npm run pack makes it`)
  const found = examples(readFileSync(join(root, "README.md"), "utf8"))
  for (const language of ["js", "ts"]) {
    if (!found.some((example) => example.language === language)) throw new Error(`README.md has no block marked <!-- example: ${language} -->`)
  }

  const folder = mkdtempSync(join(tmpdir(), "lightning-example-"))
  // The tools come from the repository, everything that is imported from the folder itself.
  const env = { ...process.env, PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH}` }
  try {
    writeFileSync(join(folder, "package.json"), `{ "name": "stranger", "version": "1.0.0", "private": true, "type": "module" }\n`)
    run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", tarball, `effect@${dependencies.effect}`], folder, env)
    for (const [index, { language, code }] of found.entries()) {
      // Each in a folder of its own, so that one example does not open the database of another.
      const place = join(folder, `example-${index + 1}`)
      mkdirSync(place)
      const file = `example.${language === "js" ? "mjs" : "ts"}`
      writeFileSync(join(place, file), code)
      console.log(`README example ${index + 1} (${language}):`)
      run("node", [file], place, env)
      if (language === "ts") {
        const compilerOptions = {
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          module: "nodenext",
          target: "es2024",
          types: [],
          skipLibCheck: false
        }
        writeFileSync(join(place, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }))
        run("tsc", ["--project", "tsconfig.json"], place, env)
      }
    }
    const published = JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8"))
    for (const bin of Object.keys(published.bin ?? {})) {
      const said = run(join("node_modules", ".bin", bin), ["--version"], folder, env)
      if (!said.includes(version)) throw new Error(`${bin} --version does not name ${version}`)
    }
    useCommandLine(folder, env)
    console.log(`${found.length} examples of README.md ran from ${name}-${version}.tgz`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main()
