/**
 * The rows of event streams, in a keyspace of their own:
 *
 * - `01 ‖ name` → the revision of the last event (8 bytes, big-endian)
 * - `02 ‖ name, escaped ‖ 00 00 ‖ revision (8 bytes, big-endian)` → the event (`eventRow.ts`)
 * - `03 ‖ versionstamp` → the key of an event: all events in commit order
 *
 * A name is its UTF-8 form; escaped, each 00 becomes 00 FF. So no name is a prefix of another one's rows, events lie in the order of names and, within one, of revisions.
 */
import { InvalidKey } from "../../domain/errors.ts"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { writeU64BigEndian } from "../../domain/keys/expiryRows.ts"
import { keyBytesMax, sequenceMax } from "../../domain/keys/kinds.ts"
import { readU64 } from "./readU64.ts"
import * as Versionstamp from "./Versionstamp.ts"

const headTag = 1
const eventTag = 2
const commitTag = 3

const utf8 = new TextEncoder()
const terminatorBytes = 2
const revisionBytes = 8

/** Everything in commit order. */
export const commitPrefix = Uint8Array.of(commitTag)

export const commitKey = (position: Versionstamp.Versionstamp): Uint8Array => tagged(commitTag, Versionstamp.encode(position))

export const commitPositionOf = (key: Uint8Array): Versionstamp.Versionstamp => Versionstamp.decode(key, 1)

const tagged = (tag: number, rest: Uint8Array): Uint8Array => {
  const key = new Uint8Array(1 + rest.length)
  key[0] = tag
  key.set(rest, 1)
  return key
}

/** Throws `InvalidKey` where the name cannot be the name of a stream: it needs at least one byte, no lone surrogates, and room for its rows in a key. */
export const nameBytes = (stream: unknown): Uint8Array => {
  if (typeof stream !== "string") throw new InvalidKey({ reason: "WrongType", found: describeType(stream) })
  if (stream === "") throw new InvalidKey({ reason: "Empty" })
  if (!stream.isWellFormed()) throw new InvalidKey({ reason: "LoneSurrogate" })
  return utf8.encode(stream)
}

export const headKey = (name: Uint8Array): Uint8Array => tagged(headTag, name)

export const headPrefix = (namePrefix: string): Uint8Array => tagged(headTag, utf8.encode(namePrefix))

export const streamOfHead = (key: Uint8Array): string => decodeText(key.subarray(1))

export const encodeRevision = (revision: number): Uint8Array => {
  const bytes = new Uint8Array(revisionBytes)
  writeU64BigEndian(bytes, 0, revision)
  return bytes
}

/** Undefined where the row is not one of ours. */
export const decodeRevision = (value: Uint8Array): number | undefined => {
  if (value.length !== revisionBytes) return undefined
  const revision = readU64(value, 0)
  return revision <= sequenceMax ? revision : undefined
}

/** What the keys of all events of a stream begin with. Throws `InvalidKey` where those would be too long. */
export const eventPrefix = (name: Uint8Array): Uint8Array => {
  let zeros = 0
  for (const byte of name) if (byte === 0) zeros++
  const length = 1 + name.length + zeros + terminatorBytes
  if (length + revisionBytes > keyBytesMax) throw new InvalidKey({ reason: "TooLong", lengthBytes: length + revisionBytes })
  const prefix = new Uint8Array(length)
  prefix[0] = eventTag
  let at = 1
  for (const byte of name) {
    prefix[at++] = byte
    if (byte === 0) prefix[at++] = 0xff
  }
  return prefix
}

export const eventKey = (prefix: Uint8Array, revision: number): Uint8Array => {
  const key = new Uint8Array(prefix.length + revisionBytes)
  key.set(prefix)
  writeU64BigEndian(key, prefix.length, revision)
  return key
}

export const isEventKey = (key: Uint8Array): boolean => key[0] === eventTag

/** Undefined where the key is not that of an event. */
export const decodeEventKey = (key: Uint8Array): { readonly stream: string; readonly revision: number } | undefined => {
  const end = key.length - revisionBytes - terminatorBytes
  if (end < 2 || key[0] !== eventTag || key[end] !== 0 || key[end + 1] !== 0) return undefined
  const name = new Uint8Array(end - 1)
  let length = 0
  for (let at = 1; at < end; at++) {
    const byte = key[at]!
    name[length++] = byte
    if (byte === 0 && key[++at] !== 0xff) return undefined
  }
  const revision = readU64(key, end + terminatorBytes)
  return revision <= sequenceMax ? { stream: decodeText(name.subarray(0, length)), revision } : undefined
}
