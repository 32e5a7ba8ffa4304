/** Rows of system keyspace 0. Numbers inside keys and values are big-endian. See docs/format/manifest.md, "Catalog". */

const prefixKeyspace = 0x6b // "k": name (UTF-8) → id
/** Key of the row that holds the next free id. */
export const nextIdKey = new Uint8Array([0x6e]) // "n"

/** Key of the row that names a keyspace. */
export const keyspaceRowKey = (nameUtf8: Uint8Array): Uint8Array => {
  const key = new Uint8Array(1 + nameUtf8.length)
  key[0] = prefixKeyspace
  key.set(nameUtf8, 1)
  return key
}

/** The name bytes in a row key, or undefined for rows of another kind. A view. */
export const nameInRowKey = (key: Uint8Array): Uint8Array | undefined => (key[0] === prefixKeyspace ? key.subarray(1) : undefined)

export const encodeId = (id: number): Uint8Array => new Uint8Array([id >>> 24, id >>> 16, id >>> 8, id])

/** Undefined when the row is not four bytes long. */
export const decodeId = (value: Uint8Array): number | undefined =>
  value.length === 4 ? ((value[0]! << 24) | (value[1]! << 16) | (value[2]! << 8) | value[3]!) >>> 0 : undefined
