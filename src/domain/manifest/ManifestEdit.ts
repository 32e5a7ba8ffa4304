import type { SegmentMeta, SegmentSealing } from "./SegmentMeta.ts"
import type { TableMeta, ValueFileMeta } from "./TableMeta.ts"

/** What makes a database itself: written once per manifest file, in its head. */
export interface Identity {
  /** 16 bytes, for the life of the database and of its copies. */
  readonly uuid: Uint8Array
  /** 16 bytes, new at creation, checkpoint, restore and repair: positions of one lineage mean nothing in another. */
  readonly lineageId: Uint8Array
  /** One more at every writable open. */
  readonly epoch: number
  /** u32, random per database: the seed of `keyHash`. */
  readonly hashSeed: number
}

/** Tables hold everything up to `sequence`; all groups that end at or before `position` hold nothing else. */
export interface FlushedThrough {
  readonly sequence: number
  readonly position: number
}

/** Sequences that were reserved and never acknowledged: `from` ≤ sequence < `to`. */
export interface LostRange {
  readonly from: number
  readonly to: number
}

export interface KeyspaceSequence {
  readonly keyspace: number
  readonly sequence: number
}

/** Of the versions at or below the sequence, a job has kept the newest `count` of each key, and may have dropped older ones: see `history/keptVersions.ts`. */
export interface KeyspaceVersions extends KeyspaceSequence {
  readonly count: number
}

/**
 * One change of structure, durable as a whole or not at all. Every member is optional. Removals come before additions, so an edit that removes and adds the
 * same table moves it (to another level).
 */
export interface ManifestEdit {
  /** Engine time of the edit; never goes back. Every edit carries it. */
  readonly engineTimeMs?: number | undefined
  /** File ids up to this one are reserved. Never goes back. */
  readonly fileIdsThrough?: number | undefined
  /** The highest file id ever used; in a snapshot, where no named file has it. */
  readonly fileIdsUsed?: number | undefined
  /** Sequences up to this one are reserved: some may be in use. Goes back only where a clean close returns what it did not use. */
  readonly sequencesThrough?: number | undefined
  readonly flushedThrough?: FlushedThrough | undefined
  readonly addLostRanges?: ReadonlyArray<LostRange> | undefined
  /** History of the keyspace begins here; below it, it may be incomplete. Never goes back. */
  readonly historyFrom?: ReadonlyArray<KeyspaceSequence> | undefined
  readonly removeSegments?: ReadonlyArray<number> | undefined
  readonly addSegments?: ReadonlyArray<SegmentMeta> | undefined
  readonly sealSegments?: ReadonlyArray<SegmentSealing> | undefined
  readonly removeTables?: ReadonlyArray<number> | undefined
  readonly addTables?: ReadonlyArray<TableMeta> | undefined
  readonly removeValueFiles?: ReadonlyArray<number> | undefined
  readonly addValueFiles?: ReadonlyArray<ValueFileMeta> | undefined
  /** Keyspaces dropped at a sequence, whose files are still there. */
  readonly dropKeyspaces?: ReadonlyArray<KeyspaceSequence> | undefined
  /** Dropped keyspaces nothing is left of. */
  readonly forgetKeyspaces?: ReadonlyArray<number> | undefined
  /** What jobs in keyspaces with retention by count have left. */
  readonly keepVersions?: ReadonlyArray<KeyspaceVersions> | undefined
}

/** The head of a manifest file: an edit that makes the whole state out of nothing. */
export interface ManifestSnapshot extends ManifestEdit {
  readonly identity: Identity
}
