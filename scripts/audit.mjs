/** `npm audit`, where the registry answers it. A registry without advisories gives an error document instead of a report: that is said, and is no failure. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const run = spawnSync("npm", ["audit", "--json", "--audit-level=high"], {
  cwd: fileURLToPath(new URL("../", import.meta.url)),
  encoding: "utf8",
  maxBuffer: 64 << 20
})
if (run.error !== undefined) throw run.error

let report
try {
  report = JSON.parse(run.stdout)
} catch {
  report = {}
}
if (report.auditReportVersion === undefined) {
  const why = report.message ?? report.error?.summary ?? run.stderr.trim().split("\n").at(-1) ?? "no answer"
  console.log(`audit SKIPPED: the registry gave no report (${String(why).replace(/https?:\/\/\S+/g, "…")})`)
} else {
  for (const [name, found] of Object.entries(report.vulnerabilities ?? {})) console.log(`${found.severity}\t${name}\t${found.range}`)
  console.log("audit:", JSON.stringify(report.metadata?.vulnerabilities ?? {}))
  process.exitCode = run.status ?? 1
}
