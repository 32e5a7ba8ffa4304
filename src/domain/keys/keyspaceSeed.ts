/** The seed of `keyHash` for a key of this keyspace: the same user key in two keyspaces must not share a slot. */
export const keyspaceSeed = (databaseSeed: number, keyspace: number): number => (databaseSeed + Math.imul(keyspace, 0x9e3779b9)) | 0
