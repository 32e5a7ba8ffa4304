/** Makes a failing script small: lives, fibers, steps, writes and faults are left out as long as something still fails. */
import type { CrashPoint, SimulatedLife, SimulatedStep, SimulatedWrite, SimulationScript } from "./script.ts"

export interface Shrunk {
  readonly script: SimulationScript
  readonly violation: string
  /** How many scripts were run for it. */
  readonly runs: number
}

export interface ShrinkOptions {
  /** Scripts to run at most. Default 2,000. */
  readonly runsMax?: number
  readonly deadlineMs?: number
}

const replaced = <A>(all: ReadonlyArray<A>, index: number, value: A): ReadonlyArray<A> => all.map((one, i) => (i === index ? value : one))

const smallerWrite = (write: SimulatedWrite): ReadonlyArray<SimulatedWrite> => {
  if ("fill" in write && write.fill > 1) return [{ ...write, fill: Math.floor(write.fill / 2) }]
  return "put" in write && write.bytes > 0 ? [{ ...write, bytes: 0 }] : []
}

const without = <A>(all: ReadonlyArray<A>, at: number): ReadonlyArray<A> => all.filter((_, i) => i !== at)

const smallerWrites = (writes: ReadonlyArray<SimulatedWrite>): ReadonlyArray<ReadonlyArray<SimulatedWrite>> => [
  ...(writes.length > 1 ? writes.map((_, i) => without(writes, i)) : []),
  ...writes.flatMap((write, i) => smallerWrite(write).map((smaller) => replaced(writes, i, smaller)))
]

const smallerStep = (step: SimulatedStep): ReadonlyArray<SimulatedStep> => {
  switch (step.do) {
    case "write":
      return smallerWrites(step.writes).map((writes) => ({ ...step, writes }))
    case "transaction":
      return [
        { do: "write", writes: step.writes, ...(step.sync === true ? { sync: true as const } : {}) },
        ...step.reads.map((_, i) => ({ ...step, reads: without(step.reads, i) })),
        ...smallerWrites(step.writes).map((writes) => ({ ...step, writes }))
      ]
    case "interrupt":
      return [step.step, ...smallerStep(step.step).map((smaller) => ({ ...step, step: smaller }))]
    default:
      return []
  }
}

/** The same moment, earlier: what was left out before it has taken its operations along. */
const earlier = (crash: CrashPoint): ReadonlyArray<CrashPoint> => {
  if (typeof crash === "number") return [crash - 1, crash - 2, crash - 4, crash - 9, Math.floor(crash / 2)].filter((n) => n >= 0)
  if ("closing" in crash) return crash.closing > 0 ? [{ closing: crash.closing - 1 }, { closing: 0 }] : []
  return crash.nth > 1
    ? [
        { ...crash, nth: crash.nth - 1 },
        { ...crash, nth: 1 }
      ]
    : []
}

/** What there is to leave out: less is smaller. */
export const weigh = (script: SimulationScript): number => JSON.stringify(script).length

/** Leaves out what can be left out, and goes on from there. */
class Shrinking {
  script: SimulationScript
  violation: string
  runs = 1
  readonly #fails: (script: SimulationScript) => string | undefined
  readonly #isOver: (runs: number) => boolean

  constructor(
    script: SimulationScript,
    violation: string,
    fails: (script: SimulationScript) => string | undefined,
    isOver: (runs: number) => boolean
  ) {
    this.script = script
    this.violation = violation
    this.#fails = fails
    this.#isOver = isOver
  }

  get isOver(): boolean {
    return this.#isOver(this.runs)
  }

  /** Whether something still fails without it; then it is left out. */
  keeps(smaller: SimulationScript): boolean {
    for (const seed of [this.script.seed, this.script.seed + 1, this.script.seed + 2]) {
      if (this.isOver) return false
      this.runs++
      const violation = this.#fails({ ...smaller, seed })
      if (violation === undefined) continue
      this.script = { ...smaller, seed }
      this.violation = violation
      return true
    }
    return false
  }

