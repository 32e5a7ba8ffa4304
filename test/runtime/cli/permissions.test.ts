/** A database that this user may not write, or not even look at: a sentence, exit code 1, and nothing left behind. */
import { afterAll, beforeAll, expect, it, vi } from "vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { type CommandLine, makeCommandLine } from "./commandLine.ts"

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** Who may do everything is made somebody who may not. */
const somebody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

let commandLine: CommandLine
let data: string
beforeAll(async () => {
  commandLine = await makeCommandLine()
  data = path.join(commandLine.work, "data")
  for (const folder of [path.dirname(commandLine.launcher), commandLine.work]) fs.chmodSync(folder, 0o755)
  const { status } = spawnSync(process.execPath, [commandLine.launcher, "put", "user/1", "Ada"], { cwd: commandLine.work, env: commandLine.env })
  expect(status).toBe(0)
})
afterAll(() => {
  fs.chmodSync(data, 0o755)
  commandLine.remove()
})

const lightning = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [commandLine.launcher, ...args], {
    cwd: commandLine.work,
    env: { ...commandLine.env, NODE_DISABLE_COMPILE_CACHE: "1" },
    encoding: "utf8",
    ...somebody
  })
  return { code: status, out: stdout, err: stderr }
}

/** Somebody else may have no way into the directory of this checkout. */
const isReachable = (): boolean => {
  const reachable = lightning("--version").code === 0
  if (!reachable) process.stderr.write("NOT RUN, because another user cannot start the command line from here: what it says without permissions\n")
  return reachable
}

it("reads what may only be read, and says what may not be written", ({ skip }) => {
  if (!isReachable()) return skip()
  fs.chmodSync(data, 0o555)
  const before = fs.readdirSync(data)
  for (const [args, out] of [
    [["get", "user/1"], "Ada"],
    [["count"], "1\n"],
    [["shell", "--command", "get user/1"], "Ada\n"]
  ] as const)
    expect(lightning(...args)).toMatchObject({ code: 0, out })
  for (const args of [["put", "a", "b"], ["delete", "user/1"], ["compact"], ["keyspaces", "create", "x"]])
    expect(lightning(...args)).toEqual({
      code: 1,
      out: "",
      err: expect.stringMatching(/^error: .* is not permitted \(EACCES\)\n {2}Give this user access/)
    })
  expect(fs.readdirSync(data)).toEqual(before)
})

it("does not take for missing what may not be looked at", ({ skip }) => {
  if (!isReachable()) return skip()
  fs.chmodSync(data, 0o000)
  for (const args of [
    ["get", "user/1"],
    ["delete", "user/1"],
    ["compact"],
    ["verify"],
    ["export", "-"],
    ["shell", "--command", "count"],
    ["diff", "data", "data"]
  ]) {
    const { code, err } = lightning(...args)
    expect({ args, code }).toEqual({ args, code: args[0] === "diff" ? 2 : 1 })
    expect(err).toMatch(/^error: .*(?:not permitted|permission denied)/)
  }
})
