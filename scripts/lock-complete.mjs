/**
 * Completes package-lock.json with the optional platform packages that the registry at hand did not offer.
 *
 * `npm install` silently leaves out an optional dependency that it cannot find, and `npm ci` then refuses the lock as incomplete. An entry that carries only
 * the version, `os` and `cpu` is enough: npm skips it by platform without fetching anything. Runs on any Node from 18 on, because it may run before
 * `npm ci` has brought a newer one.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { pathToFileURL } from "node:url"

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "wasm32", "x64"]

/** The folder in which Node would find `name` from the package at `from`, or undefined. */
const find = (packages, from, name) => {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    const candidate = `${at === "" ? "" : `${at}/`}node_modules/${name}`
    if (packages[candidate] !== undefined) return candidate
    if (at === "") return undefined
  }
}

/** Adds what is missing to `lock` and returns the names added; throws when a platform cannot be read from a name. */
export const complete = (lock) => {
  const added = []
  for (const [from, entry] of Object.entries(lock.packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      if (find(lock.packages, from, name) !== undefined) continue
      const words = name.split(/[-/.]/)
      const os = systems.filter((system) => words.includes(system))
      const cpu = processors.filter((processor) => words.includes(processor))
      if (os.length === 0 && cpu.length === 0) throw new Error(`${name} (optional, of ${from}) is not in the lock, and its name tells no platform`)
      lock.packages[`node_modules/${name}`] = {
        version: range.replace(/^[\^~=v]+/, ""),
        ...(cpu.length > 0 ? { cpu } : {}),
        ...(entry.dev === true ? { dev: true } : {}),
        optional: true,
        ...(os.length > 0 ? { os } : {})
      }
      added.push(name)
    }
  }
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en"))
  lock.packages = Object.fromEntries(sorted)
  return added
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = new URL("../package-lock.json", import.meta.url)
  const lock = JSON.parse(readFileSync(file, "utf8"))
  const added = complete(lock)
  const withAddress = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined && entry.link !== true)
  for (const [, entry] of withAddress) delete entry.resolved
  if (added.length > 0 || withAddress.length > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`package-lock.json: ${added.length} platform packages added, ${withAddress.length} download addresses removed`)
}
