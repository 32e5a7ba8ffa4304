import { varintBytes, writeVarint } from "../bytes/varint.ts"
import { EntryFlag, leafCountMax, LeafFlag, leafHeaderBytes, leafTag } from "./leaf.ts"

/**
 * Gathers the entries of one leaf and lays them out when it is full (format: `leaf.ts`). Entries are staged with their whole keys, because the prefix that they share is
 * known only at the end. Keyspace and order are the caller's business.
 */
export class LeafBuilder {
  count = 0
  keyspace = 0
  readonly #blockBytes: number
  readonly #tagged: boolean
  /** Keys and values one after the other. */
  #stage: Uint8Array
  #staged = 0
  #capacity = 64
  #keyLength = new Uint32Array(64)
  #valueLength = new Uint32Array(64)
  #sequence = new Float64Array(64)
  #expiresAt = new Float64Array(64)
  #flags = new Uint8Array(64)
  #tags = new Uint8Array(64)
  #prefixLength = 0
  /** Sum of the entries' sizes with whole keys and without flags. */
  #bodyBytes = 0
  #isUniform = true

  constructor(blockBytes: number, tagged: boolean) {
    this.#blockBytes = blockBytes
    this.#tagged = tagged
    this.#stage = new Uint8Array(blockBytes * 2)
  }

  /** Adds an entry, or returns false when the leaf would grow beyond its size; an empty leaf takes any entry. */
  add(
    hash: number,
    key: Uint8Array,
    keyStart: number,
    keyEnd: number,
    sequence: number,
    flags: number,
    expiresAt: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number
  ): boolean {
    const keyLength = keyEnd - keyStart
    const valueLength = valueEnd - valueStart
    let bytes = varintBytes(keyLength) + keyLength + valueLength
    if ((flags & EntryFlag.sequence) !== 0) bytes += varintBytes(sequence)
    if ((flags & EntryFlag.expiry) !== 0) bytes += varintBytes(expiresAt)
    const index = this.count
    let prefixLength = keyLength < leafCountMax ? keyLength : leafCountMax
    let isUniform = true
    if (index > 0) {
      const n = prefixLength < this.#prefixLength ? prefixLength : this.#prefixLength
      const stage = this.#stage
      prefixLength = 0
      while (prefixLength < n && stage[prefixLength] === key[keyStart + prefixLength]) prefixLength++
      isUniform = this.#isUniform && flags === this.#flags[0]
      // The count needs no check: a block of 32 KiB cannot hold 65,535 entries.
      if (sizeBound(index + 1, this.#bodyBytes + bytes, prefixLength, isUniform, this.#tagged) > this.#blockBytes) return false
    }
    if (index === this.#capacity) this.#grow()
    const needed = this.#staged + keyLength + valueLength
    if (needed > this.#stage.length) {
      const larger = new Uint8Array(needed * 2)
      larger.set(this.#stage.subarray(0, this.#staged))
      this.#stage = larger
    }
    const stage = this.#stage
    let at = this.#staged
    for (let i = keyStart; i < keyEnd; i++) stage[at++] = key[i]!
    if (valueLength < 64) for (let i = valueStart; i < valueEnd; i++) stage[at++] = value[i]!
    else stage.set(value.subarray(valueStart, valueEnd), at)
    this.#staged = needed
    this.#keyLength[index] = keyLength
    this.#valueLength[index] = valueLength
    this.#sequence[index] = sequence
    this.#expiresAt[index] = expiresAt
    this.#flags[index] = flags
    this.#tags[index] = leafTag(hash)
    this.#prefixLength = prefixLength
    this.#isUniform = isUniform
    this.#bodyBytes += bytes
    this.count = index + 1
    return true
  }

  /** An upper bound of what `write` will produce. */
  get sizeBound(): number {
    return sizeBound(this.count, this.#bodyBytes, this.#prefixLength, this.#isUniform, this.#tagged)
  }

  /** Writes the leaf at `out[start, …)`, which has room for `sizeBound`; empties the builder; returns where the leaf ends. */
  write(out: Uint8Array, start: number): number {
    const count = this.count
    const stage = this.#stage
    const prefixLength = this.#prefixLength
    const uniform = this.#isUniform
    const wide = this.sizeBound > leafCountMax
    out[start] = (wide ? LeafFlag.wide : 0) | (this.#tagged ? LeafFlag.tagged : 0) | (uniform ? LeafFlag.uniform : 0)
    out[start + 1] = uniform ? this.#flags[0]! : 0
    out[start + 2] = count
    out[start + 3] = count >>> 8
    out[start + 4] = this.keyspace
    out[start + 5] = this.keyspace >>> 8
    out[start + 6] = this.keyspace >>> 16
    out[start + 7] = this.keyspace >>> 24
    out[start + 8] = prefixLength
    out[start + 9] = prefixLength >>> 8
    let at = start + leafHeaderBytes
    if (this.#tagged) for (let i = 0; i < count; i++) out[at++] = this.#tags[i]!
    let offsetsAt = at
    at += (wide ? 4 : 2) * (count + 1)
    for (let i = 0; i < prefixLength; i++) out[at++] = stage[i]!
    let from = 0
    for (let i = 0; ; i++) {
      const offset = at - start
      out[offsetsAt++] = offset
      out[offsetsAt++] = offset >>> 8
      if (wide) {
        out[offsetsAt++] = offset >>> 16
        out[offsetsAt++] = offset >>> 24
      }
      if (i === count) break
      const flags = this.#flags[i]!
      if (!uniform) out[at++] = flags
      const keyEnd = from + this.#keyLength[i]!
      at = writeVarint(out, at, keyEnd - from - prefixLength)
      for (let j = from + prefixLength; j < keyEnd; j++) out[at++] = stage[j]!
      if ((flags & EntryFlag.sequence) !== 0) at = writeVarint(out, at, this.#sequence[i]!)
      if ((flags & EntryFlag.expiry) !== 0) at = writeVarint(out, at, this.#expiresAt[i]!)
      from = keyEnd + this.#valueLength[i]!
      if (from - keyEnd < 64) for (let j = keyEnd; j < from; j++) out[at++] = stage[j]!
      else {
        out.set(stage.subarray(keyEnd, from), at)
        at += from - keyEnd
      }
    }
    this.count = 0
    this.#staged = 0
    this.#bodyBytes = 0
    this.#isUniform = true
    return at
  }

  #grow(): void {
    const capacity = (this.#capacity *= 2)
    const grow = <A extends Uint8Array | Uint32Array | Float64Array>(from: A, to: A): A => {
      to.set(from)
      return to
    }
    this.#keyLength = grow(this.#keyLength, new Uint32Array(capacity))
    this.#valueLength = grow(this.#valueLength, new Uint32Array(capacity))
    this.#sequence = grow(this.#sequence, new Float64Array(capacity))
    this.#expiresAt = grow(this.#expiresAt, new Float64Array(capacity))
    this.#flags = grow(this.#flags, new Uint8Array(capacity))
    this.#tags = grow(this.#tags, new Uint8Array(capacity))
  }
}

const sizeBound = (count: number, bodyBytes: number, prefixLength: number, uniform: boolean, tagged: boolean): number => {
  const bytes = leafHeaderBytes + bodyBytes - (count - 1) * prefixLength + (uniform ? 0 : count) + (tagged ? count : 0)
  const narrow = bytes + 2 * (count + 1)
  return narrow <= leafCountMax ? narrow : bytes + 4 * (count + 1)
}
