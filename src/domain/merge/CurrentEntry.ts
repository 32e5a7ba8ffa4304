import { CursorState } from "../EntryCursor.ts"
import type { BlockNeed, EntryCursor } from "../EntryCursor.ts"

const none = new Uint8Array(0)

/** The fields of a cursor made of other cursors. They are copied from the child at each move: reading them through accessors costs more, since they are read several times. */
export class CurrentEntry {
  state: CursorState = CursorState.atEnd
  need: BlockNeed | undefined = undefined
  keyspace = 0
  keyBytes: Uint8Array = none
  keyStart = 0
  keyEnd = 0
  sequence = 0
  kind = 0
  expiresAt = 0
  isPointer = false
  valueBytes: Uint8Array = none
  valueStart = 0
  valueEnd = 0

  /** Shows what `child` shows; nothing where there is none. */
  protected show(child: EntryCursor | undefined): void {
    if (child === undefined) {
      this.state = CursorState.atEnd
      this.need = undefined
      return
    }
    this.state = child.state
    this.need = child.need
    if (child.state !== CursorState.atEntry) return
    this.keyspace = child.keyspace
    this.keyBytes = child.keyBytes
    this.keyStart = child.keyStart
    this.keyEnd = child.keyEnd
    this.sequence = child.sequence
    this.kind = child.kind
    this.expiresAt = child.expiresAt
    this.isPointer = child.isPointer
    this.valueBytes = child.valueBytes
    this.valueStart = child.valueStart
    this.valueEnd = child.valueEnd
  }
}
