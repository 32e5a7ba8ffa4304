/** What the parts of the contract share: a way to open a database, and short words for keys and values. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { OpenError } from "../../../src/domain/errors.ts"
import type { Options } from "../../../src/domain/options/Options.ts"
import type { DatabaseShape, Entry, Reads, ScanRange } from "../../../src/services/Database.ts"

export type TestOptions = Omit<Partial<Options>, "path" | "readOnly">

export interface DatabaseFixture {
  readonly name: string
  /** What an acknowledged write reports on this backing. */
  readonly durabilityOf: (asked: "sync" | "buffered") => "sync" | "buffered" | "memory"
  /** A new, empty database, until the scope closes. */
  readonly open: (options?: TestOptions) => Effect.Effect<DatabaseShape, OpenError, Scope.Scope>
  /** A place for a checkpoint, and how to open it; undefined where a database cannot be opened again. */
  readonly checkpoints:
    | { readonly newPath: () => string; readonly open: (path: string) => Effect.Effect<DatabaseShape, OpenError, Scope.Scope> }
    | undefined
}

/** Everything as small as it may be: few entries pass through every part of the engine. */
export const small: TestOptions = {
  memtableBytes: 65_536,
  walSegmentBytes: 65_536,
  tableBytes: 65_536,
  levelBytesBase: 65_536,
  blockBytes: 512,
  level0CompactTrigger: 2
}

const decoder = new TextDecoder()
export const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : decoder.decode(bytes))

/** `key=value` of each entry, in the order in which they come. */
export const pairs = (entries: Iterable<Entry>): ReadonlyArray<string> => Array.from(entries, ({ key, value }) => `${text(key)}=${text(value)}`)

export const scanned = (reads: Reads, range?: ScanRange) => Effect.map(Stream.runCollect(reads.scan(range)), pairs)

/** Where the entries are when they are read. */
export const places = ["memtable", "level 0", "compacted", "some of each"] as const

/** Brings what was written before to its place. */
export const settle = (db: DatabaseShape, place: (typeof places)[number]) =>
  Effect.gen(function* () {
    if (place === "level 0") yield* db.flush
    if (place === "compacted") yield* Effect.andThen(db.flush, db.compact())
  })
