import type { GroupBuilder } from "../../domain/wal/GroupBuilder.ts"
import type { Replies } from "./Replies.ts"

/** Everything submitted since the last group was taken. */
export interface PendingGroup {
  readonly builder: GroupBuilder
  replies: Replies
  sync: boolean
  firstSequence: number
}
