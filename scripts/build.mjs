/**
 * Builds what is published into dist/:
 *
 * - the modules of src as JavaScript with declarations, one file each (the worker entry among them: it has no dependency but the codec);
 * - cli/main.js, the command line with all it needs of Effect bundled, so that users install neither @effect/platform-node nor its peers;
 * - cli/launcher.js, the bin file, which imports nothing before it knows the version of Node; a package.json made for users; README, CHANGELOG, licences.
 *
 * Ends with an error when a module imports a package that the generated package.json does not bring.
 */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { delimiter, join, posix, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { parseAst } from "rolldown/parseAst"
import { bundleCommandLine as bundle, dependencies } from "./bundle.mjs"

const root = fileURLToPath(new URL("../", import.meta.url))
const dist = join(root, "dist")
const source = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const peerDependencies = { effect: `^${source.dependencies.effect}` }

/** The bin file. It is not bundled, and finds the bundle as `./main.js` beside it. */
const launcher = "cli/launcher.js"

const slashes = (path) => path.split(sep).join("/")
const distFiles = () =>
  readdirSync(dist, { recursive: true, encoding: "utf8" })
    .map(slashes)
    .filter((name) => statSync(join(dist, name)).isFile())

const compile = () => {
  const env = { ...process.env, PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env.PATH}` }
  const run = spawnSync("tsc", ["--project", "tsconfig.build.json"], { cwd: root, stdio: "inherit", env })
  if (run.error !== undefined) throw run.error
  if (run.status !== 0) throw new Error("the sources do not compile")
}

/** TypeScript rewrites `./x.ts` to `./x.js` in JavaScript, but leaves it in declarations, where older compilers refuse it. */
const rewriteDeclarations = () => {
  for (const name of distFiles()) {
    if (!name.endsWith(".d.ts")) continue
    const text = readFileSync(join(dist, name), "utf8")
    writeFileSync(join(dist, name), text.replace(/((?:from|import)\s*\(?\s*")(\.{1,2}\/[^"]+)\.ts"/g, '$1$2.js"'))
  }
}

const packageOf = (id) => {
  const at = slashes(id).lastIndexOf("/node_modules/")
  if (at < 0) return undefined
  const [first, second] = slashes(id)
    .slice(at + "/node_modules/".length)
    .split("/")
  return {
    name: first.startsWith("@") ? `${first}/${second}` : first,
    folder: slashes(id).slice(0, at) + `/node_modules/${first.startsWith("@") ? `${first}/${second}` : first}`
  }
}

/** Bundles the command line and returns the folders of the packages that went into it, by name. */
const bundleCommandLine = async () => {
  const output = await bundle(join(dist, "runtime", "cli", "main.js"), dist, join(dist, "cli"))
  // Only the bundle is published: the separate modules need a package that users do not have.
  rmSync(join(dist, "runtime", "cli"), { recursive: true })
  const packages = new Map()
  for (const chunk of output) {
    for (const id of chunk.type === "chunk" ? chunk.moduleIds : []) {
      const from = packageOf(id)
      if (from !== undefined) packages.set(from.name, from.folder)
    }
  }
  return packages
}

const writeLicences = (packages) => {
  const parts = [...packages]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, folder]) => {
      const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
      const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
      return `${name} ${version} (${license})\n\n${file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim()}\n`
    })
  writeFileSync(join(dist, "THIRD-PARTY-LICENSES"), `The command line (cli/) contains code of these packages.\n\n${parts.join("\n----\n\n")}`)
}

const writePackageFile = () => {
  const exports = {}
  for (const [subpath, target] of Object.entries(source.exports)) {
    const stem = target.replace(/^\.\/src\//, "./").replace(/\.ts$/, "")
    if (existsSync(join(dist, `${stem}.js`))) exports[subpath] = { types: `${stem}.d.ts`, default: `${stem}.js` }
    else console.log(`build: ${subpath} is left out, ${target} does not exist`)
  }
  if (exports["."] === undefined) throw new Error(`${source.exports["."]} does not exist: there is nothing to publish`)
  const hasCommandLine = existsSync(join(dist, launcher))
  const { name, version, description, keywords, license, type, engines } = source
  const published = {
    name,
    version,
    description,
    keywords,
    license,
    type,
    exports: { ...exports, "./package.json": "./package.json" },
    ...(hasCommandLine ? { bin: { lightning: launcher, "lightning-db": launcher } } : {}),
    files: readdirSync(dist).sort(),
    dependencies,
    peerDependencies,
    engines
  }
  writeFileSync(join(dist, "package.json"), `${JSON.stringify(published, null, 2)}\n`)
}

/** Every import of the result leads to a file in dist, to Node, or to a package that comes with it. */
const checkImports = () => {
  const files = new Set(distFiles())
  const allowed = new Set([...Object.keys(dependencies), ...Object.keys(peerDependencies)])
  const faults = []
  for (const name of files) {
    if (!/\.(?:js|d\.ts)$/.test(name)) continue
    const text = readFileSync(join(dist, name), "utf8")
    const bundled = name.startsWith("cli/")
    const visit = (node) => {
      if (Array.isArray(node)) return node.forEach(visit)
      if (node === null || typeof node !== "object") return
      const specifier = node.source?.value
      if (typeof specifier === "string") {
        if (specifier.startsWith(".")) {
          const target = posix.join(posix.dirname(name), specifier)
          const wanted = name.endsWith(".d.ts") ? target.replace(/\.js$/, ".d.ts") : target
          if (!files.has(wanted)) faults.push(`${name}: ${specifier} is not there`)
        } else if (name.endsWith(".d.ts") && isBuiltin(specifier)) {
          faults.push(`${name}: a public type names ${specifier}, which needs @types/node`)
        } else if (!isBuiltin(specifier)) {
          const parts = specifier.split("/")
          const wanted = specifier.startsWith("@") ? `${parts[0]}/${parts[1]}` : parts[0]
          // Of what is bundled nothing may be left over but the native codec.
          if (bundled ? dependencies[wanted] === undefined : !allowed.has(wanted)) faults.push(`${name}: ${specifier} is not among the dependencies`)
        }
      }
      Object.values(node).forEach(visit)
    }
    visit(parseAst(text, { lang: name.endsWith(".d.ts") ? "dts" : "js", sourceType: "module" }, name))
  }
  if (faults.length > 0) throw new Error(`dist is not complete in itself:\n  ${faults.join("\n  ")}`)
}

rmSync(dist, { recursive: true, force: true })
compile()
rewriteDeclarations()
if (existsSync(join(dist, "runtime", "cli", "main.js"))) {
  const packages = await bundleCommandLine()
  writeLicences(packages)
} else console.log("build: there is no src/runtime/cli/main.ts, the command line is left out")
// With the documents that the README links to.
for (const name of ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "docs"]) {
  if (existsSync(join(root, name))) cpSync(join(root, name), join(dist, name), { recursive: true })
  else console.log(`build: there is no ${name}`)
}
writePackageFile()
checkImports()
const written = distFiles()
console.log(
  `build: ${written.length} files, ${Math.round(written.reduce((sum, name) => sum + statSync(join(dist, name)).size, 0) / 1024)} KiB in ${relative(process.cwd(), dist) || "."}`
)
