/**
 * What is kept of projections, in the keyspace `projections`:
 *
 * - `01 ‖ name` → the name of the keyspace that serves it now (its current generation)
 * - `02 ‖ name of a generation's keyspace` → the first sequence it does not hold (8 bytes, big-endian) ‖ the name of its projection
 * - `03` → nothing: written to be seen in the feed
 */
import { decodeText } from "../../domain/bytes/decodeText.ts"
import { writeU64BigEndian } from "../../domain/keys/expiryRows.ts"
import { readU64 } from "../streams/readU64.ts"

/** Where the rows are. The targets of projections have this and a slash before their name: what is derived is told from what it is derived from. */
export const rowsKeyspace = "projections"
const derivedPrefix = `${rowsKeyspace}/`

export const isDerived = (keyspace: string): boolean => keyspace === rowsKeyspace || keyspace.startsWith(derivedPrefix)

export const targetName = (keyspace: string, generation: number): string => `${derivedPrefix}${keyspace}@${generation}`

const servingTag = 1
const generationTag = 2
export const markKey = Uint8Array.of(3)
const sequenceBytes = 8

const utf8 = new TextEncoder()

const tagged = (tag: number, text: string): Uint8Array => {
  const bytes = utf8.encode(text)
  const key = new Uint8Array(1 + bytes.length)
  key[0] = tag
  key.set(bytes, 1)
  return key
}

export const servingKey = (name: string): Uint8Array => tagged(servingTag, name)

export const generationKey = (target: string): Uint8Array => tagged(generationTag, target)
export const generationsPrefix = Uint8Array.of(generationTag)
export const targetOf = (key: Uint8Array): string => decodeText(key.subarray(1))

export interface Generation {
  readonly name: string
  /** The first sequence that is not folded yet. 0: it is still being seeded. */
  readonly next: number
}

export const encodeGeneration = ({ name, next }: Generation): Uint8Array => {
  const bytes = utf8.encode(name)
  const value = new Uint8Array(sequenceBytes + bytes.length)
  writeU64BigEndian(value, 0, next)
  value.set(bytes, sequenceBytes)
  return value
}

export const decodeGeneration = (value: Uint8Array): Generation => ({ name: decodeText(value.subarray(sequenceBytes)), next: readU64(value, 0) })
