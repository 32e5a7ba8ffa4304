/**
 * The oracle of a simulated history. Each write carries its own name (`id`) as its annotation, so that the change feed says which of them are in, and in which order. What may
 * be there follows from what each was told:
 *
 * - acknowledged and made durable: it is there, at its sequence, whatever happens;
 * - acknowledged as buffered: it is there, or it and all after it are lost by a crash;
 * - refused: it never is;
 * - told nothing, or that the outcome is unknown: it is there or not, and once a recovery has decided, that stays so.
 *
 * The state is the fold of the writes by what the documentation says of each, and everything read must be the state at one moment.
 */
import type { Change, ChangeOperation } from "../../src/services/Changes.ts"
import type { Durability } from "../../src/services/Database.ts"
import type { Ledger } from "./Ledger.ts"
import type { SimulatedWrite } from "./script.ts"
import { applyWrites, emptyState, type SimulatedEntry, singleWrites, type SpaceState, type State } from "./writes.ts"

interface Attempt {
  readonly writes: ReadonlyArray<SimulatedWrite>
  outcome: "open" | "acknowledged" | "refused" | "unknown" | "lost"
  /** Where it stands: as acknowledged, or as the feed shows it. */
  sequence: number | undefined
  durability: Durability | "memory" | undefined
  /** The feed has shown it. */
  seen: boolean
}

/** Something that was read: right if it is so in the state after one of the commits from `lo` to `hi`. Returns what is wrong with a state. */
export interface Observation {
  readonly what: string
  readonly lo: number
  readonly hi: number
  readonly check: (state: State) => string | undefined
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")

export class History {
  readonly ledger: Ledger
  /** What is wrong; the first is what counts. */
  readonly violations: Array<string> = []
  readonly #attempts = new Map<string, Attempt>()
  #known: Array<Change> = []
  /** The feed was read without a gap up to here. */
  #covered = 0
  #required = 0
  #acknowledged = 0
  /** The highest sequence that was ever given out, and what it was at the last recovery. */
  #given = 0
  #givenBefore = 0
  #observations: Array<Observation> = []

  constructor(ledger: Ledger) {
    this.ledger = ledger
  }

  violate(what: string): void {
    this.violations.push(what)
  }

  /* What the fibers say ------------------------------------------------------------------------------------------------------------------------------------ */

  begin(id: string, writes: ReadonlyArray<SimulatedWrite>): void {
    this.#attempts.set(id, { writes, outcome: "open", sequence: undefined, durability: undefined, seen: false })
  }

