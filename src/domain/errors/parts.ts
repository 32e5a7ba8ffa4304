/** What the classes of errors are put together from. */
import * as Schema from "effect/Schema"

export const Cause = Schema.optional(Schema.Defect())
export const Text = Schema.optional(Schema.String)
export const Count = Schema.optional(Schema.Finite)

export const because = (detail: string | undefined): string => (detail === undefined || detail === "" ? "" : ` (${detail})`)

export const inBatch = (index: number | undefined): string => (index === undefined ? "" : ` of operation ${index}`)
