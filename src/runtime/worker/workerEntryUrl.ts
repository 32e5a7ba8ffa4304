/** A bundler for CommonJS leaves nothing here. */
const here: string | undefined = import.meta.url

/**
 * Where the worker entry lies: beside this module, as TypeScript when run from sources, as JavaScript when built. In a bundle that holds everything
 * in one file nothing lies there; then jobs run in process.
 */
export const workerEntryUrl: URL = new URL(here?.endsWith(".ts") === true ? "./workerEntry.ts" : "./workerEntry.js", here ?? "file:///")
