/** What a short command costs before it does anything: which modules it loads, and the processor time of its process. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { type Chunk, type CommandLine, makeCommandLine } from "./commandLine.ts"

vi.setConfig({ testTimeout: 120_000 })

let commandLine: CommandLine
beforeAll(async () => {
  commandLine = await makeCommandLine()
})
afterAll(() => commandLine.remove())

/** The modules that are loaded before the first line of main.ts runs. */
const loadedAtStart = (): ReadonlyArray<string> => {
  const byName = new Map(commandLine.chunks.map((chunk) => [chunk.fileName, chunk]))
  const seen = new Set<Chunk>()
  const visit = (name: string): void => {
    const chunk = byName.get(name)
    if (chunk === undefined || seen.has(chunk)) return
    seen.add(chunk)
    chunk.imports.forEach(visit)
  }
  visit("main.js")
  return [...seen].flatMap((chunk) => chunk.moduleIds)
}

describe("the start", () => {
  it("loads definitions, and neither the engine nor what verbs do", () => {
    const modules = loadedAtStart()
    expect(modules.some((id) => id.endsWith("commands/scan.ts"))).toBe(true)
    expect(
      modules.filter((id) =>
        /\/src\/layers\/|\/src\/runtime\/LightningDb\.ts|\/cli\/verbs\/|\/cli\/(?:importing|exporting|inspecting|benching|diffing|watching|shell)\/(?!compressionNames)/.test(
          id
        )
      )
    ).toEqual([])
    expect(modules.filter((id) => /platform-node.*(?:FileSystem|Spawner|Terminal)/.test(id))).toEqual([])
  })

  it("costs a small multiple of what Node alone does", () => {
    const report = path.join(commandLine.work, "report.cjs")
    fs.writeFileSync(
      report,
      'process.on("exit", () => { const { user, system } = process.cpuUsage(); require("fs").writeFileSync("cpu", String(user + system)) })\n'
    )
    fs.writeFileSync(path.join(commandLine.work, "nothing.mjs"), "")
    const cpuMs = (...args: ReadonlyArray<string>): number => {
      const { status } = spawnSync(process.execPath, ["--require", report, ...args], { cwd: commandLine.work, env: commandLine.env })
      expect(status).toBe(0)
      return Number(fs.readFileSync(path.join(commandLine.work, "cpu"), "utf8")) / 1000
    }
    cpuMs(commandLine.launcher, "put", "user/1", "Ada")
    const cases = { node: ["nothing.mjs"], help: [commandLine.launcher, "--help"], get: [commandLine.launcher, "get", "user/1"] }
    const best: Record<string, number> = {}
    // Alternating, and the least of each: what else the machine does must not decide.
    for (let round = 0; round < 7; round++)
      for (const [name, args] of Object.entries(cases)) best[name] = Math.min(best[name] ?? Infinity, cpuMs(...args))
    const { get, help, node } = best
    expect(help! / node!, `--help takes ${help} ms, Node alone ${node} ms`).toBeLessThan(5)
    expect(get! / node!, `get takes ${get} ms, Node alone ${node} ms`).toBeLessThan(7)
  })
})
