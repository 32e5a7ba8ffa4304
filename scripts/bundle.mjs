/**
 * Bundles the command line with all it needs of Effect, so that users install neither @effect/platform-node nor its peers. The build bundles what it compiled; the
 * tests that start many processes bundle the sources, which is the same program and starts in a fifth of the time.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"

const source = JSON.parse(readFileSync(fileURLToPath(new URL("../package.json", import.meta.url)), "utf8"))

/** Packages that users have: everything else is bundled or must not be imported. */
export const dependencies = { "lz4-napi": source.dependencies["lz4-napi"] }

const slashes = (path) => path.split(sep).join("/")

/**
 * A module that was bundled still finds its neighbours (the worker entry) by its own place: `import.meta.url` in it becomes the address of the unbundled file.
 * All chunks lie in one folder, so one relative path serves each.
 */
const ownPlace = (root, folder) => ({
  name: "own-place",
  transform(code, id) {
    if (!id.startsWith(root + sep) || !code.includes("import.meta.url")) return null
    const from = slashes(relative(folder, id))
    return { code: code.replaceAll("import.meta.url", `new URL(${JSON.stringify(from)}, import.meta.url).href`), map: null }
  }
})

/**
 * Writes main.js with its chunks, and the launcher beside them, into `folder`. `entry` is main.js or main.ts of the command line, `root` the folder of the modules that
 * are ours. Answers with the chunks.
 */
export const bundleCommandLine = async (entry, root, folder) => {
  const bundle = await rolldown({
    input: { main: entry },
    platform: "node",
    external: [...Object.keys(dependencies)],
    plugins: [ownPlace(root, folder)],
    onLog: (level, log, handle) => (level === "warn" && log.code === "UNRESOLVED_IMPORT" ? handle("error", log) : handle(level, log))
  })
  const { output } = await bundle.write({
    dir: folder,
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name]-[hash].js",
    minify: { compress: true, mangle: false }
  })
  await bundle.close()
  // The bin file is not bundled: it must load on any Node. It finds the bundle beside it.
  const extension = entry.endsWith(".ts") ? "ts" : "js"
  const launcher = readFileSync(join(dirname(entry), `launcher.${extension}`), "utf8")
  writeFileSync(join(folder, "launcher.js"), launcher.replace('"./main.ts"', '"./main.js"'))
  chmodSync(join(folder, "launcher.js"), 0o755)
  return output
}
