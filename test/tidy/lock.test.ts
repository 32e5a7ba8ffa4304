import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"

interface Entry {
  readonly version?: string
  readonly resolved?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: ReadonlyArray<string>
  readonly cpu?: ReadonlyArray<string>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}
interface Lock {
  packages: Record<string, Entry>
}

const script = new URL("../../scripts/lock-complete.mjs", import.meta.url)
const { complete } = (await import(script.href)) as { readonly complete: (lock: Lock) => ReadonlyArray<string> }

const packageLock = (): Lock => JSON.parse(readFileSync(new URL("../../package-lock.json", import.meta.url), "utf8")) as Lock

describe("package-lock.json", () => {
  it("names every platform package, so that npm ci accepts it", () => {
    expect(complete(packageLock())).toEqual([])
  })
  it("holds no download addresses", () => {
    expect(Object.values(packageLock().packages).filter((entry) => entry.resolved !== undefined)).toEqual([])
  })
})

describe("completing a lock", () => {
  it("adds what is missing, where Node would look for it, in npm's order", () => {
    const lock: Lock = {
      packages: {
        "": {},
        "node_modules/z": {
          version: "1.0.0",
          dev: true,
          optionalDependencies: { "z-linux-x64": "1.0.0", "@z/z-darwin-arm64": "^1.0.1", "own-win32-ia32": "1.0.0" }
        },
        "node_modules/z-linux-x64": { version: "1.0.0" },
        "node_modules/z/node_modules/own-win32-ia32": { version: "1.0.0" },
        "node_modules/b/node_modules/y": { version: "2.0.0", optionalDependencies: { "z-linux-x64": "1.0.0", "y-android": "2.0.0" } }
      }
    }
    expect(complete(lock)).toEqual(["@z/z-darwin-arm64", "y-android"])
    expect(lock.packages["node_modules/@z/z-darwin-arm64"]).toEqual({ version: "1.0.1", cpu: ["arm64"], dev: true, optional: true, os: ["darwin"] })
    expect(lock.packages["node_modules/y-android"]).toEqual({ version: "2.0.0", optional: true, os: ["android"] })
    expect(Object.keys(lock.packages)).toEqual([
      "",
      "node_modules/@z/z-darwin-arm64",
      "node_modules/b/node_modules/y",
      "node_modules/y-android",
      "node_modules/z",
      "node_modules/z-linux-x64",
      "node_modules/z/node_modules/own-win32-ia32"
    ])
    expect(complete(lock)).toEqual([])
  })
  it("refuses a name that tells no platform", () => {
    expect(() => complete({ packages: { "node_modules/a": { optionalDependencies: { b: "1.0.0" } } } })).toThrow(
      "b (optional, of node_modules/a) is not in the lock"
    )
  })
})
