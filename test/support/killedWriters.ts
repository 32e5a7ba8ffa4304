/** What the process that is killed and the one that looks afterwards have to agree on. */
import type { Options } from "../../src/domain/options/Options.ts"
import { valueOf } from "./workload.ts"

export const writerCount = 16

/** Small, so that flushes, compactions and ends of segments are among what is cut off. */
export const childOptions: Omit<Options, "path"> = {
  memtableBytes: 262_144,
  walSegmentBytes: 262_144,
  tableBytes: 131_072,
  levelBytesBase: 262_144,
  cacheBytes: 4 << 20,
  // The writers have a thread for it in every other round.
  compactionWorkers: 0
}

/** The value of a write, from its id: lengths from nothing to where values are kept apart. */
export const valueFor = (id: string): Uint8Array => {
  let seed = 0
  for (let i = 0; i < id.length; i++) seed = (Math.imul(seed, 31) + id.charCodeAt(i)) >>> 0
  return valueOf(seed, seed % 7 === 0 ? seed % 2000 : seed % 200)
}

export interface Notes {
  readonly opened: boolean
  /** Begun and not acknowledged when the process died. */
  readonly inFlight: ReadonlySet<string>
  /** Acknowledged, with their sequences. */
  readonly acknowledged: ReadonlyMap<string, number>
  readonly failure: string | undefined
}

/** The last line may be cut. */
export const readNotes = (text: string): Notes => {
  const inFlight = new Set<string>()
  const acknowledged = new Map<string, number>()
  let opened = false
  let failure: string | undefined
  for (const line of text.split("\n").slice(0, -1)) {
    const [mark, id = "", sequence] = line.split(" ")
    if (mark === "open") opened = true
    else if (mark === "?") inFlight.add(id)
    else if (mark === "!") {
      inFlight.delete(id)
      acknowledged.set(id, Number(sequence))
    } else failure = line
  }
  return { opened, inFlight, acknowledged, failure }
}
