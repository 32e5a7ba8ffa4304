/** Where the worker entry lies: beside this module, as TypeScript when run from sources, as JavaScript when built. */
export const workerEntryUrl: URL = new URL(import.meta.url.endsWith(".ts") ? "./workerEntry.ts" : "./workerEntry.js", import.meta.url)
