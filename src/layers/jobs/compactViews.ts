/**
 * Plain data with every `Uint8Array` on memory of its own size, so that posting it to another thread copies only what it holds: a posted view takes
 * its whole buffer along, and a view of shared memory (a key in a memtable) would keep all of that alive on the other side. Shared buffers that are
 * named themselves pass as they are. Parts that need no change are not copied.
 */
export const compactViews = <A>(value: A): A => compact(value) as A

const compact = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null || value instanceof SharedArrayBuffer) return value
  if (value instanceof Uint8Array) {
    const isWhole = value.byteLength === value.buffer.byteLength && value.buffer instanceof ArrayBuffer && value.constructor === Uint8Array
    return isWhole ? value : new Uint8Array(value)
  }
  if (Array.isArray(value)) return value.map(compact)
  const own: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(value)) own[name] = compact(part)
  return own
}
