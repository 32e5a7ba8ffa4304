/**
 * Invariants 4 and 5 as a table: each kind of fault, on each kind of file, while the database is opened and while it runs. What is answered is right or a typed error that names the
 * file; afterwards, on a disk that works again, everything acknowledged is there, or, where the disk had lied, damage is found and named.
 */
import { describe, expect, it } from "vitest"
import type { Fault, FaultOperation } from "../../src/layers/disk/FaultRule.ts"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import { type Case, type Outcome, runCase } from "../support/faultMatrix.ts"

const files = {
  log: /\.log$/,
  manifest: /\.manifest$/,
  CURRENT: /CURRENT(?:\.tmp)?$/,
  table: /\.table$/,
  values: /\.values$/
} as const

interface Kind {
  readonly name: string
  readonly operation: FaultOperation
  readonly fault: (seed: number) => Fault
}

const code = (operation: FaultOperation, name: string, afterBytes?: number): Kind => ({
  name: `${operation} ${name}${afterBytes === undefined ? "" : ` after ${afterBytes} bytes`}`,
  operation,
  fault: () => (afterBytes === undefined ? { code: name } : { code: name, afterBytes })
})

const kinds: ReadonlyArray<Kind> = [
  code("open", "EMFILE"),
  code("open", "EACCES"),
  code("stat", "EIO"),
  code("sizeBytes", "EIO"),
  code("readAt", "EIO"),
  { name: "short read", operation: "readAt", fault: (seed) => ({ shortRead: seed * 7 }) },
  { name: "bit flip on read", operation: "readAt", fault: (seed) => ({ bitFlip: { draw: seededPrng(seed) } }) },
  { name: "misdirected read", operation: "readAt", fault: (seed) => ({ misdirected: { byBytes: seed % 2 === 1 ? 512 : -512 } }) },
  { name: "stale read", operation: "readAt", fault: () => ({ staleRead: true }) },
  code("writev", "ENOSPC", 0),
  code("writev", "EDQUOT", 11),
  code("writev", "EIO", 4096),
  { name: "lying write", operation: "writev", fault: () => ({ lieOnWrite: true }) },
  { name: "short write", operation: "writev", fault: (seed) => ({ shortWrite: seed * 9 }) },
  { name: "bit flip on write", operation: "writev", fault: (seed) => ({ bitFlipOnWrite: { draw: seededPrng(seed) } }) },
  { name: "misdirected write", operation: "writev", fault: (seed) => ({ misdirected: { byBytes: seed % 2 === 1 ? 512 : -512 } }) },
  code("datasync", "EIO"),
  { name: "lying sync", operation: "datasync", fault: () => ({ lieOnWrite: true }) },
  code("rename", "EACCES"),
  code("remove", "EIO")
]

/** Which call of its kind is struck. By default the first, and of the ways to end one each; `LIGHTNING_FAULT_CASES` makes it so many, with all of them. */
const wanted = Number(process.env["LIGHTNING_FAULT_CASES"] ?? "1")
const nths = Array.from({ length: wanted }, (_, i) => i + 1)

interface Counts {
  cases: number
  struck: number
  told: number
  refused: number
  prefix: number
}

const ledger = new Map<string, Counts>()

const count = (kind: string, outcome: Outcome): void => {
  const counts = ledger.get(kind) ?? { cases: 0, struck: 0, told: 0, refused: 0, prefix: 0 }
  counts.cases++
  if (outcome.strikes.length > 0) counts.struck++
  if (outcome.during.length > 0) counts.told++
  if (outcome.after === "refused") counts.refused++
  if (outcome.after === "prefix") counts.prefix++
  ledger.set(kind, counts)
}

/** A sync that was never done shows in a power cut alone, and nothing else is compared with one: no other lie may be worse than it. */
const endsOf = (kind: Kind, index: number): ReadonlyArray<Case["ends"]> => {
  if (kind.name === "lying sync") return ["power cut"]
  return wanted > 1 ? ["closed", "killed"] : [index % 2 === 0 ? "closed" : "killed"]
}

describe("fault matrix", () => {
  for (const kind of kinds) {
    it(`${kind.name}: right, or a typed error that names the file`, async () => {
      const wrong: Array<string> = []
      let cases = 0
      for (const [file, path] of Object.entries(files)) {
        for (const [moment, left] of [
          ["open", "closed"],
          ["open", "killed"],
          ["running", "closed"]
        ] as const) {
          for (const nth of nths) {
            for (const ends of endsOf(kind, cases++)) {
              const it: Case = { rules: [{ match: { operation: kind.operation, path }, nth, fault: kind.fault(nth) }], left, moment, ends }
              const outcome = await runCase(it)
              count(kind.name, outcome)
              const what = `${kind.name} ${nth} of ${file}, ${moment} (${left}), then ${ends}`
              if (process.env["LIGHTNING_FAULT_TRACE"] !== undefined) console.log(what, outcome.strikes.length, outcome.during, outcome.after)
              for (const complaint of outcome.complaints) wrong.push(`${what}: ${complaint}`)
            }
          }
        }
      }
      expect(wrong).toEqual([])
      expect(ledger.get(kind.name)!.struck).toBeGreaterThan(0)
    }, 60_000)
  }

  it("every read of the log by an open after a kill, read wrong once: the open is right, or fails and changes nothing", async () => {
    const faults: ReadonlyArray<readonly [string, (seed: number) => Fault]> = [
      ["a flipped bit", (seed) => ({ bitFlip: { draw: seededPrng(seed) } })],
      ["another place", (seed) => ({ misdirected: { byBytes: seed % 2 === 0 ? 4096 : -512 } })],
      ["an older state", () => ({ staleRead: true })],
      ["a part", (seed) => ({ shortRead: seed * 300 })]
    ]
    const wrong: Array<string> = []
    let struck = 0
    for (const [name, fault] of faults) {
      for (let nth = 1; ; nth++) {
        const path = files.log
        const outcome = await runCase({
          rules: [{ match: { operation: "readAt", path }, nth, fault: fault(nth) }],
          left: "killed",
          moment: "open",
          ends: "killed",
          use: "reads"
        })
        if (outcome.strikes.length === 0) break
        struck++
        if (outcome.after !== "right") wrong.push(`${name} in read ${nth}: ${outcome.after} afterwards`)
        for (const complaint of outcome.complaints) wrong.push(`${name} in read ${nth}: ${complaint}`)
      }
    }
    expect(wrong).toEqual([])
    expect(struck).toBeGreaterThan(20)
  }, 60_000)

  it("short reads of the manifest are failures of the disk, and not an older manifest", async () => {
    const wrong: Array<string> = []
    const told = new Set<string>()
    for (let length = 100; length < 4000; length += 150) {
      const outcome = await runCase({
        rules: [{ match: { operation: "readAt", path: files.manifest }, nth: 1, fault: { shortRead: length } }],
        left: "killed",
        moment: "open",
        ends: "killed"
      })
      for (const tag of outcome.during) told.add(tag)
      for (const complaint of [...outcome.complaints, ...(outcome.after === "right" ? [] : [outcome.after])])
        wrong.push(`${length} bytes: ${complaint}`)
    }
    expect(wrong).toEqual([])
    expect([...told]).toEqual(["DiskError"])
  }, 60_000)

  it("the ledger", () => {
    for (const [name, { cases, prefix, refused, struck, told }] of ledger)
      console.log(
        `fault matrix: ${name}: ${struck} of ${cases} struck, ${told} told at once, ${refused} found afterwards, ${prefix} shortened a log that was not closed`
      )
  })
})
