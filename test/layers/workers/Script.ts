/** What a job of `scriptedEntry.ts` does. */
export const Script = { answer: 1, exit: 2, crash: 3, untilCancelled: 4, untilFlush: 5 } as const
