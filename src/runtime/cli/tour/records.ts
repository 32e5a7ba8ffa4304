/** The small records that the crash of the tour is about: anybody who knows round, writer and number can tell what must be stored. */

export const writers = 16
export const writersKeyspace = "writers"

export interface RecordId {
  readonly round: number
  /** 0 to `writers` - 1. */
  readonly writer: number
  /** From 0, without gaps: a writer begins the next record once the one before it is acknowledged. */
  readonly number: number
}

export const recordKey = ({ number, round, writer }: RecordId): string =>
  `${round}/${writer.toString().padStart(2, "0")}/${number.toString().padStart(8, "0")}`

/** 100 characters that depend on all of the id, so that a value of another record, or half of one, cannot pass. */
export const recordValue = (id: RecordId): string => {
  let state = (Math.imul(id.round + 1, 0x9e3779b1) ^ Math.imul(id.writer + 1, 0x85ebca6b) ^ Math.imul(id.number + 1, 0xc2b2ae35)) >>> 0
  let text = `${recordKey(id)} `
  while (text.length < 100) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    text += state.toString(16).padStart(8, "0")
  }
  return text.slice(0, 100)
}
