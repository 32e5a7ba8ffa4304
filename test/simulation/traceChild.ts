/** Prints the traces of the scripts with these seeds: run in a process of its own, to see that nothing of a process is in them. */
import { scriptOf } from "./campaign.ts"
import { simulate } from "./simulate.ts"

for (const seed of process.argv.slice(2)) console.log(simulate(scriptOf(Number(seed), 1)).trace)