  acknowledged(id: string, sequence: number, durability: Durability | "memory"): void {
    const attempt = this.#attempts.get(id)!
    if (attempt.seen && attempt.sequence !== sequence)
      this.violate(`${id} was acknowledged as ${sequence}, and the feed shows it as ${attempt.sequence}`)
    if (sequence <= this.#covered && !attempt.seen)
      this.violate(`${id} was acknowledged as ${sequence}, which the feed had passed without showing it`)
    if (sequence <= this.#givenBefore)
      this.violate(`${id} was acknowledged as ${sequence}, although ${this.#givenBefore} was given out before a crash`)
    if (sequence > this.#given) this.#given = sequence
    attempt.outcome = "acknowledged"
    attempt.sequence = sequence
    attempt.durability = durability
    if (sequence > this.#acknowledged) this.#acknowledged = sequence
    if (durability === "sync") this.require(sequence)
  }

  /** Acknowledged without being told where: among what is visible, which ends with `visible`. */
  acknowledgedWithin(id: string, visible: number, durability: Durability): void {
    const attempt = this.#attempts.get(id)!
    if (attempt.seen) return this.acknowledged(id, attempt.sequence!, durability)
    if (visible <= this.#covered) this.violate(`${id} was acknowledged, and the feed has passed ${visible} without showing it`)
    attempt.outcome = "acknowledged"
    attempt.durability = durability
  }

  refused(id: string): void {
    const attempt = this.#attempts.get(id)!
    if (attempt.seen) this.violate(`${id} was refused, and the feed shows it as ${attempt.sequence}`)
    attempt.outcome = "refused"
  }

  unknown(id: string): void {
    const attempt = this.#attempts.get(id)!
    if (attempt.outcome === "open") attempt.outcome = "unknown"
  }

  /** Everything up to this commit is durable. */
  require(sequence: number): void {
    if (sequence > this.#required) this.#required = sequence
  }

  /** The last commit that anybody was told of. */
  get lastAcknowledged(): number {
    return this.#acknowledged
  }

  observe(observation: Observation): void {
    this.#observations.push(observation)
  }

  /* What the feed says ------------------------------------------------------------------------------------------------------------------------------------- */

  /** The first sequence that is not known from the feed. */
  get next(): number {
    return this.#covered + 1
  }

  /** The next change of the feed. */
  learn(change: Change): void {
    const { annotation, operations, sequence } = change
    if (sequence <= this.#covered) return this.violate(`the feed shows ${sequence} after ${this.#covered}`)
    this.#covered = sequence
    if (sequence > this.#given) this.#given = sequence
    this.#known.push(change)
    this.ledger.count("feed", "changes")
    if (annotation === undefined) {
      const strange = operations.find(({ type }) => type !== "createKeyspace" && type !== "dropKeyspace" && type !== "expire")
      if (strange !== undefined) this.violate(`the feed shows a ${strange.type} as ${sequence} that nobody asked for`)
      return
    }
    const id = latin1(annotation)
    const attempt = this.#attempts.get(id)
    if (attempt === undefined) return this.violate(`the feed shows ${id} as ${sequence}, which nobody asked for`)
    if (attempt.seen) this.violate(`the feed shows ${id} twice, as ${attempt.sequence} and ${sequence}`)
    if (attempt.outcome === "refused") this.violate(`${id} was refused, and the feed shows it as ${sequence}`)
    if (attempt.outcome === "lost") this.violate(`${id} was not there after a recovery, and the feed shows it as ${sequence}`)
    if (attempt.outcome === "acknowledged" && attempt.sequence !== undefined && attempt.sequence !== sequence)
      this.violate(`${id} was acknowledged as ${attempt.sequence}, and the feed shows it as ${sequence}`)
    attempt.seen = true
    attempt.sequence = sequence
  }

  /** The feed was read to its end, which is this commit. */
  learnedThrough(sequence: number): void {
    if (sequence > this.#covered) this.#covered = sequence
    for (const [id, attempt] of this.#attempts) {
      if (attempt.outcome === "acknowledged" && !attempt.seen && attempt.sequence !== undefined && attempt.sequence <= sequence)
        this.violate(`${id} was acknowledged as ${attempt.sequence}, and the feed has nothing of it`)
    }
  }

  /* Lives -------------------------------------------------------------------------------------------------------------------------------------------------- */

  /**
   * The database was opened, and this is its feed from `from` on. What was lost must be the end of what there was, and nothing that was promised to be durable; `kept`: nothing at
   * all. What is not there now never is. `durable`: how far it says that it is durable, which is at least what the recovery has found.
   */
  recovered(input: {
    readonly visible: number
    readonly durable: number
    readonly from: number
    readonly changes: ReadonlyArray<Change>
    readonly kept: boolean
  }): void {
    const { changes, durable, from, kept, visible } = input
    this.judge()
    const shown = new Set(changes.map(({ sequence }) => sequence))
    const before = new Set<number>()
    for (const { sequence } of this.#known) before.add(sequence)
    for (const { outcome, sequence } of this.#attempts.values()) if (outcome === "acknowledged" && sequence !== undefined) before.add(sequence)
    let lostFrom = Infinity
    for (const sequence of before) if (sequence >= from && !shown.has(sequence) && sequence < lostFrom) lostFrom = sequence
    if (lostFrom <= this.#required) this.violate(`${this.#required} was promised to be durable, and ${lostFrom} is lost; ${visible} is visible`)
    if (kept && lostFrom < Infinity) this.violate(`nothing was to be lost, and ${lostFrom} is; ${visible} is visible`)
    if (visible < this.#required) this.violate(`${this.#required} was promised to be durable, and only ${visible} is visible`)
    for (const sequence of before)
      if (sequence > lostFrom && shown.has(sequence)) this.violate(`${lostFrom} is lost, and ${sequence}, which came after it, is there`)
    if (lostFrom < Infinity) this.ledger.count("outcomes", "buffered and lost")
    for (const attempt of this.#attempts.values()) {
      if (attempt.sequence === undefined || attempt.sequence < from) continue
      attempt.seen = false
      if (attempt.sequence < lostFrom) continue
      attempt.outcome = "lost"
      attempt.sequence = undefined
    }
    this.#known = this.#known.filter(({ sequence }) => sequence < from)
    this.#covered = from - 1
    for (const change of changes) this.learn(change)
    this.learnedThrough(visible)
    this.#settle()
    this.#acknowledged = visible
    this.#givenBefore = this.#given
    this.require(durable)
  }

  /** What the feed has not shown after a recovery is not there, and stays so. */
  #settle(): void {
    for (const [id, attempt] of this.#attempts) {
      if (attempt.outcome === "acknowledged" && !attempt.seen && attempt.sequence === undefined) {
        if (attempt.durability === "sync") this.violate(`${id} was acknowledged as durable and is not there after a recovery`)
        attempt.outcome = "lost"
      }
      if (attempt.outcome !== "open" && attempt.outcome !== "unknown") continue
      if (attempt.seen) {
        attempt.outcome = "acknowledged"
        this.ledger.count("outcomes", "unknown and there")
      } else {
        attempt.outcome = "lost"
        this.ledger.count("outcomes", "unknown and not there")
      }
    }
  }

  /** Holds what was read against the states there were, as far as the feed is known. */
  judge(): void {
    const state = emptyState()
    let open = this.#observations.splice(0).sort((a, b) => a.lo - b.lo)
    const faults = new Map<Observation, string>()
    let from = 0
    const look = (sequence: number, until: number) => {
      // The state after `sequence`, which is that of every moment before `until`.
      const later: Array<Observation> = []
      for (const observation of open) {
        if (observation.lo >= until) {
          later.push(observation)
          continue
        }
        if (observation.hi < sequence) {
          this.violate(`${observation.what}: ${faults.get(observation)}`)
          continue
        }
        const fault = observation.check(state)
        if (fault === undefined) {
          this.ledger.count("observations", "held against the states")
          continue
        }
        faults.set(observation, fault)
        later.push(observation)
      }
      open = later
    }
    for (const change of this.#known) {
      look(from, change.sequence)
      this.#apply(state, change)
      from = change.sequence
    }
    look(from, this.#covered + 1)
    for (const observation of open) {
      if (observation.hi <= this.#covered) this.violate(`${observation.what}: ${faults.get(observation) ?? "no such moment"}`)
      else this.ledger.count("observations", "of what was lost")
    }
  }

  /** The state after all that is known. */
  state(): State {
    const state = emptyState()
    for (const change of this.#known) this.#apply(state, change)
    return state
  }

  #apply(state: State, change: Change): void {
    const { annotation, operations, sequence } = change
    if (annotation === undefined) {
      for (const operation of operations) this.#applyOwn(state, operation, change)
      return
    }
    const id = latin1(annotation)
    const attempt = this.#attempts.get(id)
    if (attempt === undefined) return
    const shown = new Map<string, Exclude<ChangeOperation, { readonly type: "deleteRange" | "createKeyspace" | "dropKeyspace" }>>()
    for (const operation of operations) if ("key" in operation) shown.set(`${operation.keyspace}/${latin1(operation.key)}`, operation)
    this.#checkBefore(state, id, attempt.writes, shown)
    const fault = applyWrites(state, id, attempt.writes, (space, key) => {
      const operation = shown.get(`${space}/${key}`)
      return operation?.type === "put" ? (operation.expiresAt ?? Infinity) : Infinity
    })
    if (fault !== undefined) return this.violate(`${fault}, at ${sequence}`)
    this.#checkShown(state, id, attempt.writes, change, shown)
  }

  /** The feed shows what the writes left. */
  #checkShown(state: State, id: string, writes: ReadonlyArray<SimulatedWrite>, change: Change, shown: ReadonlyMap<string, ChangeOperation>): void {
    const asked = new Set<string>()
    for (const write of singleWrites(writes)) {
      const space = write.space ?? "default"
      if ("from" in write) {
        const found = change.operations.some(
          (operation) =>
            operation.type === "deleteRange" &&
            operation.keyspace === space &&
            latin1(operation.gte) === write.from &&
            latin1(operation.lt) === write.to
        )
        if (!found) this.violate(`the feed lacks a range delete of ${id}`)
        continue
      }
      const key = keyOf(write)
      asked.add(`${space}/${key}`)
      if (!shown.has(`${space}/${key}`) && !("setOnce" in write) && !("max" in write)) this.violate(`the feed lacks ${space}/${key} of ${id}`)
    }
    for (const [place, operation] of shown) {
      if (!asked.has(place)) this.violate(`the feed shows ${place} in ${id}, which did not write it`)
      const at = place.indexOf("/")
      const entry = state.get(place.slice(0, at))?.get(place.slice(at + 1))
      const wrong = operation.type === "put" ? entry?.value !== latin1(operation.value) : entry !== undefined
      if (wrong)
        this.violate(
          `the feed shows another ${place} in ${id} (${change.sequence}) than was left: ${describe(operation)} instead of ${shownEntry(entry)}`
        )
    }
  }

  #checkBefore(
    state: State,
    id: string,
    writes: ReadonlyArray<SimulatedWrite>,
    shown: ReadonlyMap<string, { readonly before?: Uint8Array | null | undefined }>
  ): void {
    for (const [place, { before }] of shown) {
      if (before === undefined) continue
      const at = place.indexOf("/")
      const [space, key] = [place.slice(0, at), place.slice(at + 1)]
      const ranged = writes.some((write) => "from" in write && (write.space ?? "default") === space && key >= write.from && key < write.to)
      const entry = ranged ? undefined : state.get(space)?.get(key)
      if ((before === null ? undefined : latin1(before)) !== entry?.value)
        this.violate(`the value before ${place} in ${id} is another than ${shownEntry(entry)}`)
      this.ledger.count("feed", "values before")
    }
  }

  #applyOwn(state: State, operation: ChangeOperation, { commitTimeMs, sequence }: Change): void {
    switch (operation.type) {
      case "createKeyspace":
        if (state.has(operation.keyspace)) this.violate(`${sequence} creates ${operation.keyspace}, which was there`)
        state.set(operation.keyspace, new Map())
        return
      case "dropKeyspace":
        if (!state.delete(operation.keyspace)) this.violate(`${sequence} drops ${operation.keyspace}, which was not there`)
        return
      case "expire": {
        const key = latin1(operation.key)
        const entry = state.get(operation.keyspace)?.get(key)
        if (entry === undefined || entry.expiresAt !== operation.expiresAt || entry.expiresAt > commitTimeMs)
          this.violate(`${sequence} expires ${operation.keyspace}/${key}, of which there is ${shownEntry(entry)}`)
        state.get(operation.keyspace)?.delete(key)
        this.ledger.count("feed", "expired")
      }
    }
  }
}

const keyOf = (write: Exclude<ReturnType<typeof singleWrites>[number], { readonly from: string }>): string => {
  if ("put" in write) return write.put
  if ("delete" in write) return write.delete
  if ("add" in write) return write.add
  if ("max" in write) return write.max
  return "append" in write ? write.append : write.setOnce
}

const shownEntry = (entry: SimulatedEntry | undefined): string =>
  entry === undefined ? "nothing" : `${JSON.stringify(entry.value.slice(0, 40))} (${entry.value.length} bytes, until ${entry.expiresAt})`

const describe = (operation: ChangeOperation): string =>
  operation.type === "put" ? `${JSON.stringify(latin1(operation.value).slice(0, 40))} (${operation.value.length} bytes)` : operation.type

/** The clock is looked at in between: what expires as close to the moment as this may be there or not. */
const slackMs = 3

/** What is wrong with entries that were read in order between these two moments. */
export const differs = (found: ReadonlyArray<readonly [string, string]>, expected: SpaceState, fromMs: number, toMs: number): string | undefined => {
  const left = new Map(expected)
  let previous: string | undefined
  for (const [key, value] of found) {
    if (previous !== undefined && key <= previous) return `${key} comes after ${previous}`
    previous = key
    const entry = left.get(key)
    if (entry?.value !== value) return `${key} is ${JSON.stringify(value.slice(0, 40))} (${value.length} bytes) instead of ${shownEntry(entry)}`
    if (entry.expiresAt < fromMs - slackMs) return `${key} is there, and expired at ${entry.expiresAt}, ${fromMs - entry.expiresAt} ms before`
    left.delete(key)
  }
  for (const [key, entry] of left) if (entry.expiresAt > toMs + slackMs) return `${key} is missing: ${shownEntry(entry)}`
  return undefined
}
