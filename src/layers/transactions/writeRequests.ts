import type { Batch } from "../../domain/batch/Batch.ts"
import type { CommitHead } from "../../domain/batch/CommitHead.ts"
import { expiresAtOf } from "../../domain/batch/expiry.ts"
import { InvalidOptions } from "../../domain/errors.ts"
import { systemKeyspace } from "../../domain/keys/kinds.ts"
import type { PutOptions, WriteOptions } from "../../services/Database.ts"
import type { CommitRequest } from "../../services/TransactionManager.ts"

/*
 * Requests are classes: a function in an object literal is made in the old generation, where it keeps all that it refers to alive until the next full collection.
 */

/** Of a batch that nobody has checked yet. */
const onlyTakesAway = (operations: unknown): boolean =>
  Array.isArray(operations) &&
  operations.every((operation: { readonly type?: unknown } | undefined) => operation?.type === "delete" || operation?.type === "deleteRange")

/** A batch that `fill` fills. */
export class ListWrite implements CommitRequest<never> {
  readonly keyspace: number
  readonly options: WriteOptions | undefined
  readonly fill: () => void
  readonly sequenced: CommitRequest<never>["sequenced"]
  private readonly operations: unknown

  constructor(
    keyspace: number,
    options: WriteOptions | undefined,
    operations: unknown,
    fill: () => void,
    sequenced: CommitRequest<never>["sequenced"]
  ) {
    this.keyspace = keyspace
    this.options = options
    this.operations = operations
    this.fill = fill
    this.sequenced = sequenced
  }

  /** Asked only where it decides something. The catalog's rows are few, and dropping a keyspace is how to make room. */
  get frees(): boolean {
    return this.keyspace === systemKeyspace || onlyTakesAway(this.operations)
  }
}

/**
 * A batch of one put or delete, from what the caller gave.
 */
export class OneWrite implements CommitRequest<never> {
  readonly keyspace: number
  readonly options: PutOptions | undefined
  readonly frees: boolean
  private readonly key: unknown
  private readonly value: unknown

  constructor(keyspace: number, key: unknown, value: unknown, isDelete: boolean, options: PutOptions | undefined) {
    this.keyspace = keyspace
    this.options = options
    this.frees = isDelete
    this.key = key
    this.value = value
  }

  fill(batch: Batch, head: CommitHead): void {
    const { keyspace, options } = this
    if (this.frees) batch.addDelete(keyspace, this.key)
    else if (options === undefined) batch.addPut(keyspace, this.key, this.value)
    else {
      const expiresAt = expiresAtOf(options, head.commitTimeMs)
      if (typeof expiresAt === "string") throw new InvalidOptions({ problems: [expiresAt] })
      batch.addPut(keyspace, this.key, this.value, expiresAt)
    }
    batch.finish()
  }
}
