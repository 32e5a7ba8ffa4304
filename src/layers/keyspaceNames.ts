import { InvalidKeyspaceName } from "../domain/errors.ts"
import type { KeyspaceSettings } from "../domain/keys/catalogRows.ts"
import type { ManifestState } from "../domain/manifest/ManifestState.ts"
import type { KeyspaceInfo } from "../services/Database.ts"

const nameBytesMax = 255
const utf8 = new TextEncoder()

/** The UTF-8 form of a keyspace's name. Throws `InvalidKeyspaceName`. */
export const keyspaceNameBytes = (name: unknown): Uint8Array => {
  if (typeof name !== "string") throw new InvalidKeyspaceName({ name: String(name), detail: "a name is a string" })
  if (name.length === 0) throw new InvalidKeyspaceName({ name, detail: "it is empty" })
  if (name === "default") throw new InvalidKeyspaceName({ name, detail: "it stands for the keyspace that is always there: use the database itself" })
  if (!name.isWellFormed()) throw new InvalidKeyspaceName({ name, detail: "it holds a lone surrogate" })
  const bytes = utf8.encode(name)
  if (bytes.length > nameBytesMax) throw new InvalidKeyspaceName({ name: `${name.slice(0, 40)}…`, detail: `it is longer than ${nameBytesMax} bytes` })
  return bytes
}

/** What is told of a keyspace in the list of them. `settings`: what its own row says. */
export const keyspaceInfo = (name: string, id: number, state: ManifestState, settings: KeyspaceSettings): KeyspaceInfo => {
  const { beforeImages, historyMs, historyVersions } = settings
  let tableBytes = 0
  for (const table of state.tables.values()) if (table.smallest.keyspace === id && table.largest.keyspace === id) tableBytes += table.fileBytes
  return {
    name,
    tableBytes,
    ...(historyVersions !== undefined ? { historyVersions } : historyMs === undefined ? {} : { historyMs }),
    ...(beforeImages === undefined ? {} : { beforeImages })
  }
}
