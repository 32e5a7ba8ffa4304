/** The example of docs/event-sourcing.md is a program of this repository, checked with the rest of it; here it runs, and says what the document says. */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const document = readFileSync(new URL("../../docs/event-sourcing.md", import.meta.url), "utf8")
const example = fileURLToPath(new URL("./examples/eventSourcing.ts", import.meta.url))

it("the example of docs/event-sourcing.md runs as it is printed there", () => {
  const [, code, said] = /```ts\n([\s\S]*?)```\n\nIt prints:\n\n```\n([\s\S]*?)```/.exec(document)!
  expect(code).toBe(readFileSync(example, "utf8"))
  const run = spawnSync(process.execPath, [example], { encoding: "utf8" })
  expect(run.stdout + run.stderr).toBe(said)
  expect(run.status).toBe(0)
})
