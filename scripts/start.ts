/** `npm start`: the tour. `npm start -- <arguments>`: `lightning <arguments>`. `npm start -- tour --json`: the tour as one JSON object. */
const [first] = process.argv.slice(2)
if (first === undefined || first === "tour") await import("../src/runtime/cli/tour/main.ts")
else await import("../src/runtime/cli/main.ts")

export {}
