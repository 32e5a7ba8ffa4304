/** The keyspace that holds where unfinished imports are. It exists only while there is one. */
export const importsKeyspace = "lightning-imports"
