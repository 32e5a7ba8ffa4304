/** Folds the change feed to what the database holds: half of the law that `changes(0..n)` makes the state at n. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Change, ChangeOperation } from "../../src/services/Changes.ts"
import type { Reads, Snapshot } from "../../src/services/Database.ts"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** Keys and values in hexadecimal, whose order is that of the bytes, by keyspace. */
export class FoldedChanges {
  sequence = 0
  readonly spaces = new Map<string, Map<string, { readonly value: string; readonly expiresAt: number }>>([["default", new Map()]])

  apply(change: Change): void {
    if (change.sequence <= this.sequence) throw new Error(`sequence ${change.sequence} comes after ${this.sequence}`)
    this.sequence = change.sequence
    for (const operation of change.operations) this.applyOne(operation)
  }

  private applyOne(operation: ChangeOperation): void {
    const { keyspace, type } = operation
    if (type === "createKeyspace") {
      if (this.spaces.has(keyspace)) throw new Error(`${keyspace} is created and was there`)
      this.spaces.set(keyspace, new Map())
      return
    }
    if (type === "dropKeyspace") {
      if (!this.spaces.delete(keyspace)) throw new Error(`${keyspace} is dropped and was not there`)
      return
    }
    const space = this.spaces.get(keyspace)
    if (space === undefined) throw new Error(`a ${type} in ${keyspace}, which is not there`)
    switch (type) {
      case "put":
        space.set(hex(operation.key), { value: hex(operation.value), expiresAt: operation.expiresAt ?? Infinity })
        break
      case "delete":
      case "expire":
        space.delete(hex(operation.key))
        break
      default:
        for (const key of space.keys()) if (key >= hex(operation.gte) && key < hex(operation.lt)) space.delete(key)
    }
  }

  /** One line an entry; what has expired at `timeMs` is hidden. */
  dump(timeMs: number): string {
    const lines = [...this.spaces].flatMap(([name, space]) => [
      `${name}:`,
      ...[...space].flatMap(([key, { expiresAt, value }]) => (expiresAt > timeMs ? [`${name} ${key}=${value}`] : []))
    ])
    return lines.sort().join("\n")
  }
}

/** The same of a snapshot. */
export const dumpSnapshot = (snapshot: Snapshot, keyspaces: Iterable<string>) =>
  Effect.gen(function* () {
    const lines = ["default:"]
    const add = (name: string, reads: Reads) =>
      Stream.runForEach(reads.scan(), ({ key, value }) => Effect.sync(() => lines.push(`${name} ${hex(key)}=${hex(value)}`)))
    yield* add("default", snapshot)
    for (const name of keyspaces) {
      lines.push(`${name}:`)
      yield* add(name, yield* snapshot.keyspace(name))
    }
    return lines.sort().join("\n")
  })