  /** Leaves out parts of a list: halves first, single ones last. */
  list<A>(
    read: (script: SimulationScript) => ReadonlyArray<A>,
    write: (script: SimulationScript, list: ReadonlyArray<A>) => ReadonlyArray<SimulationScript>
  ): void {
    for (let size = read(this.script).length; size >= 1 && !this.isOver; size = Math.floor(size / 2)) {
      for (let at = 0; at < read(this.script).length && !this.isOver;) {
        const list = read(this.script)
        const some = [...list.slice(0, at), ...list.slice(at + size)]
        if (!write(this.script, some).some((smaller) => this.keeps(smaller))) at += size
      }
    }
  }

  /** Takes any of these, as long as one of them is there that still fails. */
  any(candidates: (script: SimulationScript) => ReadonlyArray<SimulationScript>): void {
    for (let isSmaller = true; isSmaller && !this.isOver;) isSmaller = candidates(this.script).some((smaller) => this.keeps(smaller))
  }

  pass(): void {
    this.list(
      ({ lives }) => lives,
      (script, lives) => (lives.length === 0 ? [] : [{ ...script, lives }])
    )
    for (let life = 0; life < this.script.lives.length; life++) this.#life(life)
    this.any(({ beforeImages, keeps, ...rest }) => (beforeImages === undefined && keeps === undefined ? [] : [rest]))
  }

  #life(at: number): void {
    const lifeOf = (script: SimulationScript): SimulatedLife => script.lives[at]!
    const withLife = (script: SimulationScript, life: SimulatedLife): SimulationScript => ({ ...script, lives: replaced(script.lives, at, life) })
    /** As it is, and with the power cut earlier. */
    const andEarlier = (script: SimulationScript, life: SimulatedLife): ReadonlyArray<SimulationScript> =>
      [life, ...(life.crash === undefined ? [] : earlier(life.crash).map((crash) => ({ ...life, crash })))].map((one) => withLife(script, one))
    this.list(
      (script) => lifeOf(script).fibers,
      (script, fibers) => andEarlier(script, { ...lifeOf(script), fibers })
    )
    this.list(
      (script) => lifeOf(script).faults ?? [],
      (script, faults) => {
        const { faults: _, ...life } = lifeOf(script)
        return [withLife(script, faults.length === 0 ? life : { ...life, faults })]
      }
    )
    for (let fiber = 0; fiber < lifeOf(this.script).fibers.length; fiber++) {
      this.list(
        (script) => lifeOf(script).fibers[fiber]!,
        (script, steps) => andEarlier(script, { ...lifeOf(script), fibers: replaced(lifeOf(script).fibers, fiber, steps) })
      )
      for (let step = 0; step < lifeOf(this.script).fibers[fiber]!.length; step++) {
        this.any((script) => {
          const life = lifeOf(script)
          const steps = life.fibers[fiber]!
          return smallerStep(steps[step]!).map((smaller) =>
            withLife(script, { ...life, fibers: replaced(life.fibers, fiber, replaced(steps, step, smaller)) })
          )
        })
      }
    }
    this.any((script) => {
      const { crash, mode, ...life } = lifeOf(script)
      if (crash === undefined) return mode === undefined ? [] : [withLife(script, life)]
      return [withLife(script, life), ...(mode === "worst" ? [] : [withLife(script, { ...life, crash, mode: "worst" })])]
    })
  }
}

/**
 * `fails` runs a script and says what is wrong with it. It is run again and again: with the same seed first, and where nothing fails then with two others, because leaving out a
 * step changes what every later draw means.
 */
export const shrink = (script: SimulationScript, fails: (script: SimulationScript) => string | undefined, options: ShrinkOptions = {}): Shrunk => {
  const { deadlineMs = Infinity, runsMax = 2000 } = options
  const startedMs = performance.now()
  const violation = fails(script)
  if (violation === undefined) throw new Error("the script does not fail: there is nothing to shrink")
  const shrinking = new Shrinking(script, violation, fails, (runs) => runs >= runsMax || performance.now() - startedMs > deadlineMs)
  for (let weight = Infinity; weigh(shrinking.script) < weight && !shrinking.isOver;) {
    weight = weigh(shrinking.script)
    shrinking.pass()
  }
  return { script: shrinking.script, violation: shrinking.violation, runs: shrinking.runs }
}
