import type * as Stream from "effect/Stream"
import type { ScanError } from "../../domain/errors.ts"
import type { Entry } from "../../services/Database.ts"
import type { PlainHost } from "./PlainHost.ts"
import { type PlainIterator, plainIterator } from "./PlainIterator.ts"

const pair = ({ key, value }: Entry): [Uint8Array, Uint8Array] => [key, value]

/** A scan as an async iterator of pairs, which starts with its first step. */
export const plainEntries = (host: PlainHost, scan: Stream.Stream<Entry, ScanError>): PlainIterator<[Uint8Array, Uint8Array]> =>
  plainIterator(host, scan, pair)
