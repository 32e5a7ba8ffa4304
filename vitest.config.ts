import { defineConfig } from "vitest/config"

/** Where CI wants the results as JSON, beside what is printed. */
const results = process.env["LIGHTNING_TEST_RESULTS"]

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: results === undefined ? ["default"] : ["default", ["json", { outputFile: results }]],
    coverage: {
      provider: "v8",
      // Every file counts, also those that no test loads.
      include: ["src/**/*.ts"],
      // Only what is not wholly covered is listed.
      reporter: [["text", { skipFull: true, maxCols: 150 }], "text-summary", "json-summary", "html"],
      thresholds: { "src/domain/**": { lines: 95, branches: 95 } }
    }
  }
})
