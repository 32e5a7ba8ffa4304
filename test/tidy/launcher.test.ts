import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"

const launcher = new URL("../../src/runtime/cli/launcher.ts", import.meta.url).href
const { engines } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { engines: { node: string } }

/** Runs `lightning --version` in a process that believes to be Node `version`. */
const runOn = (version: string) => {
  const program = `Object.defineProperty(process.versions, "node", { value: "${version}" }); process.argv = [process.argv[0], "lightning", "--version"]; import("${launcher}")`
  return spawnSync(process.execPath, ["-e", program], { encoding: "utf8" })
}

describe("the launcher", () => {
  it("asks for the version the package asks for", () => {
    expect(engines.node).toBe(">=22.19")
  })
  it.each(["18.20.4", "20.20.2", "22.0.0", "22.18.9"])("tells Node %s in a sentence what is missing", (version) => {
    const run = runOn(version)
    expect(run.status).toBe(1)
    expect(run.stdout).toBe("")
    expect(run.stderr).toMatch(/^lightning needs Node.js 22.19 or later, and this is [^\n]*\n$/)
    expect(run.stderr).toContain(version)
  })
  it.each(["22.19.0", "23.0.0", "24.21.0", "26.10.0"])("starts the command line on Node %s", (version) => {
    expect(runOn(version).stderr).not.toContain("needs Node.js")
  })
  it("imports nothing before it knows", () => {
    expect(readFileSync(new URL(launcher), "utf8")).not.toMatch(/^\s*import[\s{*"]/m)
  })
})
