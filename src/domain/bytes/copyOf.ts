/** A copy in memory of its own of `bytes[start, end)`. The `slice` of a Buffer, which callers may hand in, is a view. */
export const copyOf = (bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array<ArrayBuffer> => new Uint8Array(bytes.subarray(start, end))
