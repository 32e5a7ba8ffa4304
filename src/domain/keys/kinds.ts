/** Kinds of operation, stored in log, memtable and tables: never renumber, never reuse. */
export const Kind = { put: 1, delete: 2, rangeDelete: 3, expire: 4, mergeOperand: 5 } as const
export type Kind = (typeof Kind)[keyof typeof Kind]

/** Keyspace 0 holds the catalog; 1 is the default keyspace of the application; 2 holds what expires, by time (`expiryRows.ts`); named ones start at 16. */
export const systemKeyspace = 0
export const defaultKeyspace = 1
export const expiryKeyspace = 2
export const firstNamedKeyspace = 16

export const keyBytesMax = 65_536
/** Sequences are u64 on disk; a reader refuses what a JavaScript number cannot hold exactly. */
export const sequenceMax = Number.MAX_SAFE_INTEGER
