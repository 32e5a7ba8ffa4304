import { formatDuration, formatNoun } from "../format/numbers.ts"
import type { Done } from "./Session.ts"

/** "3 rows in 0.40 ms" */
export const timing = (done: Done | undefined, ms: number): string =>
  done?.count === undefined || done.noun === undefined ? formatDuration(ms) : `${formatNoun(done.count, ...done.noun)} in ${formatDuration(ms)}`
