import { decodeText } from "../../domain/bytes/decodeText.ts"
import { idInDroppedRowKey } from "../../domain/keys/droppedRows.ts"
import { defaultKeyspace, firstNamedKeyspace } from "../../domain/keys/kinds.ts"
import type { Catalog } from "../../services/Catalog.ts"
import type { Entry } from "../../services/Database.ts"

type NamedIds = Pick<Catalog["Service"], "droppedIds" | "idOf" | "nameOf">

/** Names of keyspaces by id, of those too that are gone: ids are never used again, so what was true once stays true. */
export class KeyspaceNames {
  private readonly catalog: NamedIds
  private readonly rows: () => ReadonlyArray<Entry>
  private learned: Map<number, string> | undefined = undefined

  /** `rows` reads those of dropped keyspaces. */
  constructor(catalog: NamedIds, rows: () => ReadonlyArray<Entry>) {
    this.catalog = catalog
    this.rows = rows
  }

  /** A row of the log names it. */
  learn(id: number, name: string): void {
    this.all().set(id, name)
  }

  /** Undefined for the keyspaces of the engine itself, which the feed does not show. Throws where rows cannot be read. */
  nameOf(id: number): string | undefined {
    if (id === defaultKeyspace) return "default"
    if (id < firstNamedKeyspace) return undefined
    return this.catalog.nameOf(id) ?? this.all().get(id) ?? `#${id}`
  }

  /** Whether there is, or ever was, a keyspace of this name. Throws where rows cannot be read. */
  isKnown(name: string): boolean {
    if (name === "default" || this.catalog.idOf(name) !== undefined) return true
    for (const known of this.all().values()) if (known === name) return true
    for (const id of this.catalog.droppedIds().keys()) if (this.catalog.nameOf(id) === name) return true
    return false
  }

  /** The names of those dropped before this open: read once, when somebody asks. */
  private all(): Map<number, string> {
    if (this.learned !== undefined) return this.learned
    const learned = new Map<number, string>()
    for (const { key, value } of this.rows()) {
      const id = idInDroppedRowKey(key)
      if (id !== undefined) learned.set(id, decodeText(value))
    }
    return (this.learned = learned)
  }
}
