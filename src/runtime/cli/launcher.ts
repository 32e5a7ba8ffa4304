#!/usr/bin/env node
// The bin file. It has no static imports: an old Node would fail at loading them, with a stack instead of the sentence below.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`lightning needs Node.js 22.19 or later, and this is ${process.versions.node}. See https://nodejs.org for a current one.\n`)
  process.exitCode = 1
} else {
  // Half of what a short command does is to compile the bundle. Node keeps the result where it keeps that of other programs: in NODE_COMPILE_CACHE, or node-compile-cache
  // in the directory for temporary files. A directory that cannot be written and NODE_DISABLE_COMPILE_CACHE=1 only make the start slower.
  if (import.meta.url.endsWith(".js")) process.getBuiltinModule("node:module").enableCompileCache()
  await import("./main.ts")
}

export {}
