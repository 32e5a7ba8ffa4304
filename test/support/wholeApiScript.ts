/** Scripts over the whole API: plain data, and the operations they stand for. */
import type { WriteOperation } from "../../src/services/Database.ts"
import type { Interval, ModelKey, Write } from "./wholeApiModel.ts"

export type WholeWrite =
  /** `ttl` in seconds. */
  | { readonly put: ModelKey; readonly bytes: number; readonly ttl?: number }
  | { readonly delete: ModelKey }
  /** Within the keyspace of `from`. */
  | { readonly from: ModelKey; readonly to: ModelKey }
  | { readonly add: ModelKey; readonly amount: number }
  | { readonly max: ModelKey; readonly amount: number }
  | { readonly append: ModelKey }
  | { readonly xor: ModelKey }
  | { readonly setOnce: ModelKey }
  /** `right`: with the value there is before the batch; in a transaction it is a `setOnce`. */
  | { readonly compareAndSet: ModelKey; readonly right: boolean; readonly deletes: boolean }

export type WholeStep =
  | { readonly op: "write"; readonly writes: ReadonlyArray<WholeWrite> }
  | { readonly op: "fill"; readonly space: 0 | 1; readonly bytes: number }
  | { readonly op: "transaction"; readonly reads: ModelKey; readonly writes: ReadonlyArray<WholeWrite>; readonly fails: boolean }
  | { readonly op: "begin"; readonly tx: number; readonly snapshot: boolean }
  | { readonly op: "txWrite"; readonly tx: number; readonly writes: ReadonlyArray<WholeWrite> }
  | { readonly op: "txGet"; readonly tx: number; readonly key: ModelKey; readonly peek: boolean }
  | { readonly op: "txScan"; readonly tx: number; readonly from: ModelKey; readonly to: ModelKey; readonly limit?: number }
  | { readonly op: "savepoint" | "rollbackTo"; readonly tx: number; readonly name: string }
  | { readonly op: "commit" | "rollback"; readonly tx: number }
  | { readonly op: "get"; readonly key: ModelKey }
  | { readonly op: "scan"; readonly from: ModelKey; readonly to: ModelKey; readonly reverse: boolean }
  /** In seconds. */
  | { readonly op: "wait"; readonly seconds: number }
  /** The past after the commit that is so many back. */
  | { readonly op: "at"; readonly back: number }
  | { readonly op: "history"; readonly key: ModelKey }
  | { readonly op: "changes" | "snapshot" | "readSnapshots" | "release" | "flush" | "compact" | "reopen" }

export type WholeScript = ReadonlyArray<WholeStep>

/** Those that steps name. */
export const wholeKeys: ReadonlyArray<ModelKey> = ["0", "1"].flatMap((space) => ["a", "b", "c", "n1", "n2", "x"].map((key) => `${space}${key}`))
export const fillKeys: ReadonlyArray<ModelKey> = ["0", "1"].flatMap((space) =>
  Array.from({ length: 20 }, (_, i) => `${space}f${String(i).padStart(2, "0")}`)
)
export const allKeys: ReadonlyArray<ModelKey> = [...wholeKeys, ...fillKeys].sort()
export const everything: Interval = { from: "0", to: "2" }
/** The keyspace that `1` stands for. */
export const side = "side"

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"))

export const operationOf = (write: Write): WriteOperation => {
  const keyspace = write.key.startsWith("1") ? side : undefined
  const key = write.key.slice(1)
  switch (write.type) {
    case "put":
      return { type: "put", key, value: bytesOf(write.value), keyspace, ttl: write.ttl }
    case "delete":
      return { type: "delete", key, keyspace }
    case "deleteRange":
      return { type: "deleteRange", gte: key, lt: write.to.slice(1), keyspace }
    case "add":
    case "max":
      return { type: write.type, key, value: write.amount, keyspace }
    case "append":
    case "xor":
    case "setOnce":
      return { type: write.type, key, value: bytesOf(write.value), keyspace }
    case "compareAndSet": {
      const expected = write.expected === undefined ? undefined : bytesOf(write.expected)
      return { type: "compareAndSet", key, expected, value: write.value === undefined ? undefined : bytesOf(write.value), keyspace }
    }
  }
}
