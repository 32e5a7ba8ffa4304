/** What the process that is killed writes down as it goes, and what the one that judges it makes of it: one line for each thing that was said. */
import { writeSync } from "node:fs"
import type { Options } from "../../src/domain/options/Options.ts"
import { smallOptions } from "../../src/runtime/simulation/SimulatedMachine.ts"
import { History, type Observation } from "./History.ts"
import { Ledger } from "./Ledger.ts"
import type { SimulatedLife, SimulatedStep, SimulatedWrite } from "./script.ts"

/** As in the simulation, with a thread for flush and compaction. */
export const realOptions: Omit<Options, "path"> = {
  ...smallOptions,
  compactionWorkers: 1,
  durability: "sync",
  retention: { log: "unlimited" }
}

/** A history that does not judge: it writes to `file` what was said, so that it outlives its process. */
export class NotedHistory extends History {
  readonly #file: number

  constructor(file: number) {
    super(new Ledger())
    this.#file = file
  }

  #note(...words: ReadonlyArray<string | number>): void {
    writeSync(this.#file, `${words.join(" ")}\n`)
  }

  override acknowledged(...args: Parameters<History["acknowledged"]>): void {
    this.#note("acknowledged", ...args)
    super.acknowledged(...args)
  }

  override acknowledgedWithin(...args: Parameters<History["acknowledgedWithin"]>): void {
    this.#note("within", ...args)
    super.acknowledgedWithin(...args)
  }

  override refused(id: string): void {
    this.#note("refused", id)
  }

  override unknown(id: string): void {
    this.#note("unknown", id)
  }

  override require(sequence: number): void {
    this.#note("require", sequence)
  }

  override violate(what: string): void {
    this.#note("violation", what.replaceAll("\n", " "))
  }

  // Of what earlier lives have left it knows nothing: nothing can be held against it here.
  override observe(_: Observation): void {}

  override learn(): void {}

  step(kind: string): void {
    this.#note("step", kind)
  }
}

const writesOf = (id: string, step: SimulatedStep): ReadonlyArray<readonly [string, ReadonlyArray<SimulatedWrite>]> => {
  if (step.do === "interrupt") return writesOf(`${id}i`, step.step)
  return step.do === "write" || step.do === "transaction" ? [[id, step.writes]] : []
}

/** Every write that the life `name` may have begun, and what the notes say of it. The last line may be cut. */
export const replayNotes = (history: History, name: string, life: SimulatedLife, text: string): void => {
  for (const [fiber, steps] of life.fibers.entries())
    for (const [index, step] of steps.entries()) for (const [id, writes] of writesOf(`${name}.${fiber}.${index}`, step)) history.begin(id, writes)
  for (const line of text.split("\n").slice(0, -1)) {
    const [word, first = "", second, third] = line.split(" ")
    switch (word) {
      case "acknowledged":
        history.acknowledged(first, Number(second), third === "sync" ? "sync" : "buffered")
        history.ledger.count("outcomes", `acknowledged, ${third}`)
        break
      case "within":
        history.acknowledgedWithin(first, Number(second), third === "sync" ? "sync" : "buffered")
        break
      case "refused":
        history.refused(first)
        break
      case "unknown":
        history.unknown(first)
        break
      case "require":
        history.require(Number(first))
        break
      case "step":
        history.ledger.count("steps", first)
        break
      case "violation":
        history.violate(line.slice("violation ".length))
    }
  }
}
