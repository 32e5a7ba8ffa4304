import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const launcher = fileURLToPath(new URL("../../scripts/launcher.cjs", import.meta.url))
const { engines } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { engines: { node: string } }

/** Runs the launcher in a process that believes to be Node `version`. There is no command line beside it here, so a version that passes fails on loading that. */
const runOn = (version: string) =>
  spawnSync(
    process.execPath,
    ["-e", `Object.defineProperty(process.versions, "node", { value: "${version}" }); require(${JSON.stringify(launcher)})`],
    { encoding: "utf8" }
  )

describe("the launcher", () => {
  it("asks for the version the package asks for", () => {
    expect(engines.node).toBe(">=22.19")
    expect(runOn("22.18.9").stderr).toContain("needs Node.js 22.19 or newer")
  })
  it.each(["18.20.4", "20.20.2", "22.0.0", "22.18.9"])("tells Node %s in a sentence what is missing", (version) => {
    const run = runOn(version)
    expect(run.status).toBe(1)
    expect(run.stderr).toBe(
      `lightning needs Node.js 22.19 or newer; this is ${version}. Install a newer one from https://nodejs.org and run it again.\n`
    )
  })
  it.each(["22.19.0", "23.0.0", "24.21.0", "26.10.0"])("starts the command line on Node %s", (version) => {
    const run = runOn(version)
    expect(run.status).toBe(1)
    expect(run.stderr).toContain("ERR_MODULE_NOT_FOUND")
  })
})
