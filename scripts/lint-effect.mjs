/** Effect's own diagnostics (floating effects and the like). The tool exits with 0 after looking at no file at all, so its count is checked. */
import { spawnSync } from "node:child_process"
import { delimiter } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))
const run = spawnSync("effect-tsgo", ["diagnostics", "--project", `${root}tsconfig.json`, "--strict", "--format", "text"], {
  cwd: root,
  encoding: "utf8",
  env: { ...process.env, PATH: `${root}node_modules/.bin${delimiter}${process.env.PATH}` }
})
const output = `${run.stdout ?? ""}${run.stderr ?? ""}`
process.stdout.write(output)
if (run.error !== undefined) throw run.error
const [, checked = "0", present = "0"] = /Checked (\d+) files? out of (\d+)/.exec(output) ?? []
if (Number(checked) === 0 || checked !== present) {
  console.error(`Effect diagnostics looked at ${checked} of ${present} files: is the language-service plugin still named in tsconfig.json?`)
  process.exitCode = 1
} else {
  process.exitCode = run.status ?? 1
}
