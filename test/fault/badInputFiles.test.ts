/**
 * Files of a database that are gone, empty, cut, grown, exchanged, from another database or from another time of the same one: the answers are the same, or a typed error names a file that was
 * touched; never a wrong answer, and an open that is refused changes nothing.
 */
import * as Effect from "effect/Effect"
import { beforeAll, describe, expect, it } from "vitest"
import { seededPrng } from "../../src/layers/disk/Prng.ts"
import type { SimulatedDisk } from "../../src/layers/disk/SimulatedDisk.ts"
import { readWhole } from "../../src/layers/recovery/readState.ts"
import { type Answer, type Fact, feedFact, historyFacts, readingFacts, verifyFact } from "../support/damage/facts.ts"
import { copyOf, replaceFile } from "../support/damage/flipping.ts"
import { askAll, fileOf, judgeAsked } from "../support/damage/questions.ts"
import { addSession, keyOf, keysMax, makeSmallDatabase } from "../support/damage/smallDatabase.ts"
import { directory } from "../support/openEngine.ts"

const keys = [...Array.from({ length: keysMax }, (_, i) => keyOf(i)), "absent", "counter", "last", "lease"].toSorted()
const facts: ReadonlyArray<Fact> = [...readingFacts(keys), ...historyFacts([keyOf(0), keyOf(3)], [8]), feedFact, verifyFact]

let disk: SimulatedDisk
let other: SimulatedDisk
let sound: ReadonlyMap<string, Answer>
let names: ReadonlyArray<string>

const pathOf = (name: string) => `${directory}/${name}`
const bytesOf = (of: SimulatedDisk, name: string) => readWhole(of, pathOf(name))
const counts = new Map<string, { tried: number; refused: number }>()

/** What the first of these says that does not throw; throws what the last one does. */
const oneOf = <A>(attempts: ReadonlyArray<() => A>): A => {
  for (const attempt of attempts.slice(0, -1)) {
    try {
      return attempt()
    } catch {
      // The next.
    }
  }
  return attempts.at(-1)!()
}

/** Changes a copy, opens it for writing and for reading, and judges. */
const maltreat = async (
  kind: string,
  what: string,
  change: (copy: SimulatedDisk) => void,
  files: (file: string) => boolean,
  of: SimulatedDisk = disk,
  expected: ReadonlyArray<ReadonlyMap<string, Answer>> = [sound]
): Promise<boolean> => {
  let refused = false
  for (const readOnly of [false, true]) {
    const copy = copyOf(of)
    change(copy)
    const before = copy.hash()
    const asked = await askAll(copy, facts, readOnly)
    const judge = (answers: ReadonlyMap<string, Answer>) => judgeAsked(`${what}${readOnly ? ", read only" : ""}`, answers, asked, files)
    refused = oneOf(expected.map((answers) => () => judge(answers))) || refused
    // Recovery changes nothing unless it is done; a table may turn out to be what cannot be read after that.
    if (asked.refused !== undefined && !/\.(?:table|values)$/.test(fileOf(asked.refused)))
      expect(copy.hash(), `${what}: changed by an open that was refused`).toBe(before)
  }
  const count = counts.get(kind) ?? { tried: 0, refused: 0 }
  counts.set(kind, { tried: count.tried + 1, refused: count.refused + (refused ? 1 : 0) })
  return refused
}
const anyOf =
  (...wanted: ReadonlyArray<string>) =>
  (file: string) =>
    wanted.some((name) => file === pathOf(name))
const report = (kind: string) => {
  const { refused, tried } = counts.get(kind)!
  expect(tried).toBeGreaterThan(0)
  console.log(`${kind}: ${tried} tried, ${refused} refused`)
}

