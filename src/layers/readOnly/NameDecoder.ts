import { decodeText } from "../../domain/bytes/decodeText.ts"
import { decodeKeyspaceRow, nameInRowKey } from "../../domain/keys/catalogRows.ts"
import { systemKeyspace } from "../../domain/keys/kinds.ts"
import type { LogDecoder } from "../feed/followLog.ts"
import type { KeyspaceNames } from "../feed/KeyspaceNames.ts"

/** Learns the names of keyspaces that the log creates, and shows nothing. */
export class NameDecoder implements LogDecoder<never> {
  from = 0
  out: Array<never> = []
  private readonly names: KeyspaceNames

  constructor(names: KeyspaceNames) {
    this.names = names
  }

  begin(): void {}

  put(keyspace: number, bytes: Uint8Array, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number): void {
    if (keyspace !== systemKeyspace) return
    const name = nameInRowKey(bytes.subarray(keyStart, keyEnd))
    const row = name === undefined ? undefined : decodeKeyspaceRow(bytes.subarray(valueStart, valueEnd))
    if (name !== undefined && row !== undefined) this.names.learn(row.id, decodeText(name))
  }

  delete(): void {}
  rangeDelete(): void {}
  expire(): void {}
  end(): void {}
}
