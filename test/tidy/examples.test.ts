import { expect, it } from "vitest"

const script = new URL("../../scripts/check-example.mjs", import.meta.url)
const { examples } = (await import(script.href)) as {
  readonly examples: (markdown: string) => ReadonlyArray<{ readonly language: string; readonly code: string }>
}

it("finds the marked blocks of a document, and only those", () => {
  const fence = "```"
  const markdown = `# Title\n\n${fence}ts\nignored()\n${fence}\n\n<!-- example: js -->\n${fence}js\na()\n\nb()\n${fence}\n\ntext\n\n<!-- example: ts -->\n\n${fence}ts\nc()\n${fence}\n`
  expect(examples(markdown)).toEqual([
    { language: "js", code: "a()\n\nb()\n" },
    { language: "ts", code: "c()\n" }
  ])
  expect(examples(`<!-- example: js -->\ntext between\n${fence}js\na()\n${fence}\n`)).toEqual([])
})