describe("bad files", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    disk = await makeSmallDatabase()
    other = await makeSmallDatabase(5000)
    names = disk.list(directory)
    const asked = await askAll(copyOf(disk), facts)
    expect(asked.refused).toBeUndefined()
    sound = asked.answers
    for (const [name, { error }] of sound) expect(error, name).toBeUndefined()
  })

  it("each file gone, empty, cut, grown, filled with something else, or a directory", async () => {
    const prng = seededPrng(1)
    for (const name of names) {
      const bytes = bytesOf(disk, name)
      const with_ = (to: Uint8Array) => (copy: SimulatedDisk) => replaceFile(copy, pathOf(name), to)
      const noise = Uint8Array.from({ length: bytes.length }, () => Math.floor(prng() * 256))
      const changes: ReadonlyArray<readonly [string, (copy: SimulatedDisk) => void, "refused" | "either"]> = [
        ["gone", (copy) => copy.remove(pathOf(name)), "refused"],
        ["empty", with_(new Uint8Array(0)), "refused"],
        ["cut to a byte", with_(bytes.subarray(0, 1)), "refused"],
        // A manifest may be cut between two edits: then it says what it said before the second.
        ["cut to a half", with_(bytes.subarray(0, bytes.length >> 1)), name.endsWith(".manifest") ? "either" : "refused"],
        // What was prepared for groups, and the padding of the last record, may be cut.
        ["a byte short", with_(bytes.subarray(0, bytes.length - 1)), "either"],
        ["a zero longer", with_(Buffer.concat([bytes, Buffer.alloc(1)])), "either"],
        ["a page longer", with_(Buffer.concat([bytes, Buffer.alloc(4096, 0x5a)])), "either"],
        ["doubled", with_(Buffer.concat([bytes, bytes])), "either"],
        ["zeros", with_(new Uint8Array(bytes.length)), "refused"],
        ["noise", with_(noise), "refused"],
        [
          "a directory",
          (copy) => {
            copy.remove(pathOf(name))
            copy.makeDirectory(pathOf(name))
          },
          "refused"
        ]
      ]
      for (const [how, change, expected] of changes) {
        const refused = await maltreat(
          how,
          `${name} ${how}`,
          change,
          (file) => anyOf(name)(file) || (name === "CURRENT" && how === "gone" && file === directory)
        )
        if (expected === "refused") expect(refused, `${name} ${how}`).toBe(true)
      }
    }
    for (const kind of counts.keys()) report(kind)
  })

  it("two files exchanged: of one kind, and of two", async () => {
    for (const [i, a] of names.entries()) {
      for (const b of names.slice(i + 1)) {
        const refused = await maltreat(
          "exchanged",
          `${a} and ${b} exchanged`,
          (copy) => {
            const [first, second] = [bytesOf(copy, a), bytesOf(copy, b)]
            replaceFile(copy, pathOf(a), second)
            replaceFile(copy, pathOf(b), first)
          },
          anyOf(a, b)
        )
        expect(refused, `${a} and ${b}`).toBe(true)
      }
    }
    report("exchanged")
  })

  it("files of another database under the same names: one, all but one, and all of a kind", async () => {
    expect(other.list(directory).toSorted()).toEqual([...names].toSorted())
    const anyFile = (file: string) => file.startsWith(directory)
    const copied = (which: (name: string) => boolean) => (copy: SimulatedDisk) => {
      for (const name of names) if (which(name)) replaceFile(copy, pathOf(name), bytesOf(other, name))
    }
    for (const name of names) {
      // Both name the same manifest file.
      const isSame = Buffer.compare(bytesOf(disk, name), bytesOf(other, name)) === 0
      expect(isSame, name).toBe(name === "CURRENT")
      const files = name.endsWith(".manifest") ? anyFile : anyOf(name)
      expect(
        await maltreat(
          "foreign",
          `${name} of another database`,
          copied((one) => one === name),
          files
        ),
        name
      ).toBe(!isSame)
    }
    for (const kind of [".log", ".table", ".values"])
      expect(
        await maltreat(
          "foreign",
          `all ${kind} of another database`,
          copied((name) => name.endsWith(kind)),
          (file) => file.endsWith(kind)
        )
      ).toBe(true)
    expect(
      await maltreat(
        "foreign",
        "manifest and log of another database",
        copied((name) => /manifest|log|CURRENT/.test(name)),
        anyFile
      )
    ).toBe(true)
    report("foreign")
  })

  it("files of another time of the same database, and of a copy that went its own way", async () => {
    // Three times of one database, each closed cleanly.
    const times: Array<SimulatedDisk> = []
    const growing = await makeSmallDatabase()
    times.push(copyOf(growing))
    await addSession(growing, 11, (db) => Effect.forEach([1, 2, 3], (i) => db.put(keyOf(i), `only logged ${i}`)))
    times.push(copyOf(growing))
    await addSession(growing, 12, (db) =>
      Effect.andThen(
        Effect.forEach([4, 5], (i) => db.put(keyOf(i), `in a table ${i}`)),
        Effect.andThen(db.flush, db.checkpoint("/sibling"))
      )
    )
    await addSession(growing, 13, (db) => Effect.andThen(db.put(keyOf(6), "here"), db.flush))
    times.push(copyOf(growing))
    const anyFile = (file: string) => file.startsWith(directory)
    let tried = 0
    for (const [now, current] of times.entries()) {
      const asked = await askAll(copyOf(current), facts)
      expect(asked.refused).toBeUndefined()
      for (const [then, past] of times.entries()) {
        if (then === now) continue
        const put = (which: (name: string) => boolean) => (copy: SimulatedDisk) => {
          for (const name of past.list(directory)) if (which(name)) replaceFile(copy, pathOf(name), bytesOf(past, name))
        }
        const what = `time ${then} in time ${now}`
        for (const [how, which] of [
          ["CURRENT and manifest", (name: string) => /CURRENT|manifest/.test(name)],
          ["CURRENT", (name: string) => name === "CURRENT"],
          ["log", (name: string) => name.endsWith(".log")],
          ["tables", (name: string) => name.endsWith(".table")],
          ["all but the log", (name: string) => !name.endsWith(".log")]
        ] as const) {
          // Where all that counts is of the other time, so are the answers: never some of each.
          const refused = await maltreat("another time", `${how} of ${what}`, put(which), anyFile, current, [
            asked.answers,
            (await askAll(copyOf(past), facts)).answers
          ])
          // What came later is still there, and is neither left out nor removed.
          if (how.startsWith("CURRENT") && then < now) expect(refused, `${how} of ${what}`).toBe(true)
          tried++
        }
      }
    }
    expect(tried).toBe(30)

    // A checkpoint that was opened and written to: its new files have ids that the original has given to others.
    await addSession(growing, 14, (db) => Effect.andThen(db.put(keyOf(7), "there"), db.flush), "/sibling")
    const here = copyOf(growing)
    const asked = await askAll(copyOf(here), facts)
    const shared = here.list("/sibling").filter((name) => here.list(directory).includes(name))
    let differing = 0
    for (const name of here.list(directory)) {
      const from = here.list("/sibling").find((one) => one === name) ?? here.list("/sibling").find((one) => one.split(".")[1] === name.split(".")[1])
      if (from === undefined) continue
      const bytes = readWhole(here, `/sibling/${from}`)
      if (Buffer.compare(bytes, bytesOf(here, name)) === 0) continue
      differing++
      const refused = await maltreat("sibling", `${name} of a sibling`, (copy) => replaceFile(copy, pathOf(name), bytes), anyFile, here, [
        asked.answers
      ])
      expect(refused, name).toBe(true)
    }
    expect(shared.length).toBeGreaterThan(0)
    expect(differing).toBeGreaterThan(3)
    for (const kind of ["another time", "sibling"]) report(kind)
  })
})
