/** docs/cli.md: a head that is written by hand, then the help of every command. */
const marker = "<!-- What follows is generated from the command definitions: vitest run test/runtime/cli -u -->\n"

/** The hand-written part, with the line that ends it. */
export const headOf = (document: string): string => document.slice(0, document.indexOf(marker)) + marker
