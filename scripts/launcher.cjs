#!/usr/bin/env node
// What `lightning` starts. Nothing is imported before the version is known, so that an older Node gets a sentence and not a stack.
const parts = process.versions.node.split(".")
if (Number(parts[0]) < 22 || (Number(parts[0]) === 22 && Number(parts[1]) < 19)) {
  process.stderr.write(
    "lightning needs Node.js 22.19 or newer; this is " + process.versions.node + ". Install a newer one from https://nodejs.org and run it again.\n"
  )
  process.exitCode = 1
} else {
  import("../cli/main.js").catch(function (error) {
    console.error(error)
    process.exitCode = 1
  })
}
